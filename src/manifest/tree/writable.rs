//! A tree that is written to, and the syncs that make this durable. `artifacts/`, a job or a run may be a mount, so every
//! file system that is written to is synced, and not only that of the root.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::durable::{Disk, DiskError, DiskFileSystem, DiskRoot, RootDirectory};
use crate::migration::Durability;

/// A tree that is written to.
pub struct WritableTree {
    /// The files of the tree.
    pub root: Arc<dyn DiskRoot>,
    /// What the operator asked for: with [`Durability::Group`] file systems are synced as a whole where that reaches the
    /// medium, with [`Durability::Each`] files and directories.
    pub durability: Durability,
    /// By number. Each is opened before it is written to for the first time: its sync reports what was lost since.
    file_systems: Mutex<BTreeMap<u64, WrittenFileSystem>>,
}

#[derive(Clone)]
struct WrittenFileSystem {
    whole: Arc<dyn DiskFileSystem>,
    syncs_each: bool,
}

/// A directory that is written to.
pub struct WritableDirectory {
    directory: Box<dyn RootDirectory>,
    /// True if each file is synced by itself.
    pub syncs_each: bool,
}

impl Deref for WritableDirectory {
    type Target = dyn RootDirectory;

    fn deref(&self) -> &Self::Target {
        &*self.directory
    }
}

impl WritableDirectory {
    /// Makes the names in the directory durable, if that is done for each file.
    pub fn sync_names(&self) -> Result<(), DiskError> {
        if self.syncs_each { self.sync() } else { Ok(()) }
    }
}

impl WritableTree {
    /// Opens the tree at `path`.
    pub fn open(disk: &dyn Disk, path: &Path, durability: Durability) -> Result<Self, DiskError> {
        let tree = Self { root: disk.root(path)?, durability, file_systems: Mutex::default() };
        tree.directory_of(Path::new(""))?;
        Ok(tree)
    }

    /// Opens the directory of a file, to write to it.
    pub fn directory_of(&self, file: &Path) -> Result<WritableDirectory, DiskError> {
        let directory = self.root.open_directory(file.parent().unwrap_or(Path::new("")))?;
        let syncs_each = match self.durability {
            Durability::None => false,
            Durability::Each => true,
            Durability::Group => self.must_sync_each(&*directory)?,
        };
        Ok(WritableDirectory { directory, syncs_each })
    }

    /// Opens the file system of a directory if that is not done, and returns true if it is not synced as a whole.
    fn must_sync_each(&self, directory: &dyn RootDirectory) -> Result<bool, DiskError> {
        match self.file_systems.lock().entry(directory.file_system_number()?) {
            Entry::Occupied(known) => Ok(known.get().syncs_each),
            Entry::Vacant(new) => {
                let whole = directory.file_system()?;
                let syncs_each = self.durability.with(&whole.group_sync()) == Durability::Each;
                Ok(new.insert(WrittenFileSystem { whole, syncs_each }).syncs_each)
            }
        }
    }

    /// Makes everything durable that was written before the call, if that is done for many files at once.
    pub fn sync(&self) -> Result<(), DiskError> {
        // Other files are written meanwhile, so the file systems stay in the map: each may have to be synced again.
        let file_systems: Vec<_> = self.file_systems.lock().values().cloned().collect();
        file_systems.iter().try_for_each(|file_system| file_system.whole.sync())
    }

    /// Makes the bytes of a file durable that a run which died has written, perhaps without any sync.
    pub fn sync_found(&self, directory: &dyn RootDirectory, name: &OsStr) -> Result<(), DiskError> {
        if self.durability == Durability::None { Ok(()) } else { directory.sync_file(name) }
    }
}
