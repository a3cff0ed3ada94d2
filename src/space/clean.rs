//! Removes what no run and no reader needs any more.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::estimate::SCRATCH_PREFIX;
use super::live::live_store;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{POINTER, generation};
use crate::durable::{Disk, EntryKind, directory_bytes, remove_tree};
use crate::migration::{CheckpointFile, Error, HeldRun, Stage};

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
    /// A file that was to replace another when its writer died.
    Temporary,
}

/// Something that can be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanItem {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: CleanKind,
    /// Bytes that its removal gives back.
    pub bytes: u64,
    /// True if a run could still go on from it.
    pub loses_work: bool,
    /// True if the checkpoint describes it and goes first.
    pub with_checkpoint: bool,
}

/// What the checkpoint tells of the last run.
enum LastRun {
    None,
    Known(Box<RunState>),
    /// There is a checkpoint, perhaps of a newer version: what it describes may be of use.
    Unreadable,
}

/// Lists what can be removed. The log, the pointer and the live store are never among it, and neither are journal and
/// reports.
pub fn clean_plan(disk: Arc<dyn Disk>, paths: &SpacePaths) -> Result<Vec<CleanItem>, Error> {
    let disk = &*disk;
    let live = live_store(disk, paths)?;
    let checkpoint = CheckpointFile::new(paths.run_directory().path(), CHECKPOINT_KIND);
    let run = match checkpoint.load::<RunState>(disk) {
        Ok(None) => LastRun::None,
        Ok(Some(state)) => LastRun::Known(Box::new(state)),
        Err(Error::State { .. }) => LastRun::Unreadable,
        Err(error) => return Err(error),
    };
    let mut items = Vec::new();
    let mut add = |path: PathBuf, kind, loses_work, with_checkpoint| -> Result<(), Error> {
        if disk.kind(&path)?.is_some() {
            let bytes = directory_bytes(disk, &path)?;
            items.push(CleanItem { path, kind, bytes, loses_work, with_checkpoint });
        }
        Ok(())
    };
    for path in temporary_files(disk, paths)? {
        add(path, CleanKind::Temporary, false, false)?;
    }
    add(paths.scratch(), CleanKind::Scratch, false, false)?;
    add(paths.verification(), CleanKind::Verification, false, false)?;
    let (unfinished, of_checkpoint) = run.staging();
    add(paths.staging(), CleanKind::Staging, unfinished, of_checkpoint)?;
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        if entry.kind == EntryKind::Directory && live.as_deref() != Some(name) {
            let (loses_work, of_checkpoint) = run.store(name);
            add(paths.store(name), CleanKind::Store, loses_work, of_checkpoint)?;
        }
    }
    Ok(items)
}

impl LastRun {
    /// Of what is staged: whether work is lost with it, and whether the checkpoint describes it.
    fn staging(&self) -> (bool, bool) {
        match self {
            Self::None => (false, false),
            Self::Known(state) => {
                let unfinished = state.stage < Stage::Sealed;
                (unfinished, unfinished)
            }
            Self::Unreadable => (true, false),
        }
    }

    /// The same of a store that is not live.
    fn store(&self, name: &str) -> (bool, bool) {
        match self {
            Self::None => (false, false),
            Self::Known(state) if state.store == name => (state.stage < Stage::Published, true),
            Self::Known(_) => (false, false),
            Self::Unreadable => (true, false),
        }
    }
}

/// Files that haul replaces in one step, under the name that they have until then.
fn temporary_files(disk: &dyn Disk, paths: &SpacePaths) -> Result<Vec<PathBuf>, Error> {
    let is_ours_in_root = |name: &str| name == format!(".{POINTER}.tmp") || name.starts_with(SCRATCH_PREFIX);
    let mut found = list_temporary(disk, paths.root(), is_ours_in_root)?;
    found.extend(list_temporary(disk, paths.run_directory().path(), |_| true)?);
    Ok(found)
}

fn list_temporary(disk: &dyn Disk, directory: &Path, is_ours: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    if disk.kind(directory)?.is_none() {
        return Ok(Vec::new());
    }
    let is_temporary = |name: &OsStr| {
        name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp") && is_ours(name))
    };
    let entries = disk.list(directory)?.into_iter();
    Ok(entries
        .filter(|entry| entry.kind == EntryKind::File && is_temporary(&entry.name))
        .map(|entry| directory.join(entry.name))
        .collect())
}

/// Removes these items of a [`clean_plan`], under the lock; the bytes given back. An item that is gone already is passed
/// over; one that has come into use since is an error, before anything is removed.
pub fn clean(disk: Arc<dyn Disk>, paths: &SpacePaths, items: &[CleanItem]) -> Result<u64, Error> {
    if items.is_empty() {
        return Ok(0);
    }
    let held = HeldRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let mut chosen = Vec::new();
    let now = clean_plan(disk.clone(), paths)?;
    for item in items {
        match now.iter().find(|current| current.path == item.path) {
            Some(current) if current.loses_work && !item.loses_work => return Err(in_use(&item.path)),
            Some(current) => chosen.push(current.clone()),
            None if disk.kind(&item.path)?.is_none() => {}
            None => return Err(in_use(&item.path)),
        }
    }
    let state = held.readable_state::<RunState>(&*disk)?;
    // First the checkpoint: it must never describe what is half removed.
    if chosen.iter().any(|item| item.with_checkpoint) {
        held.checkpoint.remove(&*disk)?;
    }
    let mut bytes = 0;
    for item in &chosen {
        remove_tree(&*disk, &item.path)?;
        bytes += item.bytes;
    }
    if !chosen.is_empty() {
        let removed: Vec<_> = chosen.iter().map(|item| item.path.display().to_string()).collect();
        held.note(
            state.as_ref().map(|state| state.run_id.as_str()),
            "cleaned",
            json!({ "removed": removed, "bytes": bytes }),
        )?;
    }
    Ok(bytes)
}

fn in_use(path: &Path) -> Error {
    Error::Usage {
        what: format!("{} has come into use since the clean-up was planned", path.display()),
        next: "run `haul space clean` again to see what can be removed now".into(),
    }
}
