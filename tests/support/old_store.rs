//! Old content-addressed stores for tests, with room for targets next to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use haul::cas::paths::TargetPaths;

use super::seen::{Seen, seen};

/// An old store `old/` in a directory that is removed after the test.
pub struct OldStore {
    directory: tempfile::TempDir,
}

impl OldStore {
    /// A store without files.
    pub fn in_directory(directory: tempfile::TempDir) -> Self {
        Self { directory }
    }

    /// The directory of the store and its targets.
    pub fn place(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> PathBuf {
        self.place().join("old")
    }

    /// Paths of a target `new/` in the same directory.
    pub fn paths(&self) -> TargetPaths {
        TargetPaths::new(&self.place().join("new")).expect("a path that ends in a name")
    }

    /// Writes a file with this path in the store.
    pub fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, bytes).expect("a file");
        self
    }

    /// The visible state of the store, to check that it does not change.
    pub fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        seen(&self.root())
    }
}
