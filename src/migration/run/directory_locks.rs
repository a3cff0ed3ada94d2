//! Locks of directories in which files of others are replaced, and which have no run directory.

use std::path::{Path, PathBuf};

use super::directory::{DIRECTORY_LOCK, RunDirectory, owner_text};
use super::locked::cannot_be_written;
use crate::durable::{Disk, DiskError, EntryKind, LockGuard, is_leftover, lock_holder, parent_of};
use crate::migration::Error;

/// The locks of some directories and everything below them, held until this drops.
pub struct DirectoryLocks<'a> {
    disk: Option<&'a dyn Disk>,
    held: Vec<(PathBuf, LockGuard)>,
}

impl<'a> DirectoryLocks<'a> {
    /// Holds nothing, for what changes nothing.
    pub fn none() -> Self {
        Self { disk: None, held: Vec::new() }
    }

    /// Locks these directories, which exist and are given without links and dots. A directory below another of them is
    /// locked with that one.
    ///
    /// A directory in which this user may not create the lock is left out: no file in it can be replaced either.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process holds the lock of one of them, or of a directory above. Each process takes
    /// its own locks before it looks at those above, so of two whose directories overlap at least one notices the other.
    pub fn take(disk: &'a dyn Disk, directories: &[PathBuf]) -> Result<Self, Error> {
        let mut locks = Self { disk: Some(disk), held: Vec::new() };
        let directories = outermost(directories);
        for directory in &directories {
            let path = directory.join(DIRECTORY_LOCK);
            if let Some(guard) = lock(disk, &path)? {
                locks.held.push((path, guard));
            }
        }
        for above in directories.iter().flat_map(|directory| directory.ancestors().skip(1)) {
            check_free(&above.join(DIRECTORY_LOCK))?;
        }
        Ok(locks)
    }

    /// Locks the directories in which these files are, or will be.
    pub fn of_files(disk: &'a dyn Disk, files: &[PathBuf]) -> Result<Self, Error> {
        let resolve = |file: &PathBuf| {
            let directory = parent_of(file);
            if !disk.is_system() {
                return Ok(directory.to_path_buf());
            }
            directory.canonicalize().map_err(|e| DiskError::new("find the directory", directory, e))
        };
        Self::take(disk, &files.iter().map(resolve).collect::<Result<Vec<_>, _>>()?)
    }

    /// Returns true if no lock is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns true if this lock file is one of those held.
    pub fn holds(&self, lock: &Path) -> bool {
        self.held.iter().any(|(held, _)| held == lock)
    }
}

/// The files are removed while their locks are held. A process that waits for one of them notices that and takes the
/// lock of a new file.
impl Drop for DirectoryLocks<'_> {
    fn drop(&mut self) {
        let Some(disk) = self.disk else { return };
        for (path, guard) in self.held.drain(..) {
            // A file that stays does no harm: its lock is free, and its next holder removes it.
            let _ = disk.remove_file(&path);
            drop(guard);
        }
    }
}

/// The lock of a store for a writer that keeps no state next to it: that of its run directory or, where this user may not
/// write there, one inside of the store. Who takes one of them looks for the other.
pub struct StoreLock<'a> {
    _outside: Option<LockGuard>,
    _inside: Option<DirectoryLocks<'a>>,
}

impl<'a> StoreLock<'a> {
    /// Takes the lock of the store whose runs are kept in `run`.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process writes to the store. If this user may write neither next to the store nor
    /// into it, or may not see whether a run is active, the error of the run directory.
    pub fn take(disk: &'a dyn Disk, run: &RunDirectory, store: &Path) -> Result<Self, Error> {
        let refused = match run.create_and_lock(disk) {
            Err(error) if cannot_be_written(&error) && disk.kind(store)?.is_some() => error,
            outside => return outside.map(|guard| Self { _outside: Some(guard), _inside: None }),
        };
        let inside = DirectoryLocks::of_files(disk, &[store.join(DIRECTORY_LOCK)])?;
        if inside.is_empty() {
            return Err(refused);
        }
        run.check_free(disk)?;
        Ok(Self { _outside: None, _inside: Some(inside) })
    }
}

/// Fails if another process holds the lock in the file `lock`.
pub fn check_free(lock: &Path) -> Result<(), Error> {
    lock_holder(lock).map_or(Ok(()), |owner| Err(Error::Locked { owner }))
}

fn lock(disk: &dyn Disk, path: &Path) -> Result<Option<LockGuard>, Error> {
    match disk.try_lock(path, &owner_text()).map_err(Error::from) {
        Ok(Ok(guard)) => Ok(Some(guard)),
        Ok(Err(owner)) => Err(Error::Locked { owner }),
        Err(error) if cannot_be_written(&error) => check_free(path).map(|()| None),
        Err(error) => Err(error),
    }
}

/// Drops the directories that are below others of them.
fn outermost(directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut sorted = directories.to_vec();
    sorted.sort();
    sorted.dedup();
    let mut kept: Vec<PathBuf> = Vec::new();
    for directory in sorted {
        if !kept.iter().any(|above| directory.starts_with(above)) {
            kept.push(directory);
        }
    }
    kept
}

/// Removes the temporary files that ended processes left in these locked directories, but not below them.
pub fn remove_leftovers(disk: &dyn Disk, directories: &[PathBuf]) -> Result<(), DiskError> {
    for directory in directories {
        for entry in disk.list(directory)? {
            if entry.kind == EntryKind::File && is_leftover(&entry.name) {
                disk.remove_file(&directory.join(&entry.name))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use std::fs;

    use super::*;
    use crate::durable::RealDisk;
    use crate::migration::exit;

    fn names(directory: &Path) -> Vec<std::ffi::OsString> {
        RealDisk.list(directory).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn a_directory_is_locked_once_and_nothing_is_left_of_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        let locks = DirectoryLocks::take(&RealDisk, std::slice::from_ref(&path)).unwrap();
        assert!(locks.holds(&path.join(DIRECTORY_LOCK)));
        let error = DirectoryLocks::take(&RealDisk, std::slice::from_ref(&path)).map(drop).unwrap_err();
        assert_eq!(error.exit_code(), exit::TEMPORARY);
        assert!(error.to_string().starts_with(&format!("another run is active: pid {} on ", std::process::id())));
        drop(locks);
        assert!(names(&path).is_empty());
        drop(DirectoryLocks::take(&RealDisk, &[path]).unwrap());
    }

    #[test]
    fn directories_that_contain_each_other_exclude_each_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        let (inner, other) = (path.join("a/b"), path.join("c"));
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir(&other).unwrap();
        let above = DirectoryLocks::take(&RealDisk, &[path.join("a")]).unwrap();
        assert_eq!(
            DirectoryLocks::take(&RealDisk, std::slice::from_ref(&inner)).map(drop).unwrap_err().exit_code(),
            exit::TEMPORARY
        );
        assert!(names(&inner).is_empty(), "who loses leaves nothing");
        drop(DirectoryLocks::take(&RealDisk, std::slice::from_ref(&other)).unwrap());
        drop(above);
        let both = DirectoryLocks::take(&RealDisk, &[inner, path.join("a"), other]).unwrap();
        assert_eq!(both.held.len(), 2, "one lock is enough for a directory and what is below it");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let leftover = crate::durable::temporary_name_under_lock(&root.path().join("a.json"));
        for path in [&leftover, &root.path().join(".a.json.tmp"), &root.path().join("a.json")] {
            RealDisk.write_new_file(path, b"x").unwrap();
        }
        remove_leftovers(&RealDisk, &[root.path().to_path_buf()]).unwrap();
        assert_eq!(names(root.path()), [".a.json.tmp", "a.json"]);
    }
}
