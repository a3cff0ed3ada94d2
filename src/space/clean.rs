//! Removes what no run and no reader needs any more.

use std::sync::Arc;

use serde::Serialize;

use super::estimate::SCRATCH_PREFIX;
use super::live::live_store;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{POINTER, generation};
use crate::durable::{Disk, EntryKind};
use crate::migration::{CheckpointFile, CleanList, Error, HeldRun, Stage, Worth, clean_up};

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
pub type CleanItem = crate::migration::CleanItem<CleanKind>;

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
    let mut list = CleanList::new(disk);
    let is_ours_in_root = |name: &str| name == format!(".{POINTER}.tmp") || name.starts_with(SCRATCH_PREFIX);
    list.add_temporary(paths.root(), EntryKind::File, CleanKind::Temporary, is_ours_in_root)?;
    list.add_temporary(paths.run_directory().path(), EntryKind::File, CleanKind::Temporary, |_| true)?;
    list.add(paths.scratch(), CleanKind::Scratch, Worth::default())?;
    list.add(paths.verification(), CleanKind::Verification, Worth::default())?;
    list.add(paths.staging(), CleanKind::Staging, run.staging())?;
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        if entry.kind == EntryKind::Directory && live.as_deref() != Some(name) {
            list.add(paths.store(name), CleanKind::Store, run.store(name))?;
        }
    }
    Ok(list.items())
}

impl LastRun {
    /// The worth of what is staged.
    fn staging(&self) -> Worth {
        match self {
            Self::None => Worth::default(),
            Self::Known(state) => {
                let unfinished = state.stage < Stage::Sealed;
                Worth { loses_work: unfinished, with_checkpoint: unfinished }
            }
            Self::Unreadable => Worth { loses_work: true, with_checkpoint: false },
        }
    }

    /// The worth of a store that is not live.
    fn store(&self, name: &str) -> Worth {
        match self {
            Self::None => Worth::default(),
            Self::Known(state) if state.store == name => {
                Worth { loses_work: state.stage < Stage::Published, with_checkpoint: true }
            }
            Self::Known(_) => Worth::default(),
            Self::Unreadable => Worth { loses_work: true, with_checkpoint: false },
        }
    }
}

/// Removes these items of a [`clean_plan`], under the lock; the bytes given back. An item that is gone already is passed
/// over; one that has come into use since is an error, before anything is removed.
pub fn clean(disk: Arc<dyn Disk>, paths: &SpacePaths, items: &[CleanItem]) -> Result<u64, Error> {
    if items.is_empty() {
        return Ok(0);
    }
    let held = HeldRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let now = clean_plan(disk.clone(), paths)?;
    let state = held.readable_state::<RunState>(&*disk)?;
    let run_id = state.as_ref().map(|state| state.run_id.as_str());
    clean_up(&*disk, &held, (items, &now), run_id, "haul space clean")
}
