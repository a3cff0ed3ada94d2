//! A tree that is written to, and the syncs that make this durable. `artifacts/`, a job or a run may be a mount, so every
//! file system that is written to is synced, and not only that of the root.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::durable::{Disk, DiskError, DiskFileSystem, DiskRoot, RootDirectory};
use crate::migration::Durability;

/// A tree that is written to.
pub struct WritableTree {
    /// The files of the tree.
    pub root: Arc<dyn DiskRoot>,
    /// Who syncs: with [`Durability::Group`] file systems as a whole, with [`Durability::Each`] files and directories.
    pub durability: Durability,
    /// By number. Each is opened before it is written to for the first time: its sync reports what was lost since.
    file_systems: Mutex<BTreeMap<u64, Arc<dyn DiskFileSystem>>>,
}

impl WritableTree {
    /// Opens the tree at `path`.
    pub fn open(disk: &dyn Disk, path: &Path, durability: Durability) -> Result<Self, DiskError> {
        let (root, durability) = (disk.root(path)?, durability.on(disk));
        let tree = Self { root, durability, file_systems: Mutex::default() };
        tree.directory_of(Path::new(""))?;
        Ok(tree)
    }

    /// Opens the directory of a file, to write to it.
    pub fn directory_of(&self, file: &Path) -> Result<Box<dyn RootDirectory>, DiskError> {
        let directory = self.root.open_directory(file.parent().unwrap_or(Path::new("")))?;
        if self.durability == Durability::Group {
            let number = directory.file_system_number()?;
            if let Entry::Vacant(new) = self.file_systems.lock().entry(number) {
                new.insert(directory.file_system()?);
            }
        }
        Ok(directory)
    }

    /// Returns true if each file is synced by itself.
    pub fn syncs_each(&self) -> bool {
        self.durability == Durability::Each
    }

    /// Makes everything durable that was written before the call, if that is done for many files at once.
    pub fn sync(&self) -> Result<(), DiskError> {
        // Other files are written meanwhile, so the file systems stay in the map: each may have to be synced again.
        let file_systems: Vec<_> = self.file_systems.lock().values().cloned().collect();
        file_systems.iter().try_for_each(|file_system| file_system.sync())
    }

    /// Makes the names in a directory durable, if that is done for each file.
    pub fn sync_names(&self, directory: &dyn RootDirectory) -> Result<(), DiskError> {
        if self.syncs_each() { directory.sync() } else { Ok(()) }
    }

    /// Makes the bytes of a file durable that a run which died has written, perhaps without any sync.
    pub fn sync_found(&self, directory: &dyn RootDirectory, name: &OsStr) -> Result<(), DiskError> {
        if self.durability == Durability::None { Ok(()) } else { directory.sync_file(name) }
    }
}
