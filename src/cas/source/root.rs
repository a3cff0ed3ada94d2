//! The directory that an old store's objects lie in.

use std::path::{Path, PathBuf};

use super::location::Location;
use crate::migration::Error;

/// An old store. Opened for reading only; nothing in it is created, renamed, locked or touched.
#[derive(Debug, Clone)]
pub struct SourceRoot {
    root: PathBuf,
    objects: PathBuf,
}

impl SourceRoot {
    /// The store at `root`: its objects lie in `root/objects` where that exists, else in `root` itself (spec A6).
    pub fn open(root: &Path) -> Result<Self, Error> {
        if !root.is_dir() {
            return Err(Error::Usage {
                what: format!("{} is not a directory", root.display()),
                next: "give the root of a store: the directory that holds objects/, or the objects themselves".into(),
            });
        }
        let inner = root.join("objects");
        let objects = if inner.is_dir() { inner } else { root.to_path_buf() };
        Ok(Self { root: root.to_path_buf(), objects })
    }

    /// The v2 store at `root`: its objects lie in `root/objects` and nowhere else.
    pub fn v2(root: &Path) -> Self {
        Self { root: root.to_path_buf(), objects: root.join("objects") }
    }

    /// The path that was given.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The directory of objects.
    pub fn objects(&self) -> &Path {
        &self.objects
    }

    /// The path of an object's blob.
    pub fn blob(&self, location: &Location) -> PathBuf {
        self.objects.join(location.path())
    }

    /// The path of an object's sidecar.
    pub fn sidecar(&self, location: &Location) -> PathBuf {
        let mut path = self.blob(location).into_os_string();
        path.push(".meta");
        path.into()
    }
}
