//! Removes files that neither a run nor a reader needs.

use std::ffi::OsStr;
use std::sync::Arc;

use serde::Serialize;

use super::migrate::probe::scratch_prefix;
use super::migrate::publish::has_begun;
use super::migrate::publish::swap::{MARK_NAME, marked_by};
use super::migrate::publish::unpublish::is_under_way;
use super::options::Placement;
use super::paths::{INDEX_NAME, StorePaths, TargetPaths};
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, EntryKind};
use crate::migration::{
    CheckpointFile, CleanList, Cleaned, Error, LastRun, RemovalCost, Stage, clean_up, is_temporary_of_run,
};
use crate::pipeline::StopToken;

/// The kinds of removable items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanKind {
    /// Sorted runs.
    Scratch,
    /// Blobs that were being transferred into a store.
    Incoming,
    /// The resume point of a verification that was stopped.
    Verification,
    /// What an earlier clean-up had begun to remove.
    Retired,
    /// A store that is not published.
    Staging,
    /// The object log of a run that no longer needs it.
    Moved,
    /// The object log and the old index, without which a merge cannot be rolled back.
    MergeLog,
    /// A store that was replaced.
    Replaced,
    /// A store that a rollback removed from the target.
    Withdrawn,
    /// A temporary file or directory of a process that crashed.
    Temporary,
}

/// A removable item.
pub type CleanItem = crate::migration::CleanItem<CleanKind>;

/// Lists the removable items. The target, the map, the plan, the journal, the findings and the report are never among
/// them, nor is a replaced store while the one at the target is missing or empty, or if the last run did not replace it.
/// The checkpoint is removed only with an unfinished store. Files that complete an interrupted publication or rollback are
/// not listed.
pub fn clean_plan(disk: Arc<dyn Disk>, paths: &TargetPaths) -> Result<Vec<CleanItem>, Error> {
    let disk = &*disk;
    let checkpoint = CheckpointFile::new(paths.run_directory().path(), CHECKPOINT_KIND);
    let run = LastRun::<RunState>::load(disk, &checkpoint)?;
    let mut list = CleanList::new(disk);
    add_temporary(&mut list, paths)?;
    list.add(paths.run_directory().live_path(), CleanKind::Temporary, RemovalCost::default())?;
    list.add(paths.scratch(), CleanKind::Scratch, RemovalCost::default())?;
    list.add(paths.incoming(), CleanKind::Incoming, RemovalCost::default())?;
    list.add(paths.verification(), CleanKind::Verification, RemovalCost::default())?;
    list.add(paths.run_directory().retired_path(), CleanKind::Retired, RemovalCost::default())?;
    match &run {
        LastRun::Known(state) => add_of_run(&mut list, disk, paths, state)?,
        // If the run is not known, the staged directory may be the store that was replaced.
        _ if marked_by(disk, paths.target())?.is_some() => {}
        LastRun::None => add_all(&mut list, paths, RemovalCost::default())?,
        LastRun::Unreadable => add_all(&mut list, paths, RemovalCost::UNKNOWN)?,
    }
    Ok(list.items())
}

fn add_temporary(list: &mut CleanList<'_, CleanKind>, paths: &TargetPaths) -> Result<(), Error> {
    let kind = CleanKind::Temporary;
    let name = paths.target().file_name().and_then(OsStr::to_str);
    if let Some(prefix) = name.map(scratch_prefix) {
        list.add_scratch(paths.parent(), kind, |name| name.starts_with(&prefix))?;
    }
    let ours = [INDEX_NAME, MARK_NAME].map(|name| format!(".{name}.tmp"));
    list.add_temporary(paths.target(), EntryKind::File, kind, |name| ours.iter().any(|ours| ours == name))?;
    let of_run =
        |name: &str| is_temporary_of_run(name) || name.starts_with(".key-map") || name.starts_with(".index-before");
    list.add_temporary(paths.run_directory().path(), EntryKind::File, kind, of_run)
}

fn add_of_run(
    list: &mut CleanList<'_, CleanKind>,
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
) -> Result<(), Error> {
    match state.stage {
        Stage::Published if is_under_way(disk, paths, state, &StopToken::new())? => Ok(()),
        Stage::Published => {
            // A rollback that crashed before it changed anything left this mark.
            if marked_by(disk, paths.target())?.as_deref() == Some(&*state.run_id) {
                list.add(paths.target().join(MARK_NAME), CleanKind::Temporary, RemovalCost::default())?;
            }
            let log = if state.rules.placement == Placement::Merge { CleanKind::MergeLog } else { CleanKind::Moved };
            list.add(paths.object_log(), log, RemovalCost::default())?;
            list.add(paths.index_before(), log, RemovalCost::default())?;
            // A store that another run has replaced may be the only one with some of its objects.
            if state.rules.placement == Placement::Replace {
                add_replaced(list, disk, paths)?;
            }
            Ok(())
        }
        Stage::RolledBack => add_all(list, paths, RemovalCost::default()),
        _ if has_begun(disk, paths, state, &StopToken::new())? => Ok(()),
        _ => {
            let unfinished = RemovalCost { loses_work: true, with_checkpoint: true };
            list.add(paths.staging(), CleanKind::Staging, unfinished)?;
            list.add(paths.object_log(), CleanKind::Staging, unfinished)
        }
    }
}

/// Adds all files that a run leaves, with the same cost, but no store that was replaced: only the run that did it tells
/// whether the one at the target has taken its place.
fn add_all(list: &mut CleanList<'_, CleanKind>, paths: &TargetPaths, cost: RemovalCost) -> Result<(), Error> {
    list.add(paths.staging(), CleanKind::Staging, cost)?;
    list.add(paths.object_log(), CleanKind::Moved, cost)?;
    list.add(paths.index_before(), CleanKind::Moved, cost)?;
    list.add(paths.withdrawn(), CleanKind::Withdrawn, cost)
}

/// Adds the store that was replaced, unless nothing took its place that readers could use: then it is the only one.
fn add_replaced(list: &mut CleanList<'_, CleanKind>, disk: &dyn Disk, paths: &TargetPaths) -> Result<(), Error> {
    let target = StorePaths::new(paths.target());
    let is_kept = disk.kind(&target.index())? == Some(EntryKind::File)
        && !disk.open_for_read(&target.index())?.is_empty()?
        && disk.kind(&target.objects())?.is_some()
        && !disk.list(&target.objects())?.is_empty();
    if is_kept { list.add(paths.replaced(), CleanKind::Replaced, RemovalCost::default()) } else { Ok(()) }
}

/// Removes these items of a [`clean_plan`] under the lock. Skips items that are gone already and names those that the system
/// does not let go. Fails before it removes anything if one of them has come into use since.
pub fn clean(disk: Arc<dyn Disk>, paths: &TargetPaths, items: &[CleanItem]) -> Result<Cleaned, Error> {
    let place = (&paths.run_directory(), CHECKPOINT_KIND);
    let plan = || clean_plan(disk.clone(), paths);
    clean_up(&disk, place, items, plan, |state: RunState| state.run_id, "haul cas clean")
}
