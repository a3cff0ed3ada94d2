//! A replacement: the staged store and the store at the target change their names in one step.
//!
//! A crash may hide whether the swap was made: both names exist before and after it, and the stores may be alike. So the
//! run's own store has a mark while it is swapped (see [`Swap`](super::swap::Swap)): the name with the mark is the run's
//! store. The old store is then renamed to its place next to the target, and the mark is removed last. A rollback goes
//! the same way in reverse.

use super::publisher::{
    LeftInPlace, Publisher, Target, TargetState, cannot_unpublish, refuse_target, rename_to_free_name,
};
use crate::cas::paths::TargetPaths;
use crate::durable::{Disk, DiskFileSystem, remove_large_tree};
use crate::migration::Error;
use crate::pipeline::Ended;

/// The store at the target is swapped for the new one and kept next to it.
pub(super) struct Replacement;

impl Publisher for Replacement {
    fn check_target(&self, disk: &dyn Disk, paths: &TargetPaths, is_there: bool) -> Result<(), Error> {
        if !is_there {
            return refuse_target(paths, "does not exist and cannot be replaced", "leave out --replace");
        }
        if disk.kind(&paths.replaced())?.is_some() {
            return refuse_target(
                paths,
                "was replaced before, and the store from before is still kept next to it",
                "put that back with `haul cas rollback`; if that run is not known any more, move the store out of the run \
                 directory, or choose another target",
            );
        }
        Ok(())
    }

    fn publish(&self, target: Target<'_>, _: &dyn DiskFileSystem) -> Result<Ended, Error> {
        let (staging, swap) = (target.paths.staging(), target.swap());
        if target.has(&staging)? && !swap.is_half_done()? {
            swap.make(&staging, target.paths.target())?;
        }
        swap.finish()?;
        target.check_published().map(|()| Ended::Complete)
    }

    fn has_begun(&self, target: Target<'_>) -> Result<bool, Error> {
        Ok(!target.has(&target.paths.staging())? || target.swap().is_half_done()?)
    }

    fn settle_begun(&self, target: Target<'_>) -> Result<(), Error> {
        // The old store may be at the staged path, which a restart removes.
        target.swap().finish()
    }

    fn is_unpublishing(&self, target: Target<'_>) -> Result<bool, Error> {
        Ok(target.has(&target.paths.withdrawn())? || target.swap().is_marked(&target.paths.replaced())?)
    }

    fn target_state(&self, target: Target<'_>) -> Result<TargetState, Error> {
        let replaced = target.paths.replaced();
        if !target.has(&replaced)? || target.swap().is_marked(&replaced)? {
            return Ok(TargetState::Unpublished);
        }
        target.published_or_changed()
    }

    fn check_can_unpublish(&self, target: Target<'_>) -> Result<(), Error> {
        if target.has(&target.paths.replaced())? || target.has(&target.paths.withdrawn())? {
            return Ok(());
        }
        let path = target.paths.target().display();
        cannot_unpublish(format!("the store that was replaced by {path} was removed"))
    }

    fn unpublish(&self, target: Target<'_>, _: &dyn DiskFileSystem) -> Result<LeftInPlace, Error> {
        let (disk, paths, swap) = (target.disk, target.paths, target.swap());
        let (replaced, withdrawn) = (paths.replaced(), paths.withdrawn());
        if !target.has(&replaced)? {
            return Ok(LeftInPlace::default());
        }
        if !swap.is_marked(&replaced)? {
            if !target.has(paths.target())? {
                rename_to_free_name(disk, &replaced, paths.target())?;
                return Ok(LeftInPlace::default());
            }
            swap.make(paths.target(), &replaced)?;
        }
        // An earlier attempt may have made the swap and crashed before it was durable.
        swap.sync()?;
        remove_large_tree(disk, &withdrawn, &target.stop.check())?;
        disk.rename(&replaced, &withdrawn)?;
        Ok(LeftInPlace::default())
    }
}
