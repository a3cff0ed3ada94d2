//! A run directory, held under its lock by a verb that acts.

use std::io::ErrorKind;
use std::sync::Arc;

use bincode::Decode;

use crate::durable::{Claim, Disk, DiskError, LockGuard, anchored, claimed};
use crate::migration::checkpoint::Kind;
use crate::migration::{CheckpointFile, Error, Journal, JournalEntry, RunDirectory, clock};

/// Stands for the id of a run in the journal where no run is known.
const NO_RUN: &str = "-";

/// A run directory whose lock is held until this drops.
pub struct LockedRun {
    _lock: LockGuard,
    claim: Option<Arc<Claim>>,
    /// The disk that [`create`](Self::create) was given. The run directory is open there and nothing in it is reached
    /// through a link; nothing is changed any more once another host has taken the lock over.
    pub disk: Arc<dyn Disk>,
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
        let ((lock, claim), disk) = lock(disk, run_directory)?;
        let checkpoint = Arc::new(CheckpointFile::new(run_directory.path(), kind));
        let journal = Journal::open(disk.clone(), run_directory.path())?;
        Ok(Self { _lock: lock, claim, disk, checkpoint, journal })
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

    /// Puts the id of a run into the text of the lock, if it is what tells other hosts who has the lock.
    pub fn name_run(&self, run_id: &str) -> Result<(), Error> {
        self.claim.as_ref().map_or(Ok(()), |claim| Ok(claim.name_run(run_id)?))
    }

    /// Returns why this error came up: another host has taken the lock over, or the error itself.
    pub fn reason_of(&self, error: Error) -> Error {
        self.lost().map_or(error, Error::from)
    }

    /// Returns true if another host has taken the lock over.
    pub fn is_lost(&self) -> bool {
        self.lost().is_some()
    }

    fn lost(&self) -> Option<DiskError> {
        let lost = self.claim.as_ref()?.check_now().err()?;
        lost.lock_taken_over_by().is_some().then_some(lost)
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

/// How often a directory is opened again that another process removes before it can be locked.
const OPEN_TRIES: u32 = 100;

/// A lock, and the claim that backs it where it does not reach every host.
type Claimed = (LockGuard, Option<Arc<Claim>>);

/// Opens the run directory and takes its lock.
fn lock(disk: &Arc<dyn Disk>, run_directory: &RunDirectory) -> Result<(Claimed, Arc<dyn Disk>), Error> {
    let mut tries = 0;
    loop {
        run_directory.create(&**disk)?;
        let opened = anchored(disk, run_directory.path()).map_err(Error::from);
        match opened.and_then(|disk| Ok((run_directory.claim(&disk)?, disk))) {
            Err(Error::Disk(error)) if error.kind() == ErrorKind::NotFound && tries < OPEN_TRIES => tries += 1,
            locked => {
                let ((lock, claim), disk) = locked?;
                let disk = claim.as_ref().map_or_else(|| disk.clone(), |claim| claimed(&disk, claim));
                return Ok(((lock, claim), disk));
            }
        }
    }
}

/// True if the place is read-only for this user.
pub fn cannot_be_written(error: &Error) -> bool {
    matches!(error, Error::Disk(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
}
