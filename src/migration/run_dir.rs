//! The directory that holds the state of a run, and the lock that keeps a second run out.

use std::path::{Path, PathBuf};

use super::{Error, checkpoint, files, journal};
use crate::durable::{Disk, EntryKind, LockGuard};

/// `migration/` beside the target: lock, plan, checkpoint, journal, findings and report of a run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The run directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Creates it durably unless it exists. Its parent must exist.
    pub fn create(&self, disk: &dyn Disk) -> Result<(), Error> {
        match disk.kind(&self.path)? {
            None => disk.create_directory(&self.path)?,
            Some(EntryKind::Directory) => {}
            Some(_) => {
                return Err(Error::State {
                    path: self.path.clone(),
                    what: "the state of a run belongs here, but this is not a directory".into(),
                    next: "move it away, then run the same command again".into(),
                    damaged: false,
                });
            }
        }
        // Also where it exists: the run that created it may have crashed before this step.
        Ok(disk.sync_directory(files::parent(&self.path))?)
    }

    /// Takes the lock, held until the guard drops or the process ends. The directory must exist.
    pub fn lock(&self, disk: &dyn Disk) -> Result<LockGuard, Error> {
        disk.try_lock(&self.lock_path(), &owner_text())?.map_err(|owner| Error::Locked { owner })
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

    /// The report of the last run.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.json")
    }
}

/// Who this process is, for whoever finds the lock taken: `pid 123 on host since 2026-11-21T01:18:00.000Z`.
fn owner_text() -> String {
    let uname = rustix::system::uname();
    format!("pid {} on {} since {}", std::process::id(), uname.nodename().to_string_lossy(), journal::now_text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::memory_disk::MemoryDisk;

    #[test]
    fn the_owner_says_who_where_and_since_when() {
        let owner = owner_text();
        let words: Vec<_> = owner.split(' ').collect();
        let pid = std::process::id().to_string();
        assert_eq!((words.len(), words[0], words[1], words[2], words[4]), (6, "pid", pid.as_str(), "on", "since"));
        assert!(words[5].ends_with('Z'), "{owner}");
    }

    #[test]
    fn creating_it_twice_is_no_error_and_both_times_synced() {
        let disk = MemoryDisk::new();
        let run = RunDirectory::new("/space/migration");
        run.create(&disk).unwrap();
        run.create(&disk).unwrap();
        assert_eq!(disk.kind(run.path()).unwrap(), Some(EntryKind::Directory));
        disk.fail_after(0);
        run.create(&disk).unwrap_err();
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let disk = MemoryDisk::new();
        disk.put(Path::new("/space/migration"), b"");
        let error = RunDirectory::new("/space/migration").create(&disk).unwrap_err();
        assert!(error.to_string().contains("not a directory"), "{error}");
    }
}
