//! Databases in states that programs leave behind.

use std::path::Path;

use rusqlite::Connection;

/// A table `t` with `in_file` rows in the file and `in_log` more in the write-ahead log only, and nobody who has it
/// open.
pub fn rows_in_log_only(path: &Path, in_file: u32, in_log: u32) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a, b)")
        .unwrap();
    for number in 0..in_file {
        connection.execute("INSERT INTO t VALUES (?1, 'old')", [number]).unwrap();
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    for number in 0..in_log {
        connection.execute("INSERT INTO t VALUES (?1, 'new')", [number]).unwrap();
    }
    keep(path, "-wal", connection);
}

/// A table `t` with `rows` rows, and half a transaction that changes them all, with the journal that rolls it back.
pub fn hot_journal(path: &Path, rows: u32) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA page_size = 1024; CREATE TABLE t (a, b); BEGIN").unwrap();
    let text = "x".repeat(300);
    for _ in 0..rows {
        connection.execute("INSERT INTO t VALUES (?1, 'old')", [&text]).unwrap();
    }
    connection.execute_batch("COMMIT; PRAGMA cache_size = 5; BEGIN; UPDATE t SET b = 'new'").unwrap();
    keep(path, "-journal", connection);
}

/// Closes the database, and leaves the file and the one next to it as they were before.
pub fn keep(path: &Path, ending: &str, connection: Connection) {
    let side = format!("{}{ending}", path.display());
    let (bytes, side_bytes) = (std::fs::read(path).unwrap(), std::fs::read(&side).unwrap());
    drop(connection);
    #[expect(clippy::disallowed_methods, reason = "the databases of a test")]
    {
        std::fs::write(path, bytes).unwrap();
        std::fs::write(side, side_bytes).unwrap();
    }
}
