//! Steps that were proved as a whole.

use std::ops::Deref;
use std::sync::Arc;

use crate::manifest::steps::registry::Registry;

/// A registry whose steps fit together: each version can be reached, and a direct step gives what its chain gives.
/// [`prove`](super::step_check::prove) makes it.
// The proof runs transformers over sample manifests, so a registry cannot prove itself without importing them. As a type,
// the proof also keeps a transformer from being made of steps that nobody has proved.
#[derive(Clone)]
pub struct ProvenRegistry(Arc<Registry>);

impl ProvenRegistry {
    /// Takes steps that the caller has proved.
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }

    /// Gives the steps away.
    pub(super) fn into_registry(self) -> Arc<Registry> {
        self.0
    }
}

impl Deref for ProvenRegistry {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}
