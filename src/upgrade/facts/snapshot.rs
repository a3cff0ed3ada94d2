//! A private copy of a database at one moment, to look at and to try things out on.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::failure::{failed, failed_on_copy};
use super::hot_journal::{RawCopy, is_hot};
use crate::db::sqlite::connect;
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;

const PAGES_PER_STEP: i32 = 1000;
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How many instructions of SQLite lie between two looks at the request to stop.
const INSTRUCTIONS_PER_LOOK: i32 = 50_000;

/// A private temporary copy of a database at one moment. It is removed when this is dropped.
pub struct Snapshot {
    connection: Connection,
    path: PathBuf,
    journal_mode: String,
    was_hot: bool,
}

impl Snapshot {
    /// Copies the database at `path` inside one read transaction, with the rows that are in its write-ahead log only.
    /// Others may read and, with such a log, write meanwhile; the file itself is opened for reading.
    ///
    /// If its writer was killed in the middle of a transaction, the copy is that of the state before: the transaction
    /// is rolled back in a copy, because it is not for this to change the file.
    pub fn take(path: &Path, stop: &StopToken) -> Result<Self, Error> {
        let source = connect::open_for_read(path)?;
        let copied = match begin(&source) {
            Ok(()) => copy(&source, path, stop)?,
            Err(error) if is_hot(&error) => {
                drop(source);
                let (connection, journal_mode) = recovered(path, stop)?;
                return Ok(Self { connection, path: path.into(), journal_mode, was_hot: true });
            }
            Err(error) => return Err(failed(path)(error)),
        };
        let (connection, journal_mode) = copied;
        Ok(Self { connection, path: path.into(), journal_mode, was_hot: false })
    }

    /// The connection to the copy. Foreign keys are not enforced on it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The same connection, for what needs it alone.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The database that was copied.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal mode of the file; the copy has another one.
    pub fn journal_mode(&self) -> &str {
        &self.journal_mode
    }

    /// True if a transaction of a killed writer was rolled back in the copy.
    pub fn was_hot(&self) -> bool {
        self.was_hot
    }
}

/// Begins a transaction that sees one state from here on.
fn begin(source: &Connection) -> rusqlite::Result<()> {
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn recovered(path: &Path, stop: &StopToken) -> Result<(Connection, String), Error> {
    let raw = RawCopy::make(path, stop)?;
    let source = connect::open_for_write(&raw.path())?;
    begin(&source).map_err(failed(path))?;
    copy(&source, path, stop)
}

fn copy(source: &Connection, path: &Path, stop: &StopToken) -> Result<(Connection, String), Error> {
    let wrap = failed_on_copy(path);
    let journal_mode = source.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(&wrap)?;
    let mut target = connect::open_temporary()?;
    let backup = Backup::new(source, &mut target).map_err(&wrap)?;
    loop {
        check_stop(stop)?;
        match backup.step(PAGES_PER_STEP).map_err(&wrap)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => thread::sleep(BUSY_PAUSE),
        }
    }
    drop(backup);
    let stop = stop.clone();
    target.progress_handler(INSTRUCTIONS_PER_LOOK, Some(move || stop.is_requested())).map_err(&wrap)?;
    target.execute_batch("PRAGMA foreign_keys = OFF").map_err(&wrap)?;
    Ok((target, journal_mode))
}

#[cfg(test)]
mod tests {
    use super::super::test_databases::{hot_journal, rows_in_log_only};
    use super::*;
    use crate::migration::ErrorKind;

    fn rows(snapshot: &Snapshot) -> i64 {
        snapshot.connection().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    }

    #[test]
    fn rows_of_the_log_are_in_the_copy_and_the_files_stay_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        rows_in_log_only(&path, 10, 7);
        let before = contents(directory.path());
        let snapshot = Snapshot::take(&path, &StopToken::new()).unwrap();
        assert_eq!((rows(&snapshot), snapshot.journal_mode(), snapshot.was_hot()), (17, "wal", false));
        let after = contents(directory.path());
        let kept = |files: &[(PathBuf, Vec<u8>)]| {
            files.iter().filter(|(path, _)| !path.to_string_lossy().ends_with("-shm")).cloned().collect::<Vec<_>>()
        };
        assert!(kept(&before) == kept(&after), "only the index of the log may appear");
        // The copy can be written to, as a rehearsal does.
        snapshot.connection().execute_batch("BEGIN IMMEDIATE; DELETE FROM t; COMMIT").unwrap();
        assert_eq!(rows(&Snapshot::take(&path, &StopToken::new()).unwrap()), 17);
    }

    #[test]
    fn the_transaction_of_a_killed_writer_is_rolled_back_in_the_copy_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        hot_journal(&path, 500);
        let before = contents(directory.path());
        assert_eq!(before.len(), 2);
        let snapshot = Snapshot::take(&path, &StopToken::new()).unwrap();
        assert!(snapshot.was_hot());
        let changed = "SELECT count(*) FROM t WHERE b = 'new'";
        assert_eq!(snapshot.connection().query_row(changed, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        assert_eq!(rows(&snapshot), 500);
        assert!(before == contents(directory.path()));
    }

    #[test]
    fn a_locked_database_is_an_error_that_may_pass() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
        let error = Snapshot::take(&path, &StopToken::new()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
    }

    #[test]
    fn a_stop_ends_the_copy_and_its_queries() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        rows_in_log_only(&path, 10, 7);
        let stop = StopToken::new();
        let snapshot = Snapshot::take(&path, &stop).unwrap();
        stop.request();
        assert!(matches!(Snapshot::take(&path, &stop), Err(Error::Stopped { .. })));
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";
        let error = snapshot.connection().query_row(sql, [], |_| Ok(())).map_err(failed(&path)).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
    }
}
