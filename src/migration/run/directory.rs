//! The directory that holds the state of a run, and the lock that keeps a second run out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::check_entries;
use crate::durable::{
    Claim, ClaimText, Disk, DiskError, Link, LockGuard, LockReach, create_directory_durable, lock_holder, parent_of,
};
use crate::migration::forecast::ESTIMATE_NAME;
use crate::migration::{Error, checkpoint, journal, report};

/// The name of the lock in a directory in which files are replaced. It exists while it is held, and after a crash.
pub const DIRECTORY_LOCK: &str = ".haul.lock";
/// How often a directory is created again that another process removes before it can be locked.
const CREATE_TRIES: u32 = 100;

/// `migration/` next to the target: lock, plan, checkpoint, journal, findings and report of a run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
    /// The store that the runs are about, if its writers may lock it from inside.
    store: Option<PathBuf>,
}

impl RunDirectory {
    /// The run directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), store: None }
    }

    /// Names the store that the runs are about. A writer that may not write in the run directory locks the store from
    /// inside; see [`StoreLock`](super::directory_locks::StoreLock).
    pub fn of_store(self, store: impl Into<PathBuf>) -> Self {
        Self { store: Some(store.into()), ..self }
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

    /// Creates it, and takes the lock.
    pub fn create_and_lock(&self, disk: &dyn Disk) -> Result<LockGuard, Error> {
        Ok(self.create_and_open(disk)?.0)
    }

    /// Creates it, takes the lock, and returns the disk with the directory opened, if the disk has links.
    fn create_and_open(&self, disk: &dyn Disk) -> Result<(LockGuard, Option<Arc<dyn Disk>>), Error> {
        for _ in 0..CREATE_TRIES {
            self.create(disk)?;
            match self.lock_opened(disk) {
                // A process that had created it for its own lock has just removed it.
                Err(Error::Disk(error)) if error.kind() == ErrorKind::NotFound => {}
                lock => return lock,
            }
        }
        self.lock_opened(disk)
    }

    /// Takes the lock in the directory as it is opened now, which is not a link.
    fn lock_opened(&self, disk: &dyn Disk) -> Result<(LockGuard, Option<Arc<dyn Disk>>), Error> {
        let opened = disk.anchored(&self.path, Link::Refused)?;
        Ok((self.lock(opened.as_deref().unwrap_or(disk))?, opened))
    }

    /// Takes the lock of the directory, which exists, also of other hosts where it does not reach them.
    pub fn claim(&self, disk: &Arc<dyn Disk>) -> Result<(LockGuard, Option<Arc<Claim>>), Error> {
        match disk.lock_reach(self.path())? {
            LockReach::EveryHost => Ok((self.lock(&**disk)?, None)),
            LockReach::ThisHost(times) => {
                let text = ClaimText::new(&owner_text());
                let guard = self.lock_as(&**disk, &text.to_string())?;
                let claim = Claim::settle(disk.clone(), self.lock_path(), text, times)?;
                Ok((guard, Some(Arc::new(claim))))
            }
        }
    }

    fn lock_as(&self, disk: &dyn Disk, owner: &str) -> Result<LockGuard, Error> {
        let guard = disk.try_lock(&self.lock_path(), owner)?.map_err(|owner| Error::Locked { owner })?;
        // Each takes its own lock before it looks for the other's, so at least one of two notices.
        let inside = self.store.as_ref().and_then(|store| lock_holder(&store.join(DIRECTORY_LOCK)));
        inside.map_or(Ok(guard), |owner| Err(Error::Locked { owner }))
    }

    /// Takes the lock, held until the guard drops or the process ends. The directory must exist.
    pub fn lock(&self, disk: &dyn Disk) -> Result<LockGuard, Error> {
        self.lock_as(disk, &owner_text())
    }

    /// Fails if another process holds the lock, or if that cannot be found out.
    pub fn check_free(&self, disk: &dyn Disk) -> Result<(), Error> {
        match disk.open_for_read(&self.lock_path()) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => self.lock_holder().map_or(Ok(()), |owner| Err(Error::Locked { owner })),
        }
    }

    /// Who holds the lock, `None` if nobody does. Writes nothing.
    pub fn lock_holder(&self) -> Option<String> {
        lock_holder(&self.lock_path())
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

    /// The last estimate.
    pub fn estimate_path(&self) -> PathBuf {
        self.path.join(ESTIMATE_NAME)
    }

    /// The report of the last run.
    pub fn report_path(&self) -> PathBuf {
        self.path.join(report::FILE_NAME)
    }

    /// What a run that is under way shows other processes. One that was killed leaves it.
    pub fn live_path(&self) -> PathBuf {
        self.path.join("live.json")
    }
}

/// The lock of a run directory, for a moment and without a run: a directory that has nothing else is removed with it.
pub struct EphemeralLock<'a> {
    disk: &'a dyn Disk,
    /// The disk with the directory opened.
    opened: Option<Arc<dyn Disk>>,
    directory: RunDirectory,
    guard: Option<LockGuard>,
}

impl<'a> EphemeralLock<'a> {
    /// Takes the lock, and creates the directory if it does not exist.
    pub fn take(disk: &'a dyn Disk, directory: &RunDirectory) -> Result<Self, Error> {
        let (guard, opened) = directory.create_and_open(disk)?;
        Ok(Self { disk, opened, directory: directory.clone(), guard: Some(guard) })
    }

    fn disk(&self) -> &dyn Disk {
        self.opened.as_deref().unwrap_or(self.disk)
    }

    /// Removes the directory durably, for a place in which nothing but what was made there may be found afterwards. Others
    /// are kept out until this drops.
    pub fn remove(&mut self) -> Result<(), DiskError> {
        self.disk().remove_file(&self.directory.lock_path())?;
        self.disk().remove_directory(self.directory.path())?;
        self.disk().sync_directory(parent_of(self.directory.path()))
    }
}

impl Drop for EphemeralLock<'_> {
    fn drop(&mut self) {
        // Every writer there needs the lock, so nothing appears meanwhile. A directory that stays does no harm.
        let path = self.directory.path();
        if self.disk().list(path).is_ok_and(|entries| entries.len() == 1) {
            let _ = self.disk().remove_file(&self.directory.lock_path());
            let _ = self.disk().remove_directory(path);
        }
        drop(self.guard.take());
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
    fn a_lock_for_a_moment_leaves_nothing_and_lets_a_run_begin_at_any_time() {
        let root = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(root.path().join("migration"));
        let busy = |error: &Error| matches!(error, Error::Locked { .. });
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let lock = EphemeralLock::take(&RealDisk, &run).map(drop);
                        assert!(lock.as_ref().err().is_none_or(busy), "{lock:?}");
                    }
                });
            }
            for _ in 0..100 {
                let lock = run.create_and_lock(&RealDisk);
                assert!(lock.as_ref().is_ok_and(|_| run.lock_path().exists()) || lock.is_err_and(|e| busy(&e)));
            }
        });
        let kept = RunDirectory::new(root.path().join("kept"));
        drop(EphemeralLock::take(&RealDisk, &kept).unwrap());
        assert!(!kept.path().exists());
        kept.create(&RealDisk).unwrap();
        RealDisk.write_new_file(&kept.plan_path(), b"{}").unwrap();
        drop(EphemeralLock::take(&RealDisk, &kept).unwrap());
        assert!(kept.plan_path().exists() && kept.lock_path().exists(), "a run has left something there");
    }

    #[test]
    fn a_directory_that_became_a_link_is_not_locked_through_it() {
        let root = tempfile::tempdir().unwrap();
        let (run, outside) = (RunDirectory::new(root.path().join("migration")), root.path().join("outside"));
        RealDisk.create_directory(&outside).unwrap();
        RealDisk.write_new_file(&outside.join("lock"), b"kept").unwrap();
        std::os::unix::fs::symlink(&outside, run.path()).unwrap();
        // What `create_and_lock` does after it has found a directory there.
        assert!(run.lock_opened(&RealDisk).is_err());
        RealDisk.remove_file(run.path()).unwrap();
        let lock = EphemeralLock::take(&RealDisk, &run).unwrap();
        RealDisk.rename(run.path(), &root.path().join("aside")).unwrap();
        std::os::unix::fs::symlink(&outside, run.path()).unwrap();
        drop(lock);
        assert_eq!(RealDisk.open_for_read(&outside.join("lock")).unwrap().len().unwrap(), 4);
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
