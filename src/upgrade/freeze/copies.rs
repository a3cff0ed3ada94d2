//! Copies of databases: backups by SQLite's online backup, staging copies byte by byte.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest, Sha256};

use crate::db::sqlite::connect;
use crate::durable::{Attributes, Disk, create_directory_durable, for_each_chunk, parent_of, write_synced_file};
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;
use crate::upgrade::cutover::exclusive::failed_in;
use crate::upgrade::cutover::side_files;

/// The phase, in messages.
pub const PHASE: &str = "freeze";
const PAGES_PER_STEP: i32 = 1000;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// SHA-256 and length of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSha256 {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Creates an empty file with the owner and the permissions of a database, for a copy of it. Whatever is there is
/// removed. It reads the attributes of the database, so no connection of this process may hold a lock on it.
pub fn reserve(disk: &dyn Disk, copy: &Path, database: &Path) -> Result<(), Error> {
    create_directory_durable(disk, parent_of(copy))?;
    side_files::remove(disk, copy)?;
    write_synced_file(disk, copy, Attributes::Of(database), |_| Ok::<_, Error>(())).map(drop)
}

/// Fills a reserved file with the content of a database, by SQLite's online backup in one read transaction. The copy is
/// durable on return. `command` is the one to repeat, in messages.
pub fn back_up(disk: &dyn Disk, database: &Path, copy: &Path, command: &str, stop: &StopToken) -> Result<(), Error> {
    let source = connect::open_for_read(database)?;
    let of_source = |error| failed_in(database, PHASE, command, error);
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").map_err(of_source)?;
    copy_pages(&source, copy, command, stop)?;
    side_files::remove(disk, copy)?;
    disk.open_file(copy)?.sync()?;
    Ok(disk.sync_directory(parent_of(copy))?)
}

fn copy_pages(source: &Connection, copy: &Path, command: &str, stop: &StopToken) -> Result<(), Error> {
    let of_copy = |error| failed_in(copy, PHASE, command, error);
    let mut target = connect::open_for_write(copy)?;
    // A sync of the whole file follows.
    target.pragma_update(None, "synchronous", "OFF").map_err(of_copy)?;
    let backup = Backup::new(source, &mut target).map_err(of_copy)?;
    loop {
        match backup.step(PAGES_PER_STEP).map_err(of_copy)? {
            StepResult::Done => return Ok(()),
            StepResult::More => check_stop(stop)?,
            _ => {
                check_stop(stop)?;
                thread::sleep(BUSY_PAUSE);
            }
        }
    }
}

/// Returns SHA-256 and length of a file that no connection of this process has open.
pub fn file_sha256(disk: &dyn Disk, path: &Path, stop: &StopToken) -> Result<FileSha256, Error> {
    let file = disk.open_for_read(path)?;
    let (bytes, mut hasher) = (file.len()?, Sha256::new());
    for_each_chunk(
        0..bytes,
        &|| stop.is_requested(),
        |offset, chunk| file.read_exact_at(offset, chunk),
        |_, chunk| {
            hasher.update(chunk);
            Ok(())
        },
    )?;
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileSha256 { sha256, bytes })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::durable::{RealDisk, SimulatedDisk};
    use crate::migration::test_disk::put;

    #[test]
    fn a_backup_holds_what_is_in_the_log_only_and_keeps_mode_and_encoding() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("a.db"), directory.path().join("backups/a.db"));
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 1024; CREATE TABLE t(a)").unwrap();
        writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        writer.execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES ('in the log')").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        drop(writer.prepare("SELECT 1"));
        reserve(&RealDisk, &copy, &path).unwrap();
        back_up(&RealDisk, &path, &copy, "haul upgrade freeze", &StopToken::new()).unwrap();
        assert_eq!(RealDisk.mode(&copy).unwrap(), 0o640);
        let names: Vec<_> =
            std::fs::read_dir(copy.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["a.db"]);
        let read = Connection::open(&copy).unwrap();
        let pragma = |name| read.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma("encoding"), "UTF-16le".to_owned().into());
        assert_eq!(pragma("page_size"), 1024.into());
        assert_eq!(read.query_row("SELECT a FROM t", [], |row| row.get::<_, String>(0)).unwrap(), "in the log");
    }

    #[test]
    fn a_stop_ends_a_backup() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copy) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(8000000))").unwrap();
        drop(writer);
        reserve(&RealDisk, &copy, &path).unwrap();
        let stop = StopToken::new();
        stop.request();
        let error = back_up(&RealDisk, &path, &copy, "haul upgrade freeze", &stop).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }), "{error}");
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/run")]);
        put(&disk, Path::new("/run/x"), b"abc");
        let found = file_sha256(&disk, Path::new("/run/x"), &StopToken::new()).unwrap();
        assert_eq!(found.bytes, 3);
        assert!(found.sha256.starts_with("ba7816bf8f01cfea"), "{}", found.sha256);
    }
}
