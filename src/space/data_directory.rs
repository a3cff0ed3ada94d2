//! The spaces of a data directory: every directory right below it that holds a log, or what haul has made of one.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::log::wal::is_wal_name;
use super::paths::{SpacePaths, is_absence};
use super::status::{Status, status};
use crate::durable::{Disk, DiskError, SourceEntryKind, source_entries};
use crate::migration::{Error, Stage, pointer, shell_word};

/// Where one of several spaces stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpaceEntry {
    /// The name of its directory.
    pub name: String,
    /// The space directory.
    pub space: String,
    /// What readers take: `wal` or the name of a store; `None` if that is not known.
    pub live: Option<String>,
    /// Bytes of the files of the log.
    pub log_bytes: u64,
    /// Records that the last run has read.
    pub records: Option<u64>,
    /// Live nodes of the live store.
    pub nodes: Option<u64>,
    /// How far the last run has come.
    pub stage: Option<Stage>,
    /// Why something of this is not known.
    pub problem: Option<String>,
    /// What to do next.
    pub next: String,
}

/// Returns the spaces below `directory`, by name. A link to a directory is followed, as Engram does.
///
/// # Errors
/// [`Error::Usage`] if there is no such directory.
pub fn spaces(directory: &Path) -> Result<Vec<SpacePaths>, Error> {
    let entries = source_entries(directory).map_err(|error| not_listed(directory, error))?;
    let directories = entries.into_iter().filter(|entry| entry.kind == SourceEntryKind::Directory);
    let found = directories.map(|entry| SpacePaths::new(directory.join(entry.name)));
    Ok(found.filter(holds_space).collect())
}

fn not_listed(directory: &Path, error: DiskError) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Error::Usage {
            what: format!("{} is no directory of spaces", directory.display()),
            next: "name the directory above the spaces with --data-dir or ENGRAM_DATA_DIR".into(),
        },
        _ => error.into(),
    }
}

/// Returns true if there is a log, or a trace of a migration: a space whose log was moved away must not be overlooked. One
/// that cannot be looked at may be a space; what is done with it says why it cannot.
pub fn holds_space(paths: &SpacePaths) -> bool {
    let parts = [paths.log(), paths.run_directory().path().to_path_buf(), paths.root().join(pointer::FILE_NAME)];
    parts.iter().any(|part| !part.symlink_metadata().is_err_and(|error| is_absence(&error)))
}

/// Refuses a directory without a single space: more often than not it is the wrong one.
pub fn check_found(directory: &Path, spaces: &[SpacePaths], allow_empty: bool) -> Result<(), Error> {
    if !spaces.is_empty() || allow_empty {
        return Ok(());
    }
    let (what, next) = match holds_space(&SpacePaths::new(directory)) {
        true => ("it is a space itself, and has none in it", format!("give {} without --all", shell_word(directory))),
        false => (
            "no directory in it is a space",
            "name the directory above the spaces with --data-dir; if there are none yet, add --allow-empty".into(),
        ),
    };
    Err(Error::State { path: directory.to_path_buf(), what: what.into(), next, damaged: true, source: None })
}

/// Looks at one space. What cannot be read is said and is no error.
pub fn entry(disk: &Arc<dyn Disk>, paths: &SpacePaths) -> SpaceEntry {
    let blank = SpaceEntry {
        name: paths.root().file_name().unwrap_or_default().display().to_string(),
        space: paths.root().display().to_string(),
        live: None,
        log_bytes: 0,
        records: None,
        nodes: None,
        stage: None,
        problem: None,
        next: String::new(),
    };
    let looked = log_bytes(paths).and_then(|bytes| Ok((bytes, status(disk.clone(), paths)?)));
    match looked {
        Ok((log_bytes, status)) => of_status(SpaceEntry { log_bytes, ..blank }, status),
        Err(error) => {
            let next = error.next_step().unwrap_or_else(|| "look at the space with `haul space status`".into());
            SpaceEntry { problem: Some(error.to_string()), next, ..blank }
        }
    }
}

fn of_status(blank: SpaceEntry, status: Status) -> SpaceEntry {
    let live_store = status.stores.iter().find(|store| store.live);
    let problem = status.pointer_problem.or(status.state.checkpoint_problem);
    SpaceEntry {
        nodes: live_store.and_then(|store| store.nodes),
        records: status.state.run.as_ref().map(|run| run.records),
        stage: status.state.run.as_ref().map(|run| run.stage),
        problem: problem.or_else(|| live_store.and_then(|store| store.problem.clone())),
        live: status.live,
        next: status.next,
        ..blank
    }
}

fn log_bytes(paths: &SpacePaths) -> Result<u64, Error> {
    let entries = source_entries(&paths.log())?.into_iter();
    Ok(entries.filter(|entry| is_wal_name(&entry.name)).map(|entry| entry.len_bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "builds what is to be listed")]
    fn spaces_are_directories_with_a_log_or_a_trace_of_one() {
        let data = tempfile::tempdir().unwrap();
        for directory in ["b/wal", "a/wal", "empty", "moved/migration", "Not A Name/wal"] {
            std::fs::create_dir_all(data.path().join(directory)).unwrap();
        }
        std::fs::write(data.path().join("file"), b"").unwrap();
        std::fs::write(data.path().join("b/wal/wal-0.log"), [0; 7]).unwrap();
        let found = spaces(data.path()).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let entries: Vec<_> = found.iter().map(|paths| entry(&disk, paths)).collect();
        let names: Vec<_> = entries.iter().map(|entry| (&*entry.name, entry.log_bytes)).collect();
        assert_eq!(names, [("Not A Name", 0), ("a", 0), ("b", 7), ("moved", 0)]);
        assert!(entries[3].problem.is_some() && entries[2].problem.is_none());
        assert_eq!(spaces(&data.path().join("absent")).unwrap_err().exit_code(), 2);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "builds what is to be listed")]
    fn what_cannot_be_looked_at_may_be_a_space() {
        let data = tempfile::tempdir().unwrap();
        // A circle of links cannot be looked into by any user.
        std::os::unix::fs::symlink("circle", data.path().join("circle")).unwrap();
        assert!(holds_space(&SpacePaths::new(data.path().join("circle"))));
        assert!(!holds_space(&SpacePaths::new(data.path().join("absent"))));
        std::fs::write(data.path().join("file"), b"").unwrap();
        assert!(!holds_space(&SpacePaths::new(data.path().join("file"))));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "builds what is to be listed")]
    fn a_directory_without_a_space_is_refused_and_one_that_is_a_space_is_called_so() {
        let data = tempfile::tempdir().unwrap();
        let refused = || check_found(data.path(), &spaces(data.path()).unwrap(), false).unwrap_err();
        assert_eq!(refused().exit_code(), crate::migration::exit::BAD_DATA);
        check_found(data.path(), &[], true).unwrap();
        std::fs::create_dir(data.path().join("wal")).unwrap();
        assert!(refused().to_string().contains("it is a space itself"), "{}", refused());
        std::fs::create_dir_all(data.path().join("one/wal")).unwrap();
        check_found(data.path(), &spaces(data.path()).unwrap(), false).unwrap();
    }
}
