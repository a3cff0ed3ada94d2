//! The permissions of the index: it holds every manifest whole, so it is at most as readable as the least readable.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable::{Disk, DiskError, EntryKind, NewModes, unique_temporary_name, with_modes};

/// What SQLite appends to the name of a database for the files next to it.
const ENDINGS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The file of an index while rows are written to it.
pub(super) struct IndexFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    modes: NewModes,
    /// Created here: until it is complete, it is nobody else's.
    is_new: bool,
    is_complete: bool,
}

impl IndexFile {
    /// Opens the file for rows of manifests in a tree with these permissions. Creates it if it is absent.
    pub fn open(disk: &Arc<dyn Disk>, path: &Path, of_tree: NewModes) -> Result<Self, DiskError> {
        let created = with_modes(disk, NewModes::PRIVATE).write_new_file(path, b"");
        let is_new = match created {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            created => created.map(|()| true)?,
        };
        let path = path.canonicalize().map_err(|error| DiskError::new("look up", path, error))?;
        let mut file = Self { disk: disk.clone(), path, modes: NewModes::ANY, is_new, is_complete: false };
        file.narrow(of_tree)?;
        Ok(file)
    }

    /// Makes the file no more readable than this, which must be done before it takes in what is less readable.
    pub fn narrow(&mut self, modes: NewModes) -> Result<(), DiskError> {
        let modes = self.modes.and(modes);
        if modes == std::mem::replace(&mut self.modes, modes) || self.is_new {
            return Ok(());
        }
        for ending in ENDINGS {
            let mut path = self.path.clone().into_os_string();
            path.push(ending);
            self.narrow_file(Path::new(&path))?;
        }
        Ok(())
    }

    fn narrow_file(&self, path: &Path) -> Result<(), DiskError> {
        if self.disk.kind(path)? != Some(EntryKind::File) {
            return Ok(());
        }
        let mode = self.disk.mode(path)?;
        match self.modes.narrowed(mode) {
            same if same == mode => Ok(()),
            narrowed => self.disk.set_mode(path, narrowed),
        }
    }

    /// Gives a new file the permissions that it may have at most, now that they are known.
    pub fn complete(&mut self) -> Result<(), DiskError> {
        self.is_complete = true;
        if !self.is_new {
            return Ok(());
        }
        // The mask of the process cannot be looked at without changing it for all threads, so another file tells.
        let disk = with_modes(&self.disk, self.modes);
        let sample = unique_temporary_name(&self.path);
        disk.write_new_file(&sample, b"")?;
        let mode = disk.mode(&sample);
        disk.remove_file(&sample)?;
        disk.set_mode(&self.path, mode?)
    }
}

impl Drop for IndexFile {
    /// Removes a file that was created here and has no rows.
    fn drop(&mut self) {
        if self.is_new && !self.is_complete {
            // It is empty. Whatever kept it from being filled is the error to report.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::durable::RealDisk;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_until_it_is_complete() {
        let place = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let path = place.path().join("index.db");
        let mut file = IndexFile::open(&disk, &path, NewModes::ANY).unwrap();
        file.narrow(NewModes::of_file(0o640)).unwrap();
        assert_eq!(mode(&path), 0o600);
        file.complete().unwrap();
        assert_eq!(mode(&path) & !0o640, 0);
        assert_eq!(place.path().read_dir().unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
        drop(IndexFile::open(&disk, &path, NewModes::ANY).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn an_old_file_is_narrowed_before_it_takes_in_more() {
        let place = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let (path, log) = (place.path().join("index.db"), place.path().join("index.db-wal"));
        for file in [&path, &log] {
            fs::write(file, b"").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        }
        let mut file = IndexFile::open(&disk, &path, NewModes::ANY).unwrap();
        assert_eq!((mode(&path), mode(&log)), (0o664, 0o664));
        file.narrow(NewModes::of_file(0o640)).unwrap();
        assert_eq!((mode(&path), mode(&log)), (0o640, 0o640));
        file.narrow(NewModes::of_file(0o604)).unwrap();
        assert_eq!((mode(&path), mode(&log)), (0o600, 0o600));
        drop(file);
        assert!(path.exists());
    }
}
