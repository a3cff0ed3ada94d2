//! The lock of a database file: an OS lock on a file next to it, which contains the owner.
//!
//! The lock ends with the process that holds it, even if that is killed. SQLite's own locks protect single
//! transactions; this lock protects a run from its first read of the ledger to its last write.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::system::uname;

use crate::db::database::LockHolder;
use crate::durable::{Disk, LockGuard, RealDisk, lock_holder};
use crate::migration::Error;

/// How often the name of the holder is read until it is one that can be true.
const READS_MAX: u32 = 10;
/// How long to wait after each signal.
const GRACE: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the path of the lock file: next to the database file, also if `path` is a link to it.
pub fn lock_path(path: &Path) -> PathBuf {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut name = OsString::from(file.file_name().unwrap_or_default());
    name.push(".haul-lock");
    file.with_file_name(name)
}

/// Returns true if a run has begun on this database. An empty file is then one whose first transaction was not
/// committed.
pub fn has_lock_file(path: &Path) -> bool {
    lock_path(path).exists()
}

/// Takes the lock. The inner error names the holder.
pub fn take(path: &Path, owner: &str) -> Result<Result<LockGuard, LockHolder>, Error> {
    Ok(RealDisk.try_lock(&lock_path(path), owner)?.map_err(|owner| holder(path).unwrap_or_else(|| holder_of(&owner))))
}

/// Returns the holder of the lock.
pub fn holder(path: &Path) -> Option<LockHolder> {
    let path = lock_path(path);
    settled(|| Some(holder_of(&lock_holder(&path)?)), |holder| is_gone(holder, &uname().nodename().to_string_lossy()))
}

/// Reads the holder again while it is one that cannot hold the lock: a run has the lock for a moment before its name is in
/// the file, and until then the file names the run before it.
fn settled(
    mut read: impl FnMut() -> Option<LockHolder>,
    cannot_hold: impl Fn(&LockHolder) -> bool,
) -> Option<LockHolder> {
    for _ in 0..READS_MAX {
        let found = read()?;
        if !cannot_hold(&found) {
            return Some(found);
        }
        thread::sleep(POLL_INTERVAL);
    }
    // It is in a container with the same name, say, whose processes are not to be seen from here.
    read()
}

/// Returns true if the holder was a process of this host, and has ended.
fn is_gone(holder: &LockHolder, this_host: &str) -> bool {
    let is_here = holder.owner.split(' ').skip_while(|word| *word != "on").nth(1) == Some(this_host);
    let processes = Path::new("/proc");
    is_here
        && holder.pid.is_some_and(|pid| !processes.join(pid.to_string()).exists())
        && processes.join("self").exists()
}

/// Parses `pid 123 on host since 2026-11-21T01:18:00.000Z`.
fn holder_of(owner: &str) -> LockHolder {
    let words: Vec<_> = owner.split(' ').collect();
    let after = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).map(|word| (*word).to_owned());
    LockHolder {
        owner: owner.to_owned(),
        pid: after("pid").and_then(|pid| pid.parse().ok()),
        since: after("since"),
        client: None,
        ledger: None,
    }
}

/// Asks the holder to end, and kills it if it does not. The next connection to the database rolls back what the holder
/// has not committed.
pub fn end_holder(path: &Path, holder: &LockHolder) -> Result<(), Error> {
    let pid = own_process(path, holder)?;
    for (signal, wait) in [(Signal::TERM, GRACE), (Signal::KILL, GRACE)] {
        if self::holder(path).as_ref() != Some(holder) {
            return Ok(());
        }
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(cannot_end(holder, &format!("cannot signal it: {error}"))),
        }
        wait_for_end(path, holder, wait);
    }
    match self::holder(path).as_ref() == Some(holder) {
        true => Err(cannot_end(holder, "it holds the lock after it was killed")),
        false => Ok(()),
    }
}

fn wait_for_end(path: &Path, holder: &LockHolder, wait: Duration) {
    let deadline = Instant::now() + wait;
    while self::holder(path).as_ref() == Some(holder) && Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the process if it runs on this host and has the lock file open. The number in the file alone is not enough:
/// another process may have it by now.
fn own_process(path: &Path, holder: &LockHolder) -> Result<Pid, Error> {
    let pid = holder.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return Err(cannot_end(holder, "the lock file does not say which process it is"));
    };
    let lock = lock_path(path).canonicalize().ok();
    let descriptors = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let has_it_open = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|file| Some(file) == lock);
    if has_it_open {
        Ok(pid)
    } else {
        Err(cannot_end(holder, "it is not a process of this host that this user may end"))
    }
}

fn cannot_end(holder: &LockHolder, why: &str) -> Error {
    Error::Database {
        what: format!("the run that holds the lock cannot be ended ({}): {why}", holder.owner),
        next: "end that process on its own host; the lock ends with it".into(),
        temporary: false,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_known_as_long_as_it_has_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        assert_eq!((holder(&path), has_lock_file(&path)), (None, false));
        let guard = take(&path, "pid 12 on host since 2026-11-21T01:18:00.000Z").unwrap().unwrap();
        let found = holder(&path).unwrap();
        assert_eq!((found.pid, found.since.as_deref()), (Some(12), Some("2026-11-21T01:18:00.000Z")));
        assert_eq!(take(&path, "another").unwrap().unwrap_err(), found);
        // Process 12 is not the one that has the file open.
        assert!(end_holder(&path, &found).is_err());
        drop(guard);
        assert_eq!((holder(&path), has_lock_file(&path)), (None, true));
    }

    #[test]
    fn the_name_of_the_run_before_is_not_taken_for_that_of_the_holder() {
        let texts = ["pid 99999999 on here since then", "pid 99999999 on here since then", "pid 7 on there since now"];
        let mut rest = texts.into_iter();
        let found = settled(|| rest.next().map(holder_of), |holder| is_gone(holder, "here"));
        assert_eq!(found.unwrap().pid, Some(7));
        // It is shown all the same if it stays, and nobody holds the lock if that ends.
        let found = settled(|| Some(holder_of(texts[0])), |holder| is_gone(holder, "here"));
        assert_eq!(found.unwrap().owner, texts[0]);
        let mut rest = texts[..2].iter().copied();
        assert_eq!(settled(|| rest.next().map(holder_of), |holder| is_gone(holder, "here")), None);
        let own = format!("pid {} on here since now", std::process::id());
        for text in [&own, "pid 99999999 on there since then", "a process that has not written its name"] {
            assert!(!is_gone(&holder_of(text), "here"), "{text}");
        }
    }

    #[test]
    fn a_link_to_a_database_has_the_same_lock() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("x.db"), directory.path().join("link.db"));
        #[allow(clippy::disallowed_methods, reason = "tests lay out files")]
        std::fs::write(&path, b"").unwrap();
        std::os::unix::fs::symlink("x.db", &link).unwrap();
        assert_eq!(lock_path(&link), lock_path(&path));
    }
}
