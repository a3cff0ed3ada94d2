//! The run directory of a space, held under its lock by a verb that acts.

use std::io::ErrorKind;
use std::sync::Arc;

use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{POINTER_TO_LOG, generation};
use crate::durable::{Disk, LockGuard};
use crate::migration::{CheckpointFile, Error, Journal, JournalEntry, Stage, pointer};

/// Stands for the id of a run in the journal where no run is known.
const NO_RUN: &str = "-";

/// A run directory whose lock is held until this drops.
pub(super) struct HeldRun {
    _lock: LockGuard,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// The journal.
    pub journal: Journal,
}

impl HeldRun {
    /// Takes the lock; the directory is created if it is absent.
    pub fn create(disk: &Arc<dyn Disk>, paths: &SpacePaths) -> Result<Self, Error> {
        let run_directory = paths.run_directory();
        run_directory.create(&**disk)?;
        let lock = run_directory.lock(&**disk)?;
        let checkpoint = Arc::new(CheckpointFile::new(run_directory.path(), CHECKPOINT_KIND));
        let journal = Journal::open(disk.clone(), run_directory.path())?;
        Ok(Self { _lock: lock, checkpoint, journal })
    }

    /// Takes the lock if there is a run directory.
    pub fn open(disk: &Arc<dyn Disk>, paths: &SpacePaths) -> Result<Option<Self>, Error> {
        match disk.kind(paths.run_directory().path())? {
            None => Ok(None),
            Some(_) => Self::create(disk, paths).map(Some),
        }
    }

    /// Takes the lock, or none where nothing can be written: then nobody else can change anything either.
    pub fn create_if_writable(disk: &Arc<dyn Disk>, paths: &SpacePaths) -> Result<Option<Self>, Error> {
        match Self::create(disk, paths) {
            Err(error) if cannot_be_written(&error) => Ok(None),
            held => held.map(Some),
        }
    }

    /// Appends to the journal under the id of the run in `state`.
    pub fn note(&self, state: Option<&RunState>, event: &str, detail: serde_json::Value) -> Result<(), Error> {
        let run_id = state.map_or(NO_RUN, |state| state.run_id.as_str());
        self.journal.append(&JournalEntry::now(run_id, event, detail))
    }

    /// The checkpoint, or `None` if it is absent or cannot be read.
    pub fn readable_state(&self, disk: &dyn Disk) -> Result<Option<RunState>, Error> {
        match self.checkpoint.load(disk) {
            Err(Error::State { .. }) => Ok(None),
            state => state,
        }
    }
}

/// True if the place is read-only for this user.
pub(super) fn cannot_be_written(error: &Error) -> bool {
    matches!(error, Error::Disk(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
}

/// The store that readers take, `None` while they take the log.
pub(super) fn live_store(disk: &dyn Disk, paths: &SpacePaths) -> Result<Option<String>, Error> {
    Ok(pointer::read(disk, paths.root())?.filter(|value| value != POINTER_TO_LOG))
}

/// The store of this name, else the live one, else that of the last run if it is sealed.
pub(super) fn choose_store(disk: &dyn Disk, paths: &SpacePaths, named: Option<&str>) -> Result<String, Error> {
    if let Some(name) = named {
        if generation(name).is_some() && disk.kind(&paths.store(name))?.is_some() {
            return Ok(name.to_owned());
        }
        return Err(Error::Usage {
            what: format!("{} has no store {name:?}", paths.root().display()),
            next: "run `haul space status` to see the stores".into(),
        });
    }
    if let Some(live) = live_store(disk, paths)? {
        return Ok(live);
    }
    let checkpoint = CheckpointFile::new(paths.run_directory().path(), CHECKPOINT_KIND);
    match checkpoint.load::<RunState>(disk)? {
        Some(state) if state.stage >= Stage::Sealed => Ok(state.store),
        _ => Err(Error::Usage {
            what: format!("{} has no sealed store", paths.root().display()),
            next: "run `haul space migrate` first".into(),
        }),
    }
}
