//! What the steps, the repair and the options make of a document.

use super::Transformer;
use crate::manifest::document::edit::Edit;
use crate::manifest::document::header::VERSION;
use crate::manifest::document::job_id::{self, JOB_ID};
use crate::manifest::document::json::{Document, NodeId, push_string};
use crate::manifest::document::value_types::Shape;
use crate::manifest::steps::route::{Route, change_texts};
use crate::manifest::{Code, DocumentInputs, KeyPath, Refusal, Touch, Version};

/// What the steps made of a document.
pub(super) struct Changed {
    pub root: NodeId,
    pub texts: Vec<Vec<String>>,
    /// Paths that options added, not steps.
    pub derived: Vec<Touch>,
    pub is_changed: bool,
}

impl Transformer {
    pub(super) fn stepped(
        &self,
        document: &mut Document<'_>,
        route: &Route,
        inputs: &dyn DocumentInputs,
    ) -> Result<Changed, Refusal> {
        let mut root = document.root().id();
        let (derived, text) = self.derive_job_id(document, &mut root, inputs)?;
        let mut texts = Vec::with_capacity(route.steps.len());
        for step in &route.steps {
            let mut edit = Edit::new(document, root, inputs);
            step.apply(&mut edit)?;
            let (changed, kept, _) = edit.finish();
            root = Self::with_version(document, changed, step.to())?;
            texts.push(change_texts(&**step, &kept));
        }
        if let (Some(first), Some(text)) = (texts.first_mut(), text) {
            first.insert(0, text);
        }
        Ok(Changed { root, texts, derived, is_changed: true })
    }

    /// A current document with what the steps up to its version would have added (D8).
    pub(super) fn repaired(
        &self,
        document: &mut Document<'_>,
        inputs: &dyn DocumentInputs,
    ) -> Result<Changed, Refusal> {
        let mut root = document.root().id();
        let (derived, text) = self.derive_job_id(document, &mut root, inputs)?;
        let mut texts: Vec<String> = text.into_iter().collect();
        for step in self.registry.path_to(self.target) {
            let is_breaking = step.touches().iter().any(Touch::is_breaking);
            if is_breaking {
                continue;
            }
            let mut edit = Edit::new(document, root, inputs);
            step.apply(&mut edit)?;
            let (changed, kept, is_changed) = edit.finish();
            root = changed;
            if is_changed {
                let all = change_texts(&*step, &kept);
                texts.extend(all.into_iter().filter(|text| text.starts_with("Add ")));
            }
        }
        let is_changed = root != document.root().id();
        Ok(Changed { root, texts: vec![texts], derived, is_changed })
    }

    /// What a repair may add.
    pub(super) fn repairs(&self) -> Vec<Touch> {
        let steps = self.registry.path_to(self.target);
        steps.iter().flat_map(|step| step.touches()).filter(|touch| !touch.is_breaking()).collect()
    }

    fn with_version(document: &mut Document<'_>, root: NodeId, version: Version) -> Result<NodeId, Refusal> {
        let value = document.graft(&format!("\"{version}\""))?;
        let root = document.with(root, &[VERSION.to_owned()], value)?;
        root.ok_or_else(|| Refusal::new(Code::Root, "the document is no object".into()))
    }

    fn derive_job_id(
        &self,
        document: &mut Document<'_>,
        root: &mut NodeId,
        inputs: &dyn DocumentInputs,
    ) -> Result<(Vec<Touch>, Option<String>), Refusal> {
        let Some(how) = self.options.derive_job_id else { return Ok((Vec::new(), None)) };
        if document.root().get(JOB_ID).is_some() {
            return Ok((Vec::new(), None));
        }
        let Some((id, text)) = job_id::derived(how, inputs)? else { return Ok((Vec::new(), None)) };
        let path = KeyPath::of_root(JOB_ID);
        let mut json = Vec::new();
        push_string(&mut json, &id);
        let mut edit = Edit::new(document, *root, inputs);
        edit.add(&path, std::str::from_utf8(&json).expect("a string is UTF-8"), &Shape::Text)?;
        *root = edit.finish().0;
        Ok((vec![Touch::Add { path, shape: Shape::Text }], Some(text)))
    }
}
