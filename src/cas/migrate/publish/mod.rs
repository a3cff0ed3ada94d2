//! Makes the staged store the target, in one step.

pub mod merge;
pub mod merge_preflight;
pub mod swap;
pub mod unpublish;

use std::io::ErrorKind;
use std::path::Path;

use self::merge::{has_index_before, publish_merge, remove_merged};
use self::swap::Exchange;
use crate::cas::options::Placement;
use crate::cas::paths::{INDEX_NAME, TargetPaths};
use crate::cas::state::RunState;
use crate::cas::store::torn_line::check_index;
use crate::durable::{Disk, DiskFileSystem, EntryKind, file_digest_if_present};
use crate::migration::{Error, Stage};
use crate::pipeline::{Ended, StopToken};

/// Publishes a sealed store. If it runs again after a crash at any point, it completes.
pub fn publish(
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
    file_system: &dyn DiskFileSystem,
    stop: &StopToken,
) -> Result<Ended, Error> {
    match state.rules.placement {
        Placement::New => publish_new(disk, paths, state).map(|()| Ended::Complete),
        Placement::Replace => publish_replacing(disk, paths, state).map(|()| Ended::Complete),
        Placement::Merge => publish_merge(disk, paths, state, file_system, stop),
    }
}

/// True if the target has the index that the run has sealed.
pub fn is_live(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<bool, Error> {
    let Some(sealed) = state.progress.index else { return Ok(false) };
    let live = file_digest_if_present(disk, &paths.target().join(INDEX_NAME))?;
    Ok(live == Some(sealed.file()))
}

/// Fails unless the placement fits what stands at the target.
pub fn check_target(disk: &dyn Disk, paths: &TargetPaths, placement: Placement) -> Result<(), Error> {
    let target = paths.target();
    let refuse = |what: &str, next: &str| {
        Err(Error::Usage { what: format!("{} {what}", target.display()), next: next.to_owned() })
    };
    let kind = disk.kind(target)?;
    let is_empty = kind == Some(EntryKind::Directory) && disk.list(target)?.is_empty();
    match (placement, kind) {
        (_, Some(EntryKind::File | EntryKind::Other)) => refuse("is not a directory", "take another target"),
        (Placement::New, Some(_)) if !is_empty => refuse(
            "is there already and not empty",
            "use --merge to add to that store, --replace to take its place, or another target",
        ),
        (Placement::New, _) => Ok(()),
        (Placement::Replace, None) => refuse("is not there to be replaced", "leave out --replace"),
        (Placement::Replace, _) if disk.kind(&paths.replaced())?.is_some() => refuse(
            "was replaced before, and the store of then is still kept next to it",
            "remove that with `haul cas clean`, or take another target",
        ),
        (Placement::Replace, _) => Ok(()),
        (Placement::Merge, None) => refuse("is not there to be merged into", "leave out --merge"),
        (Placement::Merge, _) if disk.kind(&target.join(INDEX_NAME))?.is_none() => refuse(
            "has no index.ndjson: it is no v2 store that anyone can read",
            "run `haul cas verify --repair` on it, or take another target",
        ),
        (Placement::Merge, _) => check_index(disk, target),
    }
}

fn publish_new(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    let (staging, target) = (paths.staging(), paths.target());
    if disk.kind(&staging)?.is_none() {
        return settle(disk, paths, state);
    }
    check_target(disk, paths, Placement::New)?;
    if disk.kind(target)?.is_some() {
        disk.remove_directory(target)?;
    }
    rename_to_free_name(disk, &staging, target)?;
    settle(disk, paths, state)
}

fn publish_replacing(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    let (staging, target) = (paths.staging(), paths.target());
    let exchange = Exchange { disk, paths, run_id: &state.run_id };
    if disk.kind(&staging)?.is_some() && !exchange.is_half_done()? {
        exchange.make(&staging, target)?;
    }
    exchange.settle()?;
    settle(disk, paths, state)
}

/// Makes the renames durable and fails unless the target is the sealed store.
fn settle(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    disk.sync_directory(paths.parent())?;
    disk.sync_directory(paths.run_directory().path())?;
    if is_live(disk, paths, state)? {
        return Ok(());
    }
    Err(Error::State {
        path: paths.target().to_path_buf(),
        what: "the target is not the store that was sealed".into(),
        next: "look at what stands there, move it away, then start over with --restart".into(),
        damaged: true,
        source: None,
    })
}

/// Renames without replacing, also where the file system cannot do that in one call: the run's lock keeps other runs
/// away from the name.
pub(super) fn rename_to_free_name(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    match disk.rename_exclusive(from, to) {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(disk.rename(from, to)?),
        result => Ok(result?),
    }
}

/// True if the publication of a run that is not called published had begun when it died.
pub fn has_begun(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<bool, Error> {
    if state.stage != Stage::Verified {
        return Ok(false);
    }
    let is_staged = disk.kind(&paths.staging())?.is_some();
    match state.rules.placement {
        Placement::New => Ok(!is_staged),
        Placement::Replace => Ok(!is_staged || Exchange { disk, paths, run_id: &state.run_id }.is_half_done()?),
        Placement::Merge => Ok(disk.kind(&paths.index_before())?.is_some()),
    }
}

/// Brings a publication that died half-way to an end, before the state of its run is discarded: the store that was
/// replaced may lie where the run's own was staged, and objects that were moved into a store are in no index yet.
pub fn abandon(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    if !has_begun(disk, paths, state)? {
        return Ok(());
    }
    match state.rules.placement {
        Placement::New => Ok(()),
        Placement::Replace => Exchange { disk, paths, run_id: &state.run_id }.settle(),
        // Its index was replaced, perhaps not durably yet, or written to since, and may list what was moved in.
        Placement::Merge if !has_index_before(disk, paths)? => Ok(disk.sync_directory(paths.target())?),
        Placement::Merge => {
            let file_system = disk.file_system(paths.run_directory().path())?;
            remove_merged(disk, paths, state, &*file_system)
        }
    }
}
