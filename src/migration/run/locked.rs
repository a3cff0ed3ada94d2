//! A run directory, held under its lock by a verb that acts.

use std::io::ErrorKind;
use std::sync::Arc;

use bincode::Decode;

use crate::durable::{Disk, LockGuard};
use crate::migration::checkpoint::Kind;
use crate::migration::{CheckpointFile, Error, Journal, JournalEntry, RunDirectory, clock};

/// Stands for the id of a run in the journal where no run is known.
const NO_RUN: &str = "-";

/// A run directory whose lock is held until this drops.
pub struct LockedRun {
    _lock: LockGuard,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// The journal.
    pub journal: Journal,
}

impl LockedRun {
    /// Takes the lock; the directory is created if it is absent.
    pub fn create(disk: &Arc<dyn Disk>, run_directory: &RunDirectory, kind: Kind) -> Result<Self, Error> {
        // The journal needs a time, and so does every run: nothing is created before that is certain.
        clock::now()?;
        let lock = run_directory.create_and_lock(&**disk)?;
        let checkpoint = Arc::new(CheckpointFile::new(run_directory.path(), kind));
        let journal = Journal::open(disk.clone(), run_directory.path())?;
        Ok(Self { _lock: lock, checkpoint, journal })
    }

    /// Takes the lock if there is a run directory.
    pub fn open(disk: &Arc<dyn Disk>, run_directory: &RunDirectory, kind: Kind) -> Result<Option<Self>, Error> {
        match disk.kind(run_directory.path())? {
            None => Ok(None),
            Some(_) => Self::create(disk, run_directory, kind).map(Some),
        }
    }

    /// Takes the lock, or none where nothing can be written: then nobody else can change anything either.
    pub fn create_if_writable(
        disk: &Arc<dyn Disk>,
        run_directory: &RunDirectory,
        kind: Kind,
    ) -> Result<Option<Self>, Error> {
        match Self::create(disk, run_directory, kind) {
            Err(error) if cannot_be_written(&error) => Ok(None),
            held => held.map(Some),
        }
    }

    /// Appends to the journal under the id of a run, if one is known.
    pub fn note(&self, run_id: Option<&str>, event: &str, detail: serde_json::Value) -> Result<(), Error> {
        self.journal.append(&JournalEntry::now(run_id.unwrap_or(NO_RUN), event, detail))
    }

    /// The checkpoint, or `None` if it is absent or cannot be read.
    pub fn readable_state<T: Decode<()>>(&self, disk: &dyn Disk) -> Result<Option<T>, Error> {
        match self.checkpoint.load(disk) {
            Err(Error::State { .. }) => Ok(None),
            state => state,
        }
    }
}

/// True if the place is read-only for this user.
pub fn cannot_be_written(error: &Error) -> bool {
    matches!(error, Error::Disk(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
}
