//! Where the parts of a v2 store lie (spec/requiem.md A2).

use std::path::{Path, PathBuf};

use crate::cas::format::key::Key;
use crate::cas::paths::{INDEX_NAME, OBJECTS_NAME, TargetPaths, blob_path, sidecar_path};
use crate::migration::{Error, RunDirectory};

/// The directory of a v2 store and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePaths {
    root: PathBuf,
}

impl StorePaths {
    /// The store in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `objects`, which holds the shards.
    pub fn objects(&self) -> PathBuf {
        self.root.join(OBJECTS_NAME)
    }

    /// `index.ndjson`.
    pub fn index(&self) -> PathBuf {
        self.root.join(INDEX_NAME)
    }

    /// `objects/AB/CD/<key>`.
    pub fn blob(&self, key: Key) -> PathBuf {
        blob_path(&self.root, key)
    }

    /// `objects/AB/CD/<key>.meta`.
    pub fn sidecar(&self, key: Key) -> PathBuf {
        sidecar_path(&self.root, key)
    }

    /// `objects/AB/CD`: the directory of the blob and the sidecar of `key`.
    pub fn shard(&self, key: Key) -> PathBuf {
        let mut path = self.blob(key);
        path.pop();
        path
    }

    /// The run directory of migrations into the store: its lock is that of everything in haul which writes to the
    /// store.
    ///
    /// # Errors
    /// If the root is a path such as `..`, which ends in no name, and is not there.
    pub fn run_directory(&self) -> Result<RunDirectory, Error> {
        let named = match self.root.file_name() {
            Some(_) => TargetPaths::new(&self.root),
            None => TargetPaths::new(&self.root.canonicalize().unwrap_or_else(|_| self.root.clone())),
        };
        Ok(named?.run_directory())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let paths = StorePaths::new("/nowhere/cas/v2");
        let key = Key([0xA7; 32]);
        let name = "a7".repeat(32);
        assert_eq!(paths.index(), Path::new("/nowhere/cas/v2/index.ndjson"));
        assert_eq!(paths.shard(key), Path::new("/nowhere/cas/v2/objects/a7/a7"));
        assert_eq!(paths.blob(key), paths.shard(key).join(&name));
        assert_eq!(paths.sidecar(key), paths.shard(key).join(name + ".meta"));
        assert_eq!(paths.run_directory().unwrap().path(), Path::new("/nowhere/cas/v2.migration"));
    }

    #[test]
    fn a_root_without_a_name_has_one_all_the_same() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("v2");
        std::fs::DirBuilder::new().recursive(true).create(root.join("objects")).unwrap();
        for name in [root.clone(), root.join("."), root.join("objects/..")] {
            let run = StorePaths::new(&name).run_directory().unwrap();
            assert_eq!(run.path(), root.with_file_name("v2.migration"), "{}", name.display());
        }
        assert!(StorePaths::new("/").run_directory().is_err());
    }
}
