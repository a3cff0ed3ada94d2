//! The checks that a migration makes before it writes, in their order. A run and its dry run both make them here, so that
//! the dry run refuses what the run refuses.
//!
//! They come in four parts because a run acts between them: it takes the lock, ends what an earlier run was publishing,
//! and walks through the source.

use std::path::Path;

use super::placement_of;
use super::plan::Plan;
use super::publish::merge_preflight::check_before_merge;
use super::publish::{check_target, is_live};
use crate::cas::options::{MigrateOptions, Placement, Start};
use crate::cas::paths::{TargetPaths, check_apart, check_not_mounted};
use crate::cas::source::SourceRoot;
use crate::cas::state::{CHECKPOINT_KIND, RunState};
use crate::cas::verify::VerifyEnd;
use crate::durable::Disk;
use crate::migration::{CheckpointFile, Error, LastRun, Stage, free_space_check, nearest_directory};

/// What is checked. The disk is only read.
#[derive(Clone, Copy)]
pub(super) struct Preflight<'a> {
    pub disk: &'a dyn Disk,
    pub source: &'a Path,
    pub paths: &'a TargetPaths,
    pub options: &'a MigrateOptions,
}

impl Preflight<'_> {
    /// Opens the source and checks where source and target are. Comes first, because the lock needs a directory next to
    /// the target.
    pub fn open_source(&self) -> Result<SourceRoot, Error> {
        let root = SourceRoot::open(self.source)?;
        check_apart(self.source, self.paths)?;
        check_not_mounted(self.paths)?;
        Ok(root)
    }

    /// Returns the state of the run that is continued; `None` if a new run begins.
    pub fn earlier_run(&self) -> Result<Option<RunState>, Error> {
        let checkpoint = self.checkpoint();
        if self.options.start == Start::Restart {
            if let LastRun::Known(state) = LastRun::<RunState>::load(self.disk, &checkpoint)? {
                placement_begun(&checkpoint, &state)?;
            }
            return Ok(None);
        }
        let earlier = checkpoint.load::<RunState>(self.disk)?;
        if earlier.is_none() && self.options.start == Start::Resume {
            return Err(Error::Usage {
                what: "there is no earlier run to resume".into(),
                next: "leave out --resume".into(),
            });
        }
        Ok(earlier)
    }

    /// Checks that a new run can be placed at the target. `verify` reads a store that is merged into. `false`: a stop was
    /// requested.
    pub fn check_target(&self, verify: impl FnOnce() -> Result<VerifyEnd, Error>) -> Result<bool, Error> {
        check_target(self.disk, self.paths, self.options.placement)?;
        if self.options.placement == Placement::Merge && self.options.verify_merged_into {
            return check_before_merge(self.disk, self.paths, verify);
        }
        Ok(true)
    }

    /// Checks that the plan can be carried out: by a run that is continued, if it belongs to it; by a new one, if there
    /// is space for it.
    pub fn check_plan(&self, earlier: Option<&RunState>, plan: &Plan) -> Result<(), Error> {
        match earlier {
            Some(state) => self.check_resumable(state, plan),
            None => {
                let directory = nearest_directory(self.disk, self.paths.run_directory().path())?;
                free_space_check(self.disk, &directory, plan.space_needed_bytes)
            }
        }
    }

    fn check_resumable(&self, state: &RunState, plan: &Plan) -> Result<(), Error> {
        let refuse = |what: &str, next| {
            Err(Error::State {
                path: self.checkpoint().path(),
                what: what.to_owned(),
                next,
                damaged: false,
                source: None,
            })
        };
        if state.plan_digest != plan.digest_bytes {
            return refuse(
                "the checkpoint belongs to another plan: source, --compress, --strict or placement differ",
                format!("use the settings of that run ({}), or start over with --restart", state.settings),
            );
        }
        if state.stage == Stage::RolledBack || self.is_target_gone(state)? {
            return refuse(
                "that run was rolled back, and what it had made is removed",
                "migrate again with --restart".into(),
            );
        }
        Ok(())
    }

    /// Returns true if nothing is left of what the run published. An index that changed is fine: a later merge or put
    /// writes to it.
    fn is_target_gone(&self, state: &RunState) -> Result<bool, Error> {
        Ok(state.stage == Stage::Published
            && !is_live(self.disk, self.paths, state)?
            && self.disk.kind(self.paths.target())?.is_none())
    }

    fn checkpoint(&self) -> CheckpointFile {
        CheckpointFile::new(self.paths.run_directory().path(), CHECKPOINT_KIND)
    }
}

/// Returns the placement of a run that may have begun to publish; `None` if it cannot have. Only the former has to be
/// understood before the run is discarded: half a publication is ended in another way for each placement.
pub(super) fn placement_begun(checkpoint: &CheckpointFile, state: &RunState) -> Result<Option<Placement>, Error> {
    (state.stage == Stage::Verified).then(|| placement_of(checkpoint, state)).transpose()
}
