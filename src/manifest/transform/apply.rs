//! Applies steps, repairs and options to a document.

use std::sync::Arc;

use crate::manifest::document::edit::Edit;
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::fields::VERSION;
use crate::manifest::document::inputs::DocumentInputs;
use crate::manifest::document::job_id::{self, JOB_ID};
use crate::manifest::document::json::{Document, NodeId, push_string};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::options::DeriveJobId;
use crate::manifest::document::value_types::ValueType;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;
use crate::manifest::steps::route::{Route, change_texts};
use crate::manifest::steps::step::{Step, Touch};

/// A document after its steps or its repair.
pub(super) struct Changed {
    pub root: NodeId,
    /// The changes of each step, for the history record.
    pub texts: Vec<Vec<String>>,
    /// Changes that an option made instead of a step.
    pub derived: Vec<Touch>,
    pub is_changed: bool,
}

/// Applies the steps of `route`, one after the other.
pub(super) fn apply_steps(
    document: &mut Document<'_>,
    route: &Route,
    derive: Option<DeriveJobId>,
    inputs: &dyn DocumentInputs,
) -> Result<Changed, Refusal> {
    let mut root = document.root().id();
    let (derived, text) = derive_job_id(document, &mut root, derive, inputs)?;
    let mut texts = Vec::with_capacity(route.steps.len());
    for step in &route.steps {
        let mut edit = Edit::new(document, root, inputs);
        step.apply(&mut edit)?;
        let (changed, kept, _) = edit.finish();
        root = with_version(document, changed, step.to())?;
        texts.push(change_texts(&**step, &kept));
    }
    if let (Some(first), Some(text)) = (texts.first_mut(), text) {
        first.insert(0, text);
    }
    Ok(Changed { root, texts, derived, is_changed: true })
}

/// Adds to a document at the target what the `steps` that lead there would have added (docs/source-sigilzero.md, D8).
pub(super) fn apply_repair(
    document: &mut Document<'_>,
    steps: &[Arc<dyn Step>],
    derive: Option<DeriveJobId>,
    inputs: &dyn DocumentInputs,
) -> Result<Changed, Refusal> {
    let mut root = document.root().id();
    let (derived, text) = derive_job_id(document, &mut root, derive, inputs)?;
    let mut texts: Vec<String> = text.into_iter().collect();
    for step in steps {
        // A breaking step has been applied already. Applied again, it could remove or overwrite what was set since.
        if step.touches().iter().any(Touch::is_breaking) {
            continue;
        }
        let mut edit = Edit::new(document, root, inputs);
        step.apply(&mut edit)?;
        let (changed, kept, is_changed) = edit.finish();
        root = changed;
        if is_changed {
            let all = change_texts(&**step, &kept);
            texts.extend(all.into_iter().filter(|text| text.starts_with("Add ")));
        }
    }
    let is_changed = root != document.root().id();
    Ok(Changed { root, texts: vec![texts], derived, is_changed })
}

/// Returns what a repair by the `steps` may add.
pub(super) fn repair_touches(steps: &[Arc<dyn Step>]) -> Vec<Touch> {
    steps.iter().flat_map(|step| step.touches()).filter(|touch| !touch.is_breaking()).collect()
}

fn with_version(document: &mut Document<'_>, root: NodeId, version: Version) -> Result<NodeId, Refusal> {
    let value = document.parse_fragment(&format!("\"{version}\""))?;
    let root = document.with(root, &[VERSION.to_owned()], value)?;
    root.ok_or_else(|| Refusal::new(ErrorCode::Root, "the document is not an object".into()))
}

/// Adds a `job_id` if it is missing and the options name its origin. Returns the change and its text for the history
/// record.
fn derive_job_id(
    document: &mut Document<'_>,
    root: &mut NodeId,
    derive: Option<DeriveJobId>,
    inputs: &dyn DocumentInputs,
) -> Result<(Vec<Touch>, Option<String>), Refusal> {
    let nothing = (Vec::new(), None);
    let Some(how) = derive.filter(|_| document.root().get(JOB_ID).is_none()) else { return Ok(nothing) };
    let Some((id, text)) = job_id::derive(how, inputs)? else { return Ok(nothing) };
    let path = KeyPath::of_root(JOB_ID);
    let mut json = Vec::new();
    push_string(&mut json, &id);
    let mut edit = Edit::new(document, *root, inputs);
    edit.add(&path, std::str::from_utf8(&json).expect("a string is UTF-8"), &ValueType::Text)?;
    *root = edit.finish().0;
    Ok((vec![Touch::Add { path, value_type: ValueType::Text }], Some(text)))
}
