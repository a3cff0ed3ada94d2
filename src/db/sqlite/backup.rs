//! Backups of a database file by SQLite's online backup: a snapshot, page by page, while others can read.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup as Copy, StepResult};

use super::connect;
use super::errors::engine_error;
use super::reader;
use crate::db::backup::{Backup, BackupFile, stopped};
use crate::durable::{Disk, RealDisk, parent_of};
use crate::migration::{Error, free_space_check};
use crate::pipeline::StopToken;

const PAGES_PER_STEP: i32 = 1000;
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// Files that SQLite may leave next to a database, and would apply to the file that replaces it.
const COMPANION_ENDINGS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Copies the database at `path`, which `source` has open, into `directory` or into its own directory.
pub fn back_up(source: &Connection, path: &Path, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
    let disk = RealDisk;
    let directory = directory.unwrap_or_else(|| parent_of(path));
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let file = BackupFile::new(&disk, directory, &stem, "backup")?;
    free_space_check(
        &disk,
        directory,
        len_bytes(source).map_err(|error| engine_error(error).at(&connect::place(path)))?,
    )?;
    // A user who may not read the database must not be able to read its backup.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mode = disk.mode(&real)?;
    let restore = restore(path, &file.path);
    file.write(mode, restore, |_, temporary| copy(source, path, temporary, stop))
}

fn len_bytes(source: &Connection) -> Result<u64, rusqlite::Error> {
    let number = |pragma| source.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    Ok(u64::from(number("page_count")?) * u64::from(number("page_size")?))
}

/// Copies all pages inside one read transaction: otherwise each write of another connection would restart the copy.
fn copy(source: &Connection, path: &Path, target: &Path, stop: &StopToken) -> Result<(), Error> {
    let wrap = |error| engine_error(error).at(&connect::place(path));
    source.execute_batch("BEGIN").map_err(wrap)?;
    let result = reader::query(source, "SELECT count(*) FROM sqlite_schema", &[]);
    let result = result.map_err(|error| error.at(&connect::place(path)));
    let result = result.and_then(|_| {
        let mut target = connect::open_for_write(target)?;
        let copy = Copy::new(source, &mut target).map_err(wrap)?;
        loop {
            match copy.step(PAGES_PER_STEP).map_err(wrap)? {
                StepResult::Done => return Ok(()),
                _ if stop.is_requested() => return Err(stopped()),
                StepResult::More => {}
                _ => thread::sleep(BUSY_PAUSE),
            }
        }
    });
    let ended = source.execute_batch("ROLLBACK").map_err(wrap);
    result.and(ended)
}

pub fn restore(path: &Path, backup: &Path) -> Vec<Vec<String>> {
    let (path, backup) = (path.display().to_string(), backup.display().to_string());
    let mut remove = vec!["rm".to_owned(), "-f".to_owned()];
    remove.extend(COMPANION_ENDINGS.iter().map(|ending| format!("{path}{ending}")));
    vec![remove, vec!["cp".to_owned(), backup, path]]
}
