//! The lock that keeps everybody out of a database while another file takes its name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;

/// A database that no other connection can read or write. When it drops, it leaves all side files alone: by then they
/// may be those of the file that has the name.
#[derive(Debug)]
pub struct Exclusive {
    connection: Connection,
    path: PathBuf,
}

impl Exclusive {
    /// Locks the database for its connection alone.
    ///
    /// # Errors
    /// A temporary one if another connection does not end within `limit`; `next` is the command to repeat.
    pub fn lock(path: &Path, limit: Duration, phase: &str, next: &str) -> Result<Self, Error> {
        let connection = connect::open_for_write(path)?;
        let locked = || {
            connection.busy_timeout(limit)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // In this mode the lock of the first transaction is kept; with a write-ahead log it keeps readers out, too.
            connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
            connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")
        };
        locked().map_err(|error| failed_in(path, phase, next, error))?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// The connection that holds the lock.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves what is in the write-ahead log into the file, so that the log can be removed.
    pub fn empty_log(&self) -> Result<(), Error> {
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        match emptied {
            Ok(0) => Ok(()),
            // Nobody else can have it open.
            Ok(_) => Err(in_use(&self.path, "checkpoint", "haul upgrade status", None)),
            Err(error) => Err(engine_error(error).at(&connect::place(&self.path))),
        }
    }
}

/// Returns true if another connection is in the way.
pub fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// Converts an error of SQLite about a database, with the phase. `command` is the one to repeat.
pub fn failed_in(path: &Path, phase: &str, command: &str, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        _ if is_busy(&error) => in_use(path, phase, command, Some(error)),
        Some(rusqlite::ErrorCode::DiskFull) => Error::Database {
            what: format!("{phase}: {}: the file system is full", path.display()),
            next: format!("free space, then run `{command}` again"),
            temporary: true,
            source: Some(Box::new(error)),
        },
        _ => match engine_error(error).at(&connect::place(path)) {
            Error::Database { what, next, temporary, source } => {
                Error::Database { what: format!("{phase}: {what}"), next, temporary, source }
            }
            other => other,
        },
    }
}

/// Returns the error for a database that another connection keeps busy.
pub fn in_use(path: &Path, phase: &str, next: &str, source: Option<rusqlite::Error>) -> Error {
    Error::Database {
        what: format!("{phase}: {}: another connection has the database in use", path.display()),
        next: format!("end what uses it, then run `{next}` again"),
        temporary: true,
        source: source.map(|error| Box::new(error) as _),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests {
    use std::fs;

    use super::*;

    fn database(directory: &Path, mode: &str) -> PathBuf {
        let path = directory.join(format!("{mode}.db"));
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        connection.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        path
    }

    fn take(path: &Path) -> Result<Exclusive, Error> {
        Exclusive::lock(path, Duration::ZERO, "cutover", "haul upgrade cutover DIR")
    }

    #[test]
    fn nobody_reads_or_writes_while_it_is_held() {
        let directory = tempfile::tempdir().unwrap();
        for mode in ["delete", "wal"] {
            let path = database(directory.path(), mode);
            let held = take(&path).unwrap();
            let other = Connection::open(&path).unwrap();
            other.busy_timeout(Duration::ZERO).unwrap();
            let read = other.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0));
            assert!(is_busy(&read.unwrap_err()), "{mode}");
            drop(held);
            assert_eq!(other.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        }
    }

    #[test]
    fn another_connection_is_named_with_phase_and_next_command() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, begin) in [("delete", "BEGIN; SELECT * FROM t"), ("wal", "SELECT * FROM t")] {
            let path = database(directory.path(), mode);
            let other = Connection::open(&path).unwrap();
            other.execute_batch(begin).unwrap();
            let error = take(&path).unwrap_err();
            assert_eq!(error.exit_code(), 75, "{error}");
            let text = error.to_string();
            assert!(text.starts_with("cutover: ") && text.contains(&format!("{mode}.db")), "{text}");
            assert!(error.next_step().unwrap().contains("haul upgrade cutover DIR"));
        }
    }

    #[test]
    fn the_log_is_in_the_file_and_that_of_a_later_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = database(directory.path(), "wal");
        let writer = Connection::open(&path).unwrap();
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        drop(writer);
        let log = directory.path().join("wal.db-wal");
        assert!(fs::metadata(&log).unwrap().len() > 0);
        let held = take(&path).unwrap();
        held.empty_log().unwrap();
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        fs::write(directory.path().join("new"), "new").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        fs::write(&log, "log of the new file").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&log).unwrap(), "log of the new file");
    }
}
