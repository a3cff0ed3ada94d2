//! A run directory, held under its lock by a verb that acts.

use std::io::ErrorKind;
use std::sync::Arc;

use bincode::Decode;

use crate::durable::{Claim, Disk, LockGuard, claimed};
use crate::migration::checkpoint::Kind;
use crate::migration::{CheckpointFile, Error, Journal, JournalEntry, RunDirectory, clock};

/// Stands for the id of a run in the journal where no run is known.
const NO_RUN: &str = "-";

/// A run directory whose lock is held until this drops.
pub struct LockedRun {
    _lock: LockGuard,
    claim: Option<Arc<Claim>>,
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
        let (lock, claim) = run_directory.create_and_claim(disk)?;
        let disk = guarded(disk, claim.as_ref());
        let checkpoint = Arc::new(CheckpointFile::new(run_directory.path(), kind));
        let journal = Journal::open(disk, run_directory.path())?;
        Ok(Self { _lock: lock, claim, checkpoint, journal })
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

    /// Returns the same disk, through which nothing is changed any more once another host has taken the lock over.
    pub fn guarded(&self, disk: &Arc<dyn Disk>) -> Arc<dyn Disk> {
        guarded(disk, self.claim.as_ref())
    }

    /// Puts the id of a run into the text of the lock, if it is what tells other hosts who has the lock.
    pub fn name_run(&self, run_id: &str) -> Result<(), Error> {
        self.claim.as_ref().map_or(Ok(()), |claim| Ok(claim.name_run(run_id)?))
    }

    /// Returns why this error came up: another host has taken the lock over, or the error itself.
    pub fn reason_of(&self, error: Error) -> Error {
        match self.claim.as_ref().map(|claim| claim.check_now()) {
            Some(Err(lost)) if lost.lock_taken_over_by().is_some() => lost.into(),
            _ => error,
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

fn guarded(disk: &Arc<dyn Disk>, claim: Option<&Arc<Claim>>) -> Arc<dyn Disk> {
    claim.map_or_else(|| disk.clone(), |claim| claimed(disk, claim))
}

/// True if the place is read-only for this user.
pub fn cannot_be_written(error: &Error) -> bool {
    matches!(error, Error::Disk(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
}
