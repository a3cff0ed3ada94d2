//! Tells a log without a record from one that is not where it should be.

use std::io;
use std::path::Path;

use super::wal::is_wal_name;
use crate::durable::source_entries;
use crate::migration::Error;
use crate::migration::plan::escape_name;

/// What there is of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPresence {
    /// At least one log file has bytes.
    HasBytes,
    /// There are log files and nothing else, and all of them are empty, as an engine leaves them that stored nothing.
    Empty,
    /// No log file has bytes, and that is not what an engine leaves. The text says what is there instead.
    Missing(String),
}

impl LogPresence {
    /// Looks at a directory of log files.
    pub fn of(wal_directory: &Path) -> Result<Self, Error> {
        let entries = match source_entries(wal_directory) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::Missing("there is no directory of this name".into()));
            }
            entries => entries?,
        };
        let (logs, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_wal_name(&entry.name));
        if logs.iter().any(|entry| entry.len_bytes > 0) {
            return Ok(Self::HasBytes);
        }
        let found = if logs.is_empty() { "there is no log file" } else { "every log file is empty" };
        Ok(match (others.first(), logs.is_empty()) {
            (Some(other), _) => {
                let (name, more) = (escape_name(&other.name), others.len() - 1);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                Self::Missing(format!("{found}, but {name}{more}, which Engram does not read"))
            }
            (None, true) => Self::Missing(found.into()),
            (None, false) => Self::Empty,
        })
    }

    /// Says why no record can be read, if none can.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::HasBytes => None,
            Self::Empty => Some("every log file is empty"),
            Self::Missing(what) => Some(what),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    fn presence(files: &[(&str, &str)]) -> LogPresence {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        LogPresence::of(directory.path()).unwrap()
    }

    #[test]
    fn a_log_with_bytes_is_there_whatever_else_there_is() {
        assert_eq!(presence(&[("wal-1.log", ""), ("wal-2.log", "x"), ("wal-3.log.gz", "x")]), LogPresence::HasBytes);
    }

    #[test]
    fn only_empty_log_files_are_what_an_engine_leaves() {
        assert_eq!(presence(&[("wal-1.log", ""), ("wal-2.log", "")]), LogPresence::Empty);
    }

    #[test]
    fn files_in_any_other_spelling_are_named() {
        for name in ["WAL-1.LOG", "wal-1.log.gz", "wal-1.log.bak", "wal-1.log ", "wal-1.log.tmp"] {
            let LogPresence::Missing(what) = presence(&[("wal-2.log", ""), (name, "x")]) else { panic!("{name}") };
            assert!(what.contains(name.trim()), "{what}");
            assert!(matches!(presence(&[(name, "x")]), LogPresence::Missing(_)), "{name}");
        }
    }

    #[test]
    fn no_log_file_and_no_directory_are_no_empty_log() {
        assert!(matches!(presence(&[]), LogPresence::Missing(_)));
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(LogPresence::of(&directory.path().join("wal")).unwrap(), LogPresence::Missing(_)));
    }
}
