//! Removes what no run and no reader needs any more.

use std::sync::Arc;

use serde::Serialize;

use super::apart::check_log_apart;
use super::current_store::live_store;
use super::leftovers::foreign_entries;
use super::migrate::probe::SCRATCH_PREFIX;
use super::only_copy::{OnlyCopy, only_copy};
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{POINTER, generation};
use super::store::whole::foreign_part;
use crate::durable::{Disk, EntryKind, parent_of};
use crate::migration::{
    CheckpointFile, CleanList, Cleaned, Error, LastRun, RemovalCost, Stage, clean_up, is_temporary_of_run,
};

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanKind {
    /// Sorted runs of an index that is or was being made.
    Scratch,
    /// The place of a verification that was stopped.
    Verification,
    /// A store that is not sealed.
    Staging,
    /// A sealed store that readers do not take.
    Store,
    /// What is left of a store whose removal was interrupted.
    Retired,
    /// What its writer has left: a file that was to replace another, what a killed run has shown of itself, or the samples of
    /// an estimate.
    Temporary,
}

/// Something that can be removed.
pub type CleanItem = crate::migration::CleanItem<CleanKind>;

/// Lists what can be removed. The log, the pointer and the live store are never among it, and neither are journal and
/// reports.
pub fn clean_plan(disk: Arc<dyn Disk>, paths: &SpacePaths) -> Result<Vec<CleanItem>, Error> {
    let disk = &*disk;
    if disk.is_system() {
        check_log_apart(paths)?;
    }
    let live = live_store(disk, paths)?;
    let checkpoint = CheckpointFile::new(paths.run_directory().path(), CHECKPOINT_KIND);
    let run = LastRun::load(disk, &checkpoint)?;
    let mut list = CleanList::new(disk);
    let is_ours_in_root = |name: &str| name == format!(".{POINTER}.tmp") || name.starts_with(SCRATCH_PREFIX);
    list.add_temporary(paths.root(), EntryKind::File, CleanKind::Temporary, is_ours_in_root)?;
    list.add_scratch(paths.root(), CleanKind::Temporary, |name| name.starts_with(SCRATCH_PREFIX))?;
    list.add_temporary(paths.run_directory().path(), EntryKind::File, CleanKind::Temporary, is_temporary_of_run)?;
    list.add(paths.run_directory().live_path(), CleanKind::Temporary, RemovalCost::default())?;
    let foreign = foreign_entries(disk, paths)?;
    for (directory, kind, worth) in [
        (paths.scratch(), CleanKind::Scratch, RemovalCost::default()),
        (paths.verification(), CleanKind::Verification, RemovalCost::default()),
        (paths.staging(), CleanKind::Staging, worth_of_staging(&run)),
        (paths.run_directory().retired_path(), CleanKind::Retired, RemovalCost::default()),
    ] {
        if foreign.iter().all(|entry| entry.parent() != Some(&*directory)) {
            list.add(directory, kind, worth)?;
        }
    }
    let only = only_copy_of_the_log(disk, paths, live.as_deref())?;
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        let may_go = live.as_deref() != Some(name) && only.as_ref().is_none_or(|only| only.store != name);
        if may_go && foreign_part(disk, &paths.store(name))?.is_none() {
            list.add(paths.store(name), CleanKind::Store, worth_of_store(&run, name))?;
        }
    }
    Ok(list.items())
}

/// While readers take the log, a store that the log cannot give again stays.
fn only_copy_of_the_log(disk: &dyn Disk, paths: &SpacePaths, live: Option<&str>) -> Result<Option<OnlyCopy>, Error> {
    if live.is_none() { only_copy(disk, paths) } else { Ok(None) }
}

/// Something that has the name of a store or of a directory of runs, and is never removed: haul cannot prove that it made
/// it, or it may be the only copy of its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// Its path, relative to the space.
    pub name: String,
    /// Why it stays.
    pub reason: String,
}

/// Lists what has a name of haul's and is left alone by [`clean`].
pub fn left_alone(disk: &dyn Disk, paths: &SpacePaths) -> Result<Vec<LeftAlone>, Error> {
    let mut left = Vec::new();
    let live = live_store(disk, paths)?;
    if let Some(OnlyCopy { store, problem, .. }) = only_copy_of_the_log(disk, paths, live.as_deref())? {
        left.push(LeftAlone { name: store, reason: format!("may be the only copy of its nodes: {problem}") });
    }
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        if let Some(reason) = foreign_part(disk, &paths.store(name))? {
            left.push(LeftAlone { name: name.to_owned(), reason });
        }
    }
    for foreign in foreign_entries(disk, paths)? {
        let directory = parent_of(&foreign);
        let name = directory.strip_prefix(paths.root()).unwrap_or(directory).display().to_string();
        let entry = foreign.file_name().unwrap_or_default().display();
        left.push(LeftAlone { name, reason: format!("holds {entry}, which no run of haul makes") });
    }
    Ok(left)
}

fn worth_of_staging(run: &LastRun<RunState>) -> RemovalCost {
    match run {
        LastRun::None => RemovalCost::default(),
        LastRun::Known(state) => {
            let unfinished = state.stage < Stage::Sealed;
            RemovalCost { loses_work: unfinished, with_checkpoint: unfinished }
        }
        LastRun::Unreadable => RemovalCost::UNKNOWN,
    }
}

/// The worth of a store that is not live.
fn worth_of_store(run: &LastRun<RunState>, name: &str) -> RemovalCost {
    match run {
        LastRun::Known(state) if &*state.progress.store == name => {
            RemovalCost { loses_work: state.stage < Stage::Published, with_checkpoint: true }
        }
        LastRun::None | LastRun::Known(_) => RemovalCost::default(),
        LastRun::Unreadable => RemovalCost::UNKNOWN,
    }
}

/// Removes these items of a [`clean_plan`], under the lock. Skips items that are gone already and names those that the system
/// does not let go. Fails before it removes anything if one of them has come into use since.
pub fn clean(disk: Arc<dyn Disk>, paths: &SpacePaths, items: &[CleanItem]) -> Result<Cleaned, Error> {
    let disk = paths.limited(&disk)?;
    let place = (&paths.run_directory(), CHECKPOINT_KIND);
    let plan = || clean_plan(disk.clone(), paths);
    clean_up(&disk, place, items, plan, |state: RunState| state.run_id, "haul space clean")
}
