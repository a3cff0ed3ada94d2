//! Where the parts of a space lie.

use std::path::{Path, PathBuf};

use crate::migration::{Error, RunDirectory};

/// Shortest and longest name of a space.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=64;

/// A space directory and its parts. haul's own entries lie next to `wal/`, never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpacePaths {
    root: PathBuf,
}

impl SpacePaths {
    /// Returns the space in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Finds a space by name below `data_directory`, or by the path of its directory.
    pub fn locate(name_or_path: &str, data_directory: &Path) -> Result<Self, Error> {
        let named = data_directory.join(name_or_path.trim());
        if is_space_name(name_or_path.trim()) && named.is_dir() {
            return Ok(Self::new(named));
        }
        let path = Path::new(name_or_path);
        if path.is_dir() {
            return Ok(Self::new(path));
        }
        Err(Error::Usage {
            what: format!(
                "no space {name_or_path:?}: neither {} nor {} is a directory",
                named.display(),
                path.display()
            ),
            next: "name a space below --data-dir, or give the path of a directory that holds wal/".into(),
        })
    }

    /// Returns the space directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the log: the source.
    pub fn log(&self) -> PathBuf {
        self.root.join("wal")
    }

    /// State of the migration.
    pub fn run_directory(&self) -> RunDirectory {
        RunDirectory::new(self.root.join("migration"))
    }

    /// Returns the store that is being made.
    pub fn staging(&self) -> PathBuf {
        self.root.join("migration").join("staging")
    }

    /// Sorted runs of the index phase.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("migration").join("scratch")
    }

    /// Place of a verification.
    pub fn verification(&self) -> PathBuf {
        self.root.join("migration").join("verify")
    }

    /// Returns a store by its name.
    pub fn store(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns true if Engram would take the directory's name for a space (docs/source-engram.md, "Directory and file
    /// names").
    pub fn has_valid_name(&self) -> bool {
        self.root.file_name().and_then(|name| name.to_str()).is_some_and(is_space_name)
    }
}

/// Returns the rule for names of spaces.
pub fn is_space_name(name: &str) -> bool {
    NAME_BYTES.contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["default", "a-b", "a_1", &"x".repeat(64)] {
            assert!(is_space_name(good), "{good}");
        }
        for bad in ["ab", "Default", "a b", "../a", "ünï", &"x".repeat(65)] {
            assert!(!is_space_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_space_is_found_by_name_or_by_path() {
        let data = tempfile::tempdir().unwrap();
        let space = data.path().join("default");
        std::fs::DirBuilder::new().create(&space).unwrap();
        let expected = SpacePaths::new(&space);
        assert_eq!(SpacePaths::locate("default", data.path()).unwrap(), expected);
        assert_eq!(SpacePaths::locate(space.to_str().unwrap(), Path::new("/nowhere")).unwrap(), expected);
        assert_eq!(SpacePaths::locate("missing", data.path()).unwrap_err().exit_code(), 2);
    }
}
