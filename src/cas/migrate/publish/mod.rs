//! Makes the staged store the target. Each placement has its own way, and its own argument why a crash at any point
//! leaves a complete store: see [`new`], [`replace`] and [`merge`], and docs/crash-model.md.

mod merge;
pub mod merge_preflight;
mod new;
mod publisher;
mod replace;
pub mod staged_check;
pub mod swap;
pub mod unpublish;

use self::merge::Merge;
use self::new::NewStore;
use self::publisher::{Publisher, Target, refuse_target};
use self::replace::Replacement;
use crate::cas::options::Placement;
use crate::cas::paths::TargetPaths;
use crate::cas::state::RunState;
use crate::durable::{Disk, DiskFileSystem, EntryKind};
use crate::migration::{Error, Stage};
use crate::pipeline::{Ended, StopToken};

fn publisher_of(placement: Placement) -> &'static dyn Publisher {
    match placement {
        Placement::New => &NewStore,
        Placement::Replace => &Replacement,
        Placement::Merge => &Merge,
    }
}

/// Publishes a sealed store. It can be repeated after a crash at any point.
pub fn publish(
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
    file_system: &dyn DiskFileSystem,
    stop: &StopToken,
) -> Result<Ended, Error> {
    publisher_of(state.rules.placement).publish(Target { disk, paths, state, stop }, file_system)
}

/// Returns true if the target has the index that the run has sealed.
pub fn is_live(disk: &dyn Disk, paths: &TargetPaths, state: &RunState, stop: &StopToken) -> Result<bool, Error> {
    Target { disk, paths, state, stop }.is_live()
}

/// Fails unless the placement fits what is at the target.
pub fn check_target(disk: &dyn Disk, paths: &TargetPaths, placement: Placement) -> Result<(), Error> {
    match disk.kind(paths.target())? {
        Some(EntryKind::File | EntryKind::Other) => refuse_target(paths, "is not a directory", "choose another target"),
        kind => publisher_of(placement).check_target(disk, paths, kind.is_some()),
    }
}

/// Returns true if a run that is not yet called published had begun its publication when it crashed.
pub fn has_begun(disk: &dyn Disk, paths: &TargetPaths, state: &RunState, stop: &StopToken) -> Result<bool, Error> {
    let publisher = publisher_of(state.rules.placement);
    Ok(state.stage == Stage::Verified && publisher.has_begun(Target { disk, paths, state, stop })?)
}

/// Completes or undoes a publication that crashed, before the state of its run is discarded: the store that was replaced
/// may be where the run's own was staged, and objects that were moved into a store are in no index yet.
pub fn abandon(disk: &dyn Disk, paths: &TargetPaths, state: &RunState, stop: &StopToken) -> Result<(), Error> {
    if !has_begun(disk, paths, state, stop)? {
        return Ok(());
    }
    publisher_of(state.rules.placement).settle_begun(Target { disk, paths, state, stop })
}
