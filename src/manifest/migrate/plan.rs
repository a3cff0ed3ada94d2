//! What a run would do to a tree, as its run directory keeps it.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::state::CHECKPOINT_KIND;
use crate::manifest::document::checksum::hex;
use crate::manifest::run_options::MigrateOptions;
use crate::migration::plan::escape_name;
use crate::migration::{RunPlan, plan_digest};

/// Version of what the digest of the plan covers.
const FORMAT_VERSION: u32 = 1;

/// What a run would do. It does not name single files: the run looks for them while it works.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The tree.
    pub root: String,
    /// The version that files are taken to.
    pub target_version: String,
    /// What decides the result, as text.
    pub settings: String,
    /// Digest of the steps.
    pub steps: String,
    /// Digest of all of it that decides the result.
    pub digest: String,
    /// The instant of every history record.
    pub now: String,
    /// The digest as bytes.
    #[serde(skip)]
    pub digest_bytes: [u8; 32],
}

impl Plan {
    /// Returns the plan for the tree at `root`.
    pub fn new(root: &Path, options: &MigrateOptions, now: Timestamp) -> Self {
        let digest_bytes = digest(options);
        Self {
            root: escape_name(root.as_os_str()),
            target_version: options.target().to_string(),
            settings: options.rules().to_string(),
            steps: hex(&options.registry.digest()),
            digest: hex(&digest_bytes),
            now: now.to_string(),
            digest_bytes,
        }
    }
}

impl RunPlan for Plan {
    fn digest(&self) -> [u8; 32] {
        self.digest_bytes
    }

    fn space_needed_bytes(&self) -> Option<u64> {
        None
    }
}

/// Returns the digest of everything that decides the result.
pub fn digest(options: &MigrateOptions) -> [u8; 32] {
    plan_digest(CHECKPOINT_KIND, FORMAT_VERSION, &[], &options.rules().to_string())
}
