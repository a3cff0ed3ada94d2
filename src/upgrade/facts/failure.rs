//! Errors of SQLite, with the file that they concern.

use std::path::Path;

use crate::db::sqlite::{connect, errors};
use crate::migration::Error;

/// Returns what converts an error of SQLite about a private copy of `file`. Such copies are temporary files.
pub fn failed_on_copy(file: &Path) -> impl Fn(rusqlite::Error) -> Error {
    let failed = failed(file);
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::Database {
            what: format!("{}: there is no space for a private copy of it", connect::place(file)),
            next: "free space where temporary files go, or name another directory for them with SQLITE_TMPDIR".into(),
            temporary: true,
            source: None,
        },
        _ => failed(error),
    }
}

/// Returns what converts an error of SQLite about `file`. A statement that a stop has interrupted is a stop.
pub fn failed(file: &Path) -> impl Fn(rusqlite::Error) -> Error {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Error::stopped(),
        _ => errors::engine_error(error).at(&connect::place(file)),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, ffi};

    use super::*;

    #[test]
    fn a_full_disk_is_that_of_temporary_files() {
        let full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let error = failed_on_copy(Path::new("a.db"))(full());
        assert_eq!((error.exit_code(), error.next_step().unwrap().contains("SQLITE_TMPDIR")), (75, true));
        assert!(failed(Path::new("a.db"))(full()).to_string().contains("SQLITE_FULL"));
        let error = Connection::open_in_memory().unwrap().execute_batch("SELECT none").unwrap_err();
        assert!(failed_on_copy(Path::new("a.db"))(error).to_string().starts_with("sqlite:a.db: no such column: none"));
    }
}
