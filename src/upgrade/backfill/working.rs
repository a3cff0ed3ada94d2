//! Connections of phases 2 to 4.

use std::path::Path;

use rusqlite::Connection;

use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;
use crate::upgrade::plan::Mode;

/// Pages that SQLite keeps in memory, as it counts them: a negative number of KiB. Each sort of a query may take as much
/// again, and the rows of a backfill may need several.
const CACHE_KIB: i64 = -8 * 1024;

/// A database that phases 2 to 4 work on.
pub struct Working {
    /// The connection.
    pub connection: Connection,
    /// The journal mode that the database had, if it was changed.
    original_mode: Option<String>,
}

/// Opens a database to work on. A staging copy gets a write-ahead log, with which each of the many commits is whole after a
/// crash without being synced by itself. A live file keeps its journal mode, and each commit is synced.
pub fn open_working(path: &Path, mode: Mode) -> Result<Working, Error> {
    let connection = connect::open_for_write(path)?;
    let set = || -> rusqlite::Result<Option<String>> {
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "FILE")?;
        if mode == Mode::InPlace {
            connection.pragma_update(None, "synchronous", "FULL")?;
            return Ok(None);
        }
        let original = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Some(original))
    };
    let original_mode = set().map_err(|error| engine_error(error).at(&connect::place(path)))?;
    Ok(Working { connection, original_mode })
}

impl Working {
    /// Moves the log of a staging copy into the file, gives it the journal mode that it had, and closes it. No side file is
    /// left.
    pub fn finish(self) -> Result<(), Error> {
        let path = self.connection.path().unwrap_or_default().to_owned();
        let end = || -> rusqlite::Result<()> {
            let Some(original) = &self.original_mode else { return Ok(()) };
            self.connection.pragma_update(None, "synchronous", "FULL")?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            if original != "wal" {
                // Modes without a file end with their connection: what the file itself has is `delete`.
                self.connection.pragma_update(None, "journal_mode", "DELETE")?;
            }
            Ok(())
        };
        let result = end().and_then(|()| self.connection.close().map_err(|(_, error)| error));
        result.map_err(|error| engine_error(error).at(&connect::place(Path::new(&path))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_database_keeps_its_journal_mode_and_no_side_file_stays() {
        for (original, mode) in
            [("delete", Mode::Staged), ("wal", Mode::Staged), ("delete", Mode::InPlace), ("wal", Mode::InPlace)]
        {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("a.db");
            let made = Connection::open(&path).unwrap();
            made.pragma_update(None, "journal_mode", original).unwrap();
            made.execute_batch("CREATE TABLE t (a)").unwrap();
            drop(made);
            let working = open_working(&path, mode).unwrap();
            working.connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            let journal: String =
                working.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(journal, if mode == Mode::Staged { "wal" } else { original });
            working.finish().unwrap();
            assert_eq!(files(directory.path()), ["a.db"], "{original} {mode:?}");
            let again = Connection::open(&path).unwrap();
            assert_eq!(
                again.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap(),
                original
            );
            assert_eq!(again.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        }
    }
}
