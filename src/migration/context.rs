//! What a migration works with.

use std::sync::Arc;

use super::checkpoint::{CheckpointFile, Kind};
use super::run::directory::RunDirectory;
use super::run::locked::LockedRun;
use super::run::options::RunOptions;
use crate::durable::Disk;
use crate::pipeline::Control;

/// What a migration works with.
pub struct Context<'a> {
    /// The disk of the target.
    pub disk: &'a Arc<dyn Disk>,
    /// Directory of the run's state.
    pub directory: &'a RunDirectory,
    /// How the run is carried out.
    pub options: &'a RunOptions,
    /// Stop and events.
    pub control: &'a Control<'a>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// The lock; `None` in a dry run, which only looks.
    pub lock: Option<&'a LockedRun>,
}

impl<'a> Context<'a> {
    /// Returns what a dry run works with, and a run before it has the lock.
    pub fn unlocked(
        disk: &'a Arc<dyn Disk>,
        directory: &'a RunDirectory,
        kind: Kind,
        options: &'a RunOptions,
        control: &'a Control<'a>,
    ) -> Self {
        let checkpoint = Arc::new(CheckpointFile::new(directory.path(), kind));
        Self { disk, directory, options, control, checkpoint, lock: None }
    }
}
