//! The directory that samples are migrated in. It is marked, so that a clean-up knows whose it is.

use std::path::{Path, PathBuf};

use crate::durable::{Disk, DiskError, remove_tree};
use crate::migration::{Error, SCRATCH_MARK, remove_scratch};

/// A directory that is removed when this is dropped.
pub(super) struct Scratch<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    count: u32,
}

impl<'a> Scratch<'a> {
    /// Creates it.
    pub(super) fn create(disk: &'a dyn Disk, path: PathBuf) -> Result<Self, Error> {
        disk.create_directory(&path)?;
        let scratch = Self { disk, path, count: 0 };
        disk.write_new_file(&scratch.path.join(SCRATCH_MARK), b"estimate")?;
        Ok(scratch)
    }

    /// Creates an empty directory in it.
    pub(super) fn next(&mut self) -> Result<PathBuf, DiskError> {
        self.count += 1;
        let path = self.path.join(self.count.to_string());
        self.disk.create_directory(&path)?;
        Ok(path)
    }

    /// Makes durable what lies in one, so that no later sync pays for it.
    pub(super) fn sync(&self, directory: &Path) -> Result<(), DiskError> {
        self.disk.file_system(directory)?.sync()
    }

    /// Removes one of them.
    pub(super) fn remove(&self, directory: &Path) -> Result<(), DiskError> {
        remove_tree(self.disk, directory)
    }

    /// Removes everything, and tells what could not be removed.
    pub(super) fn close(self) -> Result<(), DiskError> {
        let result = remove_scratch(self.disk, &self.path);
        // There is nothing left for the end of its life to do.
        std::mem::forget(self);
        result
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // An error is under way already, and `clean` removes what is left.
        let _ = remove_scratch(self.disk, &self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;

    fn disk() -> SimulatedDisk {
        SimulatedDisk::with_directories(&[Path::new("/data")])
    }

    #[test]
    fn nothing_is_left_of_it() {
        let disk = disk();
        let mut scratch = Scratch::create(&disk, "/data/.estimate-1.tmp".into()).unwrap();
        let first = scratch.next().unwrap();
        disk.write_new_file(&first.join("x"), b"x").unwrap();
        assert_ne!(scratch.next().unwrap(), first);
        scratch.remove(&first).unwrap();
        scratch.close().unwrap();
        assert!(disk.list(Path::new("/data")).unwrap().is_empty());
    }

    #[test]
    fn an_error_removes_it_too() {
        let disk = disk();
        let mut scratch = Scratch::create(&disk, "/data/.estimate-1.tmp".into()).unwrap();
        scratch.next().unwrap();
        drop(scratch);
        assert!(disk.list(Path::new("/data")).unwrap().is_empty());
    }

    #[test]
    fn one_that_is_there_is_not_taken() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/data/.estimate-1.tmp")]);
        assert!(Scratch::create(&disk, "/data/.estimate-1.tmp".into()).is_err());
        assert!(disk.list(Path::new("/data/.estimate-1.tmp")).unwrap().is_empty());
    }
}
