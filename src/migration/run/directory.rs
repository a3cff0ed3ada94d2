//! The directory that holds the state of a run, and the lock that keeps a second run out.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::entries::check_entries;
use crate::durable::{Disk, LockGuard, create_directory_durable, open_state_file};
use crate::migration::{Error, checkpoint, journal};

/// The longest text that is read of a lock's holder.
const OWNER_BYTES_MAX: u64 = 4096;

/// `migration/` next to the target: lock, plan, checkpoint, journal, findings and report of a run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The run directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Fails if something in it has a name that haul uses and cannot be haul's.
    pub fn check(&self, disk: &dyn Disk) -> Result<(), Error> {
        check_entries(disk, &self.path)
    }

    /// Creates it durably, with the directories above it that are missing. An existing one is no error, unless something
    /// in it has a name that haul uses and cannot be haul's.
    pub fn create(&self, disk: &dyn Disk) -> Result<(), Error> {
        self.check(disk)?;
        Ok(create_directory_durable(disk, &self.path)?)
    }

    /// Takes the lock, held until the guard drops or the process ends. The directory must exist.
    pub fn lock(&self, disk: &dyn Disk) -> Result<LockGuard, Error> {
        disk.try_lock(&self.lock_path(), &owner_text())?.map_err(|owner| Error::Locked { owner })
    }

    /// Who holds the lock, `None` if nobody does. Asks for a shared lock, which no run shares, and gives it back at
    /// once. Writes nothing.
    pub fn lock_holder(&self) -> Option<String> {
        let file: File = open_state_file(&self.lock_path()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.take(OWNER_BYTES_MAX).read_to_end(&mut text).ok()?;
                Some(String::from_utf8_lossy(&text).into_owned())
            }
            _ => None,
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock file; its text names who holds it.
    pub fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The plan that the run carries out.
    pub fn plan_path(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// The current checkpoint.
    pub fn checkpoint_path(&self) -> PathBuf {
        self.path.join(checkpoint::FILE_NAME)
    }

    /// The journal.
    pub fn journal_path(&self) -> PathBuf {
        self.path.join(journal::FILE_NAME)
    }

    /// The findings, one JSON line each.
    pub fn findings_path(&self) -> PathBuf {
        self.path.join("findings.jsonl")
    }

    /// What is being removed: a directory that had another name until then.
    pub fn retired_path(&self) -> PathBuf {
        self.path.join("retired")
    }

    /// The report of the last run.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.json")
    }
}

/// Names this process for a user who finds the lock taken: `pid 123 on host since 2026-11-21T01:18:00.000Z`.
pub fn owner_text() -> String {
    let uname = rustix::system::uname();
    format!("pid {} on {} since {}", std::process::id(), uname.nodename().to_string_lossy(), journal::now_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{EntryKind, RealDisk};
    use crate::migration::test_disk::{crash_faults, disk};

    #[test]
    fn the_owner_says_who_where_and_since_when() {
        let owner = owner_text();
        let words: Vec<_> = owner.split(' ').collect();
        let pid = std::process::id().to_string();
        assert_eq!((words.len(), words[0], words[1], words[2], words[4]), (6, "pid", pid.as_str(), "on", "since"));
        assert!(words[5].ends_with('Z'), "{owner}");
    }

    #[test]
    fn it_survives_every_crash_once_created_and_may_be_created_again() {
        let disk = disk();
        let run = RunDirectory::new("/space/main/migration");
        run.create(&disk).unwrap();
        run.create(&disk).unwrap();
        for fault in crash_faults() {
            let image = disk.crash_image(disk.operations(), fault);
            assert_eq!(image.kind(run.path()).unwrap(), Some(EntryKind::Directory), "{fault:?}");
        }
    }

    #[test]
    fn a_second_run_learns_who_holds_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(root.path().join("space/migration"));
        run.create(&RealDisk).unwrap();
        assert_eq!(run.lock_holder(), None);
        let guard = run.lock(&RealDisk).unwrap();
        assert!(run.lock_holder().unwrap().starts_with(&format!("pid {} on ", std::process::id())));
        let error = run.lock(&RealDisk).unwrap_err();
        let expected = format!("another run is active: pid {} on ", std::process::id());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
        drop(guard);
        assert_eq!(run.lock_holder(), None);
        run.lock(&RealDisk).unwrap();
    }
}
