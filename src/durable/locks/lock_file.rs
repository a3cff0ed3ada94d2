//! Locks that end with their process, on files that name their holder.

#![allow(clippy::disallowed_methods, reason = "locks need files that are opened in a way of their own")]

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::holder::owner_text;
use super::lock_table::{Hold, hold_on};
use crate::durable::LockGuard;
use crate::durable::beneath::Place;
use crate::durable::new_modes::NewModes;
use crate::durable::regular_file::check_regular;

/// How often somebody is waited for who may only be looking.
const LOOKS_WAITED_FOR: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock with `flock`, so that it ends with the process even after a kill. The text only names the owner.
pub(in crate::durable) fn lock_file(
    place: &Place<'_>,
    owner: &str,
    modes: NewModes,
) -> io::Result<Result<LockGuard, String>> {
    // The file is not truncated here: it contains the text of the holder until the lock is taken. A link is not followed,
    // because the text would replace what it leads to.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
    let mut looks = 0;
    loop {
        let mut file = check_regular(place.open(flags, Mode::from_raw_mode(modes.new_file())))?;
        match file.try_lock() {
            // The last holder may have removed the file between the two calls: then the lock protects nothing.
            Ok(()) if !is_named(&file, place)? => continue,
            Ok(()) => {
                match modes.apply(file.as_fd()) {
                    // Another user has created it.
                    Err(Errno::PERM) if file.metadata()?.uid() != geteuid().as_raw() => {}
                    applied => applied?,
                }
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(owner.as_bytes())?;
                return Ok(Ok(LockGuard(Box::new(LockedFile(file)))));
            }
            // Somebody who looks has it for a moment only.
            Err(TryLockError::WouldBlock) if looks < LOOKS_WAITED_FOR && hold_on(&file) != Hold::Exclusive => {
                looks += 1;
                sleep(LOOK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return owner_text(&file).map(Err),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// Returns true if the open file still has the name.
fn is_named(file: &File, place: &Place<'_>) -> io::Result<bool> {
    let open = file.metadata()?;
    match place.stat() {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (open.dev(), open.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// A file whose lock ends when this drops.
struct LockedFile(File);

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has just forked still has the file open until it runs its
        // program, and would keep the lock that long. An unlock ends it for all of them.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::durable::locks::holder::{OWNER_TEXT_INTERVAL, lock_holder};

    fn lock_at(path: &Path, owner: &str) -> io::Result<Result<LockGuard, String>> {
        lock_file(&Place::plain(path), owner, NewModes::ANY)
    }

    const LOCK_PATH_VARIABLE: &str = "HAUL_TEST_LOCK_PATH";

    /// The other process of the test below; does nothing in an ordinary run.
    #[test]
    fn child_that_tries_a_lock() {
        if let Some(path) = std::env::var_os(LOCK_PATH_VARIABLE) {
            let held = lock_at(Path::new(&path), "child").unwrap();
            println!("lock answer: {:?}", held.map(|_| ()));
        }
    }

    fn answer_of_child(lock: &Path) -> String {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durable::locks::lock_file::tests::child_that_tries_a_lock", "--nocapture"])
            .env(LOCK_PATH_VARIABLE, lock)
            .output()
            .unwrap();
        String::from_utf8_lossy(&child.stdout).into_owned()
    }

    #[test]
    fn a_lock_excludes_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("lock");
        let guard = lock_at(&lock, "parent").unwrap().unwrap();
        assert!(answer_of_child(&lock).contains(r#"lock answer: Err("parent")"#));
        drop(guard);
        assert!(answer_of_child(&lock).contains("lock answer: Ok(())"));
        assert_eq!(fs::read_to_string(&lock).unwrap(), "child");
    }

    #[test]
    fn a_lock_ends_although_a_forked_child_still_has_the_file_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        // What a child has between fork and exec: another descriptor of the same open file.
        let inherited = file.try_clone().unwrap();
        drop(LockedFile(file));
        assert!(lock_at(&path, "next").unwrap().is_ok());
        drop(inherited);
    }

    #[test]
    fn a_lock_whose_file_was_removed_protects_nothing_and_is_taken_on_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        for _ in 0..20 {
            let held = std::sync::atomic::AtomicU32::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let Ok(Ok(guard)) = lock_at(&path, "x") else { continue };
                            assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two have it");
                            held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            fs::remove_file(&path).unwrap();
                            drop(guard);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("lock"), directory.path().join("other"));
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(lock_at(&path, "x").is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        assert_eq!(lock_holder(&path), None);
    }

    #[test]
    fn a_holder_is_named_although_its_text_comes_late() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create_new(&path).unwrap();
        file.try_lock().unwrap();
        let named = std::thread::scope(|scope| {
            let asked = scope.spawn(|| lock_at(&path, "second").unwrap().unwrap_err());
            sleep(OWNER_TEXT_INTERVAL * 2);
            file.write_all_at(b"first", 0).unwrap();
            asked.join().unwrap()
        });
        assert_eq!(named, "first");
    }
}
