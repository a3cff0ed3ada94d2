//! Undoes the publication of a run and restores what was at the target before.

pub use super::publisher::{LeftInPlace, TargetState};
use super::publisher::{Publisher, Target};
use super::publisher_of;
use super::swap::Swap;
use crate::cas::paths::TargetPaths;
use crate::cas::state::RunState;
use crate::durable::{Disk, DiskFileSystem, remove_large_tree};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Returns true if the rollback of a published run has begun and crashed.
pub fn is_under_way(disk: &dyn Disk, paths: &TargetPaths, state: &RunState, stop: &StopToken) -> Result<bool, Error> {
    publisher_of(state.rules.placement).is_unpublishing(Target { disk, paths, state, stop })
}

/// A published run whose publication is undone.
pub struct Unpublish<'a> {
    /// The disk of the target.
    pub disk: &'a dyn Disk,
    /// The paths of the target.
    pub paths: &'a TargetPaths,
    /// The run.
    pub state: &'a RunState,
    /// The file system of the target, opened before anything is written.
    pub file_system: &'a dyn DiskFileSystem,
    /// Ends long work early, with an error.
    pub stop: &'a StopToken,
}

impl<'a> Unpublish<'a> {
    fn target(&self) -> Target<'a> {
        Target { disk: self.disk, paths: self.paths, state: self.state, stop: self.stop }
    }

    fn publisher(&self) -> &'static dyn Publisher {
        publisher_of(self.state.rules.placement)
    }

    /// Returns the swap by which a replacement is made and undone.
    pub fn swap(&self) -> Swap<'a> {
        self.target().swap()
    }

    /// Returns what is at the target.
    pub fn target_state(&self) -> Result<TargetState, Error> {
        self.publisher().target_state(self.target())
    }

    /// Fails if the publication cannot be undone, because a clean-up has removed what that needs.
    pub fn check_possible(&self) -> Result<(), Error> {
        self.publisher().check_can_unpublish(self.target())
    }

    /// Restores what was at the target, durably. What the run had published is left in [`TargetPaths::withdrawn`], or
    /// removed if it was merged in; what could not be removed is returned. It can be repeated after a crash at any point.
    pub fn make(&self) -> Result<LeftInPlace, Error> {
        let left = self.publisher().unpublish(self.target(), self.file_system)?;
        self.swap().sync()?;
        Ok(left)
    }

    /// Removes what undoing the publication leaves, once the checkpoint calls the run rolled back.
    pub fn discard(&self) -> Result<(), Error> {
        let paths = self.paths;
        for path in [paths.withdrawn(), paths.staging(), paths.object_log(), paths.index_before(), paths.incoming()] {
            remove_large_tree(self.disk, &path, &self.stop.check())?;
        }
        Ok(())
    }
}
