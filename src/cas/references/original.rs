//! Reads the files that contain references, as they are before anything is rewritten.

use std::path::{Path, PathBuf};

use crate::durable::{
    Disk, DiskEntry, DiskError, EntryKind, Obstacle, ReaderKind, RealDisk, SourceFile, WindowError, parent_of,
    source_root,
};

/// Finds and reads files. It cannot write, so that a dry run cannot either.
pub trait FileSource {
    /// Returns the entries of a directory, sorted by name.
    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError>;
    /// Returns the kind of a file without following links; `None` if it does not exist.
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError>;
    /// Returns the path without links and dots, or unchanged if it does not exist.
    fn canonical(&self, path: &Path) -> PathBuf;
    /// Opens a regular file without following links: one may have taken the place of a file since it was listed.
    fn open(&self, path: &Path) -> Result<Box<dyn Original>, DiskError>;
    /// Returns what keeps this user from replacing a file, as far as that shows without trying.
    fn obstacle(&self, _path: &Path) -> Result<Option<Obstacle>, DiskError> {
        Ok(None)
    }
}

/// A file as it was when it was opened.
pub trait Original {
    /// Returns the length in bytes.
    fn len_bytes(&self) -> u64;
    /// Returns the number of names of the file.
    fn names(&self) -> u64;
    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError>;
    /// Fails if the file, or the file at its path, is no longer the one that was opened.
    fn check_unchanged(&self) -> Result<(), WindowError>;
}

impl Original for SourceFile {
    fn len_bytes(&self) -> u64 {
        self.identity().len_bytes
    }

    fn names(&self) -> u64 {
        SourceFile::names(self)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
        SourceFile::read_exact_at(self, offset, buffer)
    }

    fn check_unchanged(&self) -> Result<(), WindowError> {
        SourceFile::check_unchanged(self)
    }
}

/// The files of this computer.
#[derive(Debug, Clone, Copy)]
pub struct RealFileSource;

impl FileSource for RealFileSource {
    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        RealDisk.list(directory)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        RealDisk.kind(path)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Original>, DiskError> {
        Ok(Box::new(SourceFile::open_no_follow(path, ReaderKind::Pread)?))
    }

    fn obstacle(&self, path: &Path) -> Result<Option<Obstacle>, DiskError> {
        source_root(parent_of(path))?.obstacle(Path::new(path.file_name().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn a_link_that_took_the_place_of_a_file_is_refused_and_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("other.json"), directory.path().join("refs.json"));
        std::fs::write(&file, "{}").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(RealFileSource.open(&file).is_ok());
        let error = RealFileSource.open(&link).err().expect("the link is not followed");
        assert_eq!(error.fault_class(), crate::durable::FaultClass::Item, "{error}");
    }
}
