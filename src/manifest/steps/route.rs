//! The way from one version to the target.

use std::sync::Arc;

use super::step::Touch;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::{Registry, Step, Version};

/// The steps from one version to another, and all that they may change.
#[derive(Clone)]
pub struct Route {
    /// In their order; none if the versions are equal.
    pub steps: Vec<Arc<dyn Step>>,
    /// What each may change, in their order.
    pub touches: Vec<Touch>,
    /// Each by its versions, as people are shown it.
    pub applied: Arc<[String]>,
}

impl Route {
    /// The route that `registry` chooses (§3); `None` if none leads there.
    pub fn find(registry: &Registry, from: Version, to: Version) -> Option<Self> {
        let steps = registry.path(from, to)?;
        let touches = steps.iter().flat_map(|step| step.touches()).collect();
        let applied = steps.iter().map(|step| format!("{} → {}", step.from(), step.to())).collect();
        Some(Self { steps, touches, applied })
    }
}

/// The texts that the history record has for a step that found `kept` already there (§7).
pub(crate) fn change_texts(step: &dyn Step, kept: &[KeyPath]) -> Vec<String> {
    let texts = step.changes();
    if kept.is_empty() {
        return texts;
    }
    let whole = whole_parents(step, kept);
    let mut unnamed: Vec<_> = whole.iter().chain(kept.iter().filter(|path| !is_in(path, &whole))).collect();
    let mut written = Vec::with_capacity(texts.len());
    for text in texts {
        let Some(path) = kept.iter().find(|path| speaks_of(&text, path)) else {
            written.push(text);
            continue;
        };
        let named = whole.iter().find(|parent| path.is_within(parent)).unwrap_or(path);
        if unnamed.contains(&named) {
            written.push(keep_text(named));
            unnamed.retain(|path| *path != named);
        }
    }
    let bump = written.iter().rposition(|text| text.starts_with("Bump schema_version ")).unwrap_or(written.len());
    written.splice(bump..bump, unnamed.into_iter().map(keep_text));
    written
}

fn keep_text(path: &KeyPath) -> String {
    format!("Keep existing {path}")
}

fn is_in(path: &KeyPath, parents: &[KeyPath]) -> bool {
    parents.iter().any(|parent| path.is_within(parent))
}

fn speaks_of(text: &str, path: &KeyPath) -> bool {
    let rest = text.strip_prefix("Add ").and_then(|rest| rest.strip_prefix(path.to_string().as_str()));
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '.' | '-')))
}

/// The objects of which a step adds several members that all were there: the field as a whole was kept.
fn whole_parents(step: &dyn Step, kept: &[KeyPath]) -> Vec<KeyPath> {
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
