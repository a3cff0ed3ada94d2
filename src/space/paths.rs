//! Where the parts of a space lie.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::log::wal::is_wal_name;
use crate::durable::{Disk, DiskError, FaultClass, NewModes, SourceEntryKind, source_entries, with_modes};
use crate::migration::{Error, RunDirectory, shell_word};

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
        let (name, path) = (name_or_path.trim(), Path::new(name_or_path));
        let named = data_directory.join(name);
        let is_name = is_space_name(name);
        match (is_name && is_directory(&named)?, is_directory(path)?) {
            (true, true) if named.canonicalize().ok() != path.canonicalize().ok() => Err(Error::Usage {
                what: format!(
                    "two directories are meant by \"{name}\": {} and {}",
                    named.display(),
                    Path::new(".").join(path).display()
                ),
                next: format!("give the path of one of them, for example {}", shell_word(format!("./{name}"))),
            }),
            (true, _) => Ok(Self::new(named)),
            (false, true) => Ok(Self::new(path)),
            (false, false) => Err(Self::not_found(name_or_path, &named, is_name)),
        }
    }

    fn not_found(name_or_path: &str, named: &Path, is_name: bool) -> Error {
        let rule = match is_name || name_or_path.contains('/') {
            true => "",
            false => "; a name has 3 to 64 of a-z, 0-9, _ and -",
        };
        Error::Usage {
            what: format!(
                "no space \"{name_or_path}\": neither {} nor {name_or_path} is a directory{rule}",
                named.display()
            ),
            next: "name a space below --data-dir, or give the path of a directory that holds wal/".into(),
        }
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

    /// Returns what everyone may do who may read the log: the permissions that anything made of it may have at most.
    pub fn modes(&self) -> Result<NewModes, Error> {
        let log = self.log();
        let directories = [self.root.clone(), log.clone()];
        let mut sources = Vec::new();
        for directory in directories {
            match is_directory(&directory) {
                Ok(true) => sources.push(directory),
                Ok(false) => {}
                // Nobody knows what others may do there.
                Err(error) if error.fault_class() == FaultClass::Item => return Ok(NewModes::PRIVATE),
                Err(error) => return Err(error.into()),
            }
        }
        if sources.contains(&log) {
            let entries = source_entries(&log)?.into_iter();
            let files = entries.filter(|entry| is_wal_name(&entry.name) && entry.kind == SourceEntryKind::File);
            sources.extend(files.map(|entry| log.join(entry.name)));
        }
        Ok(NewModes::of_sources(sources)?)
    }

    /// Returns true if this user is neither root nor the owner of all log files.
    pub(super) fn log_is_of_another_user(&self) -> bool {
        let user = rustix::process::geteuid();
        let entries = source_entries(&self.log()).unwrap_or_default();
        let owner = |name| std::fs::metadata(self.log().join(name)).map_or(user.as_raw(), |metadata| metadata.uid());
        !user.is_root() && entries.into_iter().any(|entry| owner(entry.name) != user.as_raw())
    }

    /// Returns the disk for what is made of the log.
    pub fn limited(&self, disk: &Arc<dyn Disk>) -> Result<Arc<dyn Disk>, Error> {
        Ok(with_modes(disk, self.modes()?))
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

/// Returns true for a directory, links followed. One that cannot be looked at is an error, not something else.
pub(super) fn is_directory(path: &Path) -> Result<bool, DiskError> {
    match path.metadata() {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(DiskError::new("look up", path, error)),
    }
}

/// Returns true if the error says that nothing has this path, or can have it.
pub(super) fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
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
    fn a_name_that_means_two_directories_is_refused() {
        // Tests share the working directory, so one that exists there takes the part of the space: `src`.
        let data = tempfile::tempdir().unwrap();
        std::fs::DirBuilder::new().create(data.path().join("src")).unwrap();
        let error = SpacePaths::locate("src", data.path()).unwrap_err();
        let both = format!("two directories are meant by \"src\": {} and ./src", data.path().join("src").display());
        assert_eq!(error.to_string(), both);
        assert_eq!(error.exit_code(), 2);
        assert_eq!(SpacePaths::locate("./src", data.path()).unwrap().root(), Path::new("./src"));
        assert_eq!(SpacePaths::locate("src", Path::new(".")).unwrap().root(), Path::new("./src"));
    }

    #[test]
    fn a_name_that_is_too_short_gets_the_rule() {
        let error = SpacePaths::locate("ab", Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().ends_with("a name has 3 to 64 of a-z, 0-9, _ and -"), "{error}");
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
