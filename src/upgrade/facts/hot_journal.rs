//! Databases whose writer was killed: the file holds half a transaction, and the journal next to it what rolls it back.

use std::path::{Path, PathBuf};

use rusqlite::ffi;

use super::scratch::Scratch;
use crate::db::sqlite::connect;
use crate::durable::{CopyMeans, ReaderKind, SourceFile};
use crate::migration::{Error, free_space_check};
use crate::pipeline::StopToken;

/// How often a copy is begun again because the files change meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// Returns true if a connection that may only read has found a transaction that must be rolled back.
pub(super) fn is_hot(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

/// A copy of a database and of its journal. A connection that may write rolls the transaction back in the copy.
pub(super) struct RawCopy {
    scratch: Scratch,
}

impl RawCopy {
    /// Copies both files. No connection of this process may have the database open: closing the files would release its
    /// locks.
    pub fn make(path: &Path, stop: &StopToken) -> Result<Self, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let copy = Self { scratch: Scratch::new()? };
            if copy.fill(path, stop)? {
                return Ok(copy);
            }
        }
        Err(Error::Database {
            what: format!("{}: it is written to while it is copied", connect::place(path)),
            next: "stop the programs that write to it, then run the same command again".into(),
            temporary: true,
            source: None,
        })
    }

    /// The path of the copied database.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("copy.db")
    }

    /// Returns false if one of the files has changed meanwhile.
    fn fill(&self, path: &Path, stop: &StopToken) -> Result<bool, Error> {
        let journal = connect::journal_path(path);
        if !journal.exists() {
            return Ok(false);
        }
        let sources = [(path, self.path()), (&journal, connect::journal_path(&self.path()))];
        let mut opened = Vec::new();
        for (source, target) in sources {
            let source = SourceFile::open(source, ReaderKind::Pread)?;
            free_space_check(self.scratch.disk(), self.scratch.path(), source.identity().len_bytes)?;
            self.scratch.disk().copy_new_file(&source, &target, CopyMeans::Auto, &stop.check())?;
            opened.push(source);
        }
        Ok(opened.iter().all(|source| source.check_unchanged().is_ok()))
    }
}
