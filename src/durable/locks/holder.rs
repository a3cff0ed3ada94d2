//! Finds out who holds a lock, without getting in the way of who wants it.

#![allow(clippy::disallowed_methods, reason = "locks need files that are opened in a way of their own")]

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::lock_table::{Hold, hold_on};
use crate::durable::regular_file::open_state_file;

/// The maximum length of an owner text, in bytes.
const OWNER_TEXT_BYTES_MAX: usize = 4096;
/// How often the text is read of an owner who has the lock, but may not have written the text yet.
const OWNER_TEXT_TRIES: u32 = 20;
pub(super) const OWNER_TEXT_INTERVAL: Duration = Duration::from_millis(5);

/// Returns the owner text of the process that holds the lock on the file at `path`; `None` if no process holds it. Writes
/// nothing.
///
/// On a disk of this host the kernel tells. Where its table cannot show every holder - one in another container, or on another
/// host, or without `/proc` - the lock itself is asked for, shared and for a moment, which [`lock_file`](super::lock_file)
/// waits out.
pub fn lock_holder(path: &Path) -> Option<String> {
    let file = open_state_file(path).ok()?;
    let is_held = match hold_on(&file) {
        Hold::Exclusive => true,
        Hold::Shared | Hold::Free => false,
        Hold::Unknown => refuses_to_be_shared(&file),
    };
    is_held.then(|| owner_text(&file).unwrap_or_else(|_| UNNAMED.into()))
}

/// Asks for a shared lock, which no run shares, and releases it at once.
fn refuses_to_be_shared(file: &File) -> bool {
    let refused = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    // Closing is not enough while a child of this process still has the file open.
    let _ = file.unlock();
    refused
}

/// Is said of a holder that has not said who it is.
const UNNAMED: &str = "a process that has not written its name";

/// Reads the text of the holder.
pub(super) fn owner_text(file: &File) -> io::Result<String> {
    for _ in 0..OWNER_TEXT_TRIES {
        let mut text = vec![0; OWNER_TEXT_BYTES_MAX];
        let len = file.read_at(&mut text, 0)?;
        if len > 0 {
            return Ok(String::from_utf8_lossy(&text[..len]).into_owned());
        }
        sleep(OWNER_TEXT_INTERVAL);
    }
    Ok(UNNAMED.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::durable::LockGuard;
    use crate::durable::beneath::Place;
    use crate::durable::locks::lock_file;
    use crate::durable::new_modes::NewModes;

    const LOCK_PATH_VARIABLE: &str = "HAUL_TEST_HELD_LOCK_PATH";

    fn lock_at(path: &Path, owner: &str) -> Result<LockGuard, String> {
        lock_file(&Place::plain(path), owner, NewModes::ANY).unwrap()
    }

    /// The other process of the test below; does nothing in an ordinary run.
    #[test]
    fn child_that_holds_a_lock() {
        if let Some(path) = std::env::var_os(LOCK_PATH_VARIABLE) {
            let _guard = lock_at(Path::new(&path), "child").unwrap();
            println!("\nit has the lock");
            io::stdin().read_line(&mut String::new()).unwrap();
        }
    }

    fn child_with_lock(lock: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durable::locks::holder::tests::child_that_holds_a_lock", "--nocapture"])
            .env(LOCK_PATH_VARIABLE, lock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "it has the lock"));
        // The rest is read, so that the child can end.
        std::thread::spawn(move || lines.count());
        child
    }

    #[test]
    fn the_holder_is_found_in_this_process_and_in_another_and_nobody_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(lock_holder(&path), None);
        let guard = lock_at(&path, "parent").unwrap();
        assert_eq!(lock_holder(&path).as_deref(), Some("parent"));
        drop(guard);
        assert_eq!(lock_holder(&path), None);
        let mut child = child_with_lock(&path);
        assert_eq!(lock_holder(&path).as_deref(), Some("child"));
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(lock_holder(&path), None);
        let mut child = child_with_lock(&path);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((lock_holder(&path), fs::read_to_string(&path).unwrap()), (None, "child".to_owned()));
    }

    #[test]
    fn the_lock_itself_says_whether_it_is_held_where_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let guard = lock_at(&path, "x").unwrap();
        assert!(refuses_to_be_shared(&File::open(&path).unwrap()));
        drop(guard);
        assert!(!refuses_to_be_shared(&File::open(&path).unwrap()));
        assert_eq!(hold_on(&File::open(&path).unwrap()), Hold::Free, "nothing stays of the look");
    }

    /// Takes the lock 100 times during looks that never pause, of which there are 1,000 at least.
    fn take_during_looks(look: impl Fn(&Path) + Sync) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        fs::write(&path, "").unwrap();
        let (looks, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) || looks.load(Ordering::Relaxed) < 1000 {
                        look(&path);
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let refused = (0..100).filter(|_| lock_at(&path, "x").is_err()).count();
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }

    #[test]
    fn nobody_who_takes_a_lock_is_refused_because_others_look() {
        take_during_looks(|path| drop(lock_holder(path)));
    }

    #[test]
    fn a_look_by_a_shared_lock_is_waited_out() {
        take_during_looks(|path| {
            refuses_to_be_shared(&File::open(path).unwrap());
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let looking = File::create(&path).unwrap();
        looking.lock_shared().unwrap();
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| lock_at(&path, "x").is_ok());
            sleep(Duration::from_millis(20));
            looking.unlock().unwrap();
            assert!(taken.join().unwrap());
        });
    }
}
