//! The directory with the objects of a store.

use std::path::{Path, PathBuf};

use super::location::Location;
use crate::durable::{DiskError, NewModes, is_source_directory};
use crate::migration::Error;

/// Levels of directories between the directory of objects and an object.
const SHARD_LEVELS_MAX: usize = 3;

/// A store that is opened for reading only. Nothing in it is created, renamed, locked or written.
#[derive(Debug, Clone)]
pub struct SourceRoot {
    root: PathBuf,
    objects: PathBuf,
}

impl SourceRoot {
    /// Opens the store at `root`. Its objects are in `root/objects` if that exists, else in `root` itself
    /// (docs/source-requiem.md, "Layouts").
    pub fn open(root: &Path) -> Result<Self, Error> {
        if !is_source_directory(root)? {
            return Err(Error::Usage {
                what: format!("{} is not a directory", root.display()),
                next: "give the root of a store: the directory that holds objects/, or the objects themselves".into(),
            });
        }
        let inner = root.join("objects");
        let objects = if is_source_directory(&inner)? { inner } else { root.to_path_buf() };
        Ok(Self { root: root.to_path_buf(), objects })
    }

    /// Returns the v2 store at `root`. Its objects are in `root/objects` and nowhere else.
    pub fn v2(root: &Path) -> Self {
        Self { root: root.to_path_buf(), objects: root.join("objects") }
    }

    /// Returns what everyone may do who may read the store, as its directories tell, and its first object of each
    /// directory on the way to it: one writer gives all of them the same permissions.
    pub fn modes(&self) -> Result<NewModes, DiskError> {
        let modes = NewModes::of_sources([&self.root])?;
        Ok(modes.of_samples(&self.objects, SHARD_LEVELS_MAX + 1, |_| true))
    }

    /// Returns the path that was given.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the directory of objects.
    pub fn objects(&self) -> &Path {
        &self.objects
    }

    /// Returns the directories that every walk reaches, of which the second may be a link.
    pub fn directories(&self) -> [PathBuf; 2] {
        [self.root.clone(), self.objects.clone()]
    }

    /// Returns the path of an object's blob.
    pub fn blob(&self, location: &Location) -> PathBuf {
        self.objects.join(location.path())
    }

    /// Returns the path of an object's sidecar.
    pub fn sidecar(&self, location: &Location) -> PathBuf {
        let mut path = self.blob(location).into_os_string();
        path.push(".meta");
        path.into()
    }
}
