//! The steps from one version to the target, and the texts that they leave in the history.

use std::sync::Arc;

use super::registry::Registry;
use super::step::Step;
use super::step::Touch;
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;

/// The steps from one version to another, and everything that they may change.
#[derive(Clone)]
pub struct Route {
    /// The steps in their order; empty if the versions are equal.
    pub steps: Vec<Arc<dyn Step>>,
    /// What the steps may change, in their order.
    pub touches: Vec<Touch>,
    /// Each step as messages show it: `1.0.0 → 1.1.0`.
    pub applied: Arc<[String]>,
}

impl Route {
    /// Returns the route that `registry` chooses, or `None` if no steps lead there.
    pub fn find(registry: &Registry, from: Version, to: Version) -> Option<Self> {
        let steps = registry.path(from, to)?;
        let touches = steps.iter().flat_map(|step| step.touches()).collect();
        let applied = steps.iter().map(|step| format!("{} → {}", step.from(), step.to())).collect();
        Some(Self { steps, touches, applied })
    }
}

/// Checks that steps lead from `version` to `target` (second part of check 4 of docs/source-sigilzero.md, "Order of
/// checks"). The caller knows whether they do; this finds the reason if they do not.
pub(in crate::manifest) fn check_reachable(
    registry: &Registry,
    version: Version,
    target: Version,
    is_reachable: bool,
) -> Result<(), Refusal> {
    let path = format!("no migration path from {version} to {target}");
    let (code, text) = if is_reachable {
        return Ok(());
    } else if version > registry.latest() {
        (ErrorCode::VersionFuture, format!("{path}: the latest version is {}", registry.latest()))
    } else if version > target && registry.versions().contains(&version) {
        (ErrorCode::Downgrade, format!("{path}: to go back, use `haul manifest rollback`"))
    } else {
        (ErrorCode::VersionUnknown, path)
    };
    Err(Refusal::new(code, text))
}

/// Returns the texts of the history record for a step that found the values at `kept` already there
/// (docs/source-sigilzero.md, "Steps").
pub(in crate::manifest) fn change_texts(step: &dyn Step, kept: &[KeyPath]) -> Vec<String> {
    let texts = step.changes();
    if kept.is_empty() {
        return texts;
    }
    let whole = fully_kept_parents(step, kept);
    let mut unnamed: Vec<_> = whole.iter().chain(kept.iter().filter(|path| !is_within_any(path, &whole))).collect();
    let mut written = Vec::with_capacity(texts.len());
    for text in texts {
        let Some(path) = kept.iter().find(|path| is_about(&text, path)) else {
            written.push(text);
            continue;
        };
        let named = whole.iter().find(|parent| path.is_within(parent)).unwrap_or(path);
        if unnamed.contains(&named) {
            written.push(keep_text(named));
            unnamed.retain(|path| *path != named);
        }
    }
    // Texts for values that no text of the step names go before the text about the version, which stays last.
    let bump = written.iter().rposition(|text| text.starts_with("Bump schema_version ")).unwrap_or(written.len());
    written.splice(bump..bump, unnamed.into_iter().map(keep_text));
    written
}

fn keep_text(path: &KeyPath) -> String {
    format!("Keep existing {path}")
}

fn is_within_any(path: &KeyPath, parents: &[KeyPath]) -> bool {
    parents.iter().any(|parent| path.is_within(parent))
}

fn is_about(text: &str, path: &KeyPath) -> bool {
    let rest = text.strip_prefix("Add ").and_then(|rest| rest.strip_prefix(path.to_string().as_str()));
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '.' | '-')))
}

/// Returns the objects in which a step adds several members that were all there. The record says of each that it was
/// kept as a whole.
fn fully_kept_parents(step: &dyn Step, kept: &[KeyPath]) -> Vec<KeyPath> {
    let touches = step.touches();
    let added: Vec<_> = touches.iter().flat_map(Touch::paths).collect();
    let mut parents: Vec<_> = kept.iter().filter_map(KeyPath::parent).collect();
    parents.dedup();
    parents.retain(|parent| {
        let below = || added.iter().filter(|path| path.is_within(parent));
        below().count() > 1 && below().all(|path| kept.contains(path))
    });
    parents
}
