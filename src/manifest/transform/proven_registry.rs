//! Steps that have been proved.

use std::ops::Deref;
use std::sync::Arc;

use crate::manifest::steps::registry::Registry;

/// A registry whose steps are consistent: each version can be reached, and a direct step gives the result of its chain.
/// [`prove`](super::step_check::prove) creates it.
// Why a type: no transformer can be created from steps that were not proved. And the registry cannot prove itself,
// because the proof runs transformers, which need a registry.
#[derive(Clone)]
pub struct ProvenRegistry(Arc<Registry>);

impl ProvenRegistry {
    /// Wraps steps that the caller has proved.
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }

    /// Returns the steps.
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
