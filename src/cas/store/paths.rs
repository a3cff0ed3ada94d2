//! Where the parts of a v2 store lie (spec/requiem.md A2).

use std::path::{Path, PathBuf};

use crate::cas::key::Key;
use crate::migration::RunDirectory;

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
        self.root.join("objects")
    }

    /// `index.ndjson`.
    pub fn index(&self) -> PathBuf {
        self.root.join("index.ndjson")
    }

    /// `objects/AB/CD`: the directory of the blob and the sidecar of `key`.
    pub fn shard(&self, key: Key) -> PathBuf {
        let text = key.to_string();
        let mut path = self.objects();
        path.extend([&text[..2], &text[2..4]]);
        path
    }

    /// `objects/AB/CD/<key>`.
    pub fn blob(&self, key: Key) -> PathBuf {
        self.shard(key).join(key.to_string())
    }

    /// `objects/AB/CD/<key>.meta`.
    pub fn sidecar(&self, key: Key) -> PathBuf {
        self.shard(key).join(format!("{key}.meta"))
    }

    /// `<root>.migration` beside the store: the lock that everything of haul takes which writes to the store, and the
    /// state of migrations into it. Of a root that is a link, it lies beside what the link leads to.
    pub fn run_directory(&self) -> RunDirectory {
        let real = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let mut name = real.file_name().unwrap_or_default().to_owned();
        name.push(".migration");
        RunDirectory::new(real.with_file_name(name))
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
        assert_eq!(paths.blob(key), Path::new("/nowhere/cas/v2/objects/a7/a7").join(&name));
        assert_eq!(paths.sidecar(key), Path::new("/nowhere/cas/v2/objects/a7/a7").join(name + ".meta"));
        assert_eq!(paths.run_directory().path(), Path::new("/nowhere/cas/v2.migration"));
    }

    #[test]
    fn every_name_of_a_store_has_one_run_directory() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("v2");
        std::fs::DirBuilder::new().create(&root).unwrap();
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let expected = root.with_file_name("v2.migration");
        for name in [root.clone(), link, root.join("."), root.join("../v2/")] {
            assert_eq!(StorePaths::new(&name).run_directory().path(), expected, "{}", name.display());
        }
    }
}
