//! Opens databases, and says whose fault an error of SQLite is.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, ffi};

use super::super::failure::RewriteFailure;
use super::super::original::FileSource;
use super::super::windows::first_bytes;
use crate::durable::DiskError;
use crate::pipeline::StopToken;

/// How long a statement waits for another program.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);
/// A longer value is an error of SQLite, so that one value cannot use up the memory.
pub(super) const VALUE_BYTES_MAX: i32 = 64 << 20;
/// Steps of SQLite between two looks at the stop.
const STEPS_PER_LOOK: i32 = 10_000;
/// Where the header has the version for reading, which is 2 with a write-ahead log.
const READ_VERSION_AT: usize = 19;
const WITH_LOG: u8 = 2;

/// Returns the path of a file next to the database.
pub(super) fn companion(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Returns the length of a file, and 0 if there is none.
pub(super) fn len_bytes(files: &dyn FileSource, path: &Path) -> Result<u64, RewriteFailure> {
    match files.kind(path).map_err(RewriteFailure::unreadable)? {
        None => Ok(0),
        Some(_) => Ok(files.open(path).map_err(RewriteFailure::unreadable)?.len_bytes()),
    }
}

/// Opens a database without leaving or changing any file.
pub(super) fn open_for_read(
    files: &dyn FileSource,
    path: &Path,
    stop: &StopToken,
) -> Result<Connection, RewriteFailure> {
    let header = first_bytes(&*files.open(path).map_err(RewriteFailure::unreadable)?, READ_VERSION_AT as u64 + 1)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    if header.get(READ_VERSION_AT) != Some(&WITH_LOG) {
        return open(path, path, flags, stop);
    }
    // With a log, SQLite would create its files even to read. Without them nobody else writes.
    if len_bytes(files, &companion(path, "-wal"))? == 0 {
        return open(path, &immutable(path), flags | OpenFlags::SQLITE_OPEN_URI, stop);
    }
    if files.kind(&companion(path, "-shm")).map_err(RewriteFailure::unreadable)?.is_none() {
        let log = companion(path, "-wal");
        let log = log.display();
        return Err(RewriteFailure::Refused(format!(
            "{log} has changes that are not in the database; open it once with its application"
        )));
    }
    open(path, path, flags, stop)
}

/// Opens a database to change it.
pub(super) fn open_for_write(path: &Path, stop: &StopToken) -> Result<Connection, RewriteFailure> {
    let connection = open(path, path, OpenFlags::SQLITE_OPEN_READ_WRITE, stop)?;
    // SQLite opens a file that it may not write for reading.
    if connection.is_readonly("main").map_err(|error| failure(path, error))? {
        return Err(RewriteFailure::Refused("this user may not write to the database".into()));
    }
    // The end of the journal is as durable as the change.
    connection.pragma_update(None, "synchronous", "EXTRA").map_err(|error| failure(path, error))?;
    Ok(connection)
}

/// Opens a database that this process has locked with another connection.
pub(super) fn open_for_copy(path: &Path, stop: &StopToken) -> Result<Connection, RewriteFailure> {
    open(path, path, OpenFlags::SQLITE_OPEN_READ_ONLY, stop)
}

/// Makes SQLite look at the file and at its journal.
pub(super) fn read_schema(connection: &Connection) -> Result<(), Error> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// Returns a name by which SQLite takes a file for one that nobody changes.
fn immutable(path: &Path) -> PathBuf {
    let mut name = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name.push_str("?immutable=1");
    name.into()
}

fn open(path: &Path, name: &Path, flags: OpenFlags, stop: &StopToken) -> Result<Connection, RewriteFailure> {
    let stop = stop.clone();
    let connect = || {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(name, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.progress_handler(STEPS_PER_LOOK, Some(move || stop.is_requested()))?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
        // A database is what others wrote.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        // Both ends of a foreign key change, one after the other. They are checked at the end.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        Ok(connection)
    };
    connect().map_err(|error| failure(path, error))
}

/// Refuses the database, unless the device or the process is at fault.
pub(super) fn failure(path: &Path, error: Error) -> RewriteFailure {
    let Some(&code) = error.sqlite_error() else { return RewriteFailure::Refused(format!("SQLite: {error}")) };
    let disk = |operation, kind: io::Error| DiskError::new(operation, path, kind);
    match code.code {
        ErrorCode::OperationInterrupted => RewriteFailure::Stopped,
        ErrorCode::DiskFull => RewriteFailure::Fatal(disk("write database", io::ErrorKind::StorageFull.into()).into()),
        ErrorCode::OutOfMemory => {
            RewriteFailure::Fatal(disk("read database", io::ErrorKind::OutOfMemory.into()).into())
        }
        ErrorCode::SystemIoFailure => {
            RewriteFailure::Medium(disk("read database", io::Error::other(error.to_string())))
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            RewriteFailure::Refused(format!("another program uses the database: {error}"))
        }
        ErrorCode::ReadOnly if code.extended_code == ffi::SQLITE_READONLY_ROLLBACK => RewriteFailure::Refused(
            "a killed program has left a journal to undo; open it once with its application".into(),
        ),
        ErrorCode::TooBig => RewriteFailure::Refused(format!("a value or a row has more than {VALUE_BYTES_MAX} bytes")),
        _ => RewriteFailure::Refused(format!("SQLite: {error}")),
    }
}
