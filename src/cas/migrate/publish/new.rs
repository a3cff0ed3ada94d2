//! A new store: the staged store is renamed to the target.
//!
//! A rename is one step, so a crash leaves the store either at its staged path or at the target. Which of the two it is
//! shows where the directories are; the digest of the index then tells whether the target is the sealed store. A rollback
//! renames the store away in the same way and removes it only after the checkpoint says so.

use super::publisher::{
    LeftInPlace, Publisher, Target, TargetState, is_empty_directory, refuse_target, rename_to_free_name,
};
use crate::cas::paths::TargetPaths;
use crate::durable::{Disk, DiskFileSystem, remove_large_tree};
use crate::migration::Error;
use crate::pipeline::Ended;

/// Nothing may be at the target but an empty directory.
pub(super) struct NewStore;

impl Publisher for NewStore {
    fn check_target(&self, disk: &dyn Disk, paths: &TargetPaths, is_there: bool) -> Result<(), Error> {
        if !is_there || is_empty_directory(disk, paths.target())? {
            return Ok(());
        }
        refuse_target(
            paths,
            "exists and is not empty",
            "use --merge to add to that store, --replace to replace it, or choose another target",
        )
    }

    fn publish(&self, target: Target<'_>, _: &dyn DiskFileSystem) -> Result<Ended, Error> {
        let (disk, paths) = (target.disk, target.paths);
        if target.has(&paths.staging())? {
            let is_there = target.has(paths.target())?;
            self.check_target(disk, paths, is_there)?;
            if is_there {
                disk.remove_directory(paths.target())?;
            }
            rename_to_free_name(disk, &paths.staging(), paths.target())?;
        }
        target.check_published().map(|()| Ended::Complete)
    }

    fn has_begun(&self, target: Target<'_>) -> Result<bool, Error> {
        Ok(!target.has(&target.paths.staging())?)
    }

    fn settle_begun(&self, _: Target<'_>) -> Result<(), Error> {
        // The rename is the whole publication: the store stays at the target.
        Ok(())
    }

    fn is_unpublishing(&self, target: Target<'_>) -> Result<bool, Error> {
        target.has(&target.paths.withdrawn())
    }

    fn target_state(&self, target: Target<'_>) -> Result<TargetState, Error> {
        if !target.has(target.paths.target())? {
            return Ok(TargetState::Unpublished);
        }
        target.published_or_changed()
    }

    fn check_can_unpublish(&self, _: Target<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn unpublish(&self, target: Target<'_>, _: &dyn DiskFileSystem) -> Result<LeftInPlace, Error> {
        let withdrawn = target.paths.withdrawn();
        if target.has(target.paths.target())? {
            remove_large_tree(target.disk, &withdrawn, &target.stop.check())?;
            rename_to_free_name(target.disk, target.paths.target(), &withdrawn)?;
        }
        Ok(LeftInPlace::default())
    }
}
