//! Keeps others from writing to a set while it is frozen; they can read.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::db::sqlite::connect;
use crate::migration::Error;
use crate::upgrade::cutover::exclusive::failed_in;

/// The locks that keep others from writing, until this drops.
#[derive(Debug, Default)]
pub struct Writers {
    held: Vec<Connection>,
}

impl Writers {
    /// Waits for the writers of each database, moves what is in its write-ahead log into the file as far as readers let
    /// it, and keeps others from writing from then on. A transaction that a killed writer has left is rolled back.
    ///
    /// # Errors
    /// A temporary one if a writer does not end within `limit`; then nothing is held. `next` is the command to repeat.
    pub fn hold<'a>(
        databases: impl IntoIterator<Item = &'a Path>,
        limit: Duration,
        phase: &str,
        next: &str,
    ) -> Result<Self, Error> {
        let hold = |path: &Path| -> Result<Connection, Error> {
            let connection = connect::open_for_write(path)?;
            let held = || {
                connection.busy_timeout(limit)?;
                // Readers may keep some of the log: the backup reads it there.
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
                connection.execute_batch("BEGIN IMMEDIATE")
            };
            held().map_err(|error| failed_in(path, phase, next, error))?;
            Ok(connection)
        };
        Ok(Self { held: databases.into_iter().map(hold).collect::<Result<_, _>>()? })
    }

    /// Returns true if nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::cutover::exclusive::is_busy;

    fn database(directory: &Path, mode: &str) -> std::path::PathBuf {
        let path = directory.join(format!("{mode}.db"));
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        connection.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        path
    }

    fn hold(paths: &[std::path::PathBuf]) -> Result<Writers, Error> {
        Writers::hold(paths.iter().map(|path| &**path), Duration::ZERO, "freeze", "haul upgrade freeze DIR")
    }

    #[test]
    fn others_read_and_do_not_write() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["delete", "wal"].map(|mode| database(directory.path(), mode));
        let held = hold(&paths).unwrap();
        for path in &paths {
            let other = Connection::open(path).unwrap();
            other.busy_timeout(Duration::ZERO).unwrap();
            assert_eq!(other.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
            assert!(is_busy(&other.execute("INSERT INTO t VALUES (2)", []).unwrap_err()));
        }
        drop(held);
        for path in &paths {
            assert_eq!(Connection::open(path).unwrap().execute("INSERT INTO t VALUES (2)", []).unwrap(), 1);
        }
    }

    #[test]
    fn a_writer_that_does_not_end_is_named_and_nothing_stays_held() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["delete", "wal"].map(|mode| database(directory.path(), mode));
        let writer = Connection::open(&paths[1]).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = hold(&paths).unwrap_err();
        assert_eq!(error.exit_code(), 75);
        assert!(error.to_string().starts_with("freeze: ") && error.to_string().contains("wal.db"), "{error}");
        assert!(error.next_step().unwrap().contains("haul upgrade freeze DIR"));
        let other = Connection::open(&paths[0]).unwrap();
        assert_eq!(other.execute("INSERT INTO t VALUES (2)", []).unwrap(), 1);
    }
}
