//! The end of a migration of a tree, and where the state of its runs is.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::stage_file::NamedFile;
use crate::durable::{Disk, DiskError, NewModes, with_modes};
use crate::manifest::outcome::Counts;
use crate::manifest::tree::file_names::MANIFEST;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::migration::{self, FirstFindings, RunDirectory};

/// The directory of the state of runs, below the application's root.
pub const STATE: &str = "migration";

/// How a migration ended without an error. If nothing had to be done, the counts are those of the tree as it is now.
pub type MigrationEnd = migration::MigrationEnd<Counts, EndDetails>;

/// What only the end of a tree's migration tells.
#[derive(Debug, Clone, Serialize)]
pub struct EndDetails {
    /// The version that files were taken to.
    pub target_version: String,
    /// The instant of every history record.
    pub now: String,
    /// Files that were looked into.
    pub manifests: u64,
    /// Bytes of manifests that were written.
    pub written_bytes: u64,
    /// The first findings on single files.
    #[serde(skip)]
    pub findings: FirstFindings,
    /// What was done to the file that the operator named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<NamedFile>,
}

/// Directories on the way to a manifest: `artifacts/`, the job, the run.
const TREE_LEVELS: usize = 3;

/// Returns what those may do who may enter the tree at `root` and read its manifests.
pub fn modes_of_tree(root: &Path) -> Result<NewModes, DiskError> {
    let artifacts = root.join(ARTIFACTS);
    let modes = NewModes::of_sources([root, &*artifacts].into_iter().filter(|directory| directory.is_dir()))?;
    Ok(modes.of_samples(&artifacts, TREE_LEVELS, |name| name == MANIFEST))
}

/// Returns the disk for what is written about the tree at `root`, which nobody else may read than the tree.
pub fn disk_of_tree(disk: &Arc<dyn Disk>, root: &Path) -> Result<Arc<dyn Disk>, DiskError> {
    Ok(with_modes(disk, modes_of_tree(root)?))
}

/// Returns the run directory of the tree at `root`.
pub fn run_directory(root: &Path) -> RunDirectory {
    RunDirectory::new(root.join(STATE))
}
