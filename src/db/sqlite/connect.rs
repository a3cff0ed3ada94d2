//! Opens database files, and reports files that are not databases.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::engine_error;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

/// The first bytes of every database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The position in the header of the format versions for writing and reading: 1 with a rollback journal, 2 with a
/// write-ahead log.
const FORMAT_VERSIONS: std::ops::Range<usize> = 18..20;
const FORMAT_VERSION_MAX: u8 = 2;
/// How long a statement waits for another connection, unless its section sets a limit.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The kind of file at the path of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// There is no file.
    Nothing,
    /// A file of zero bytes.
    Empty,
    /// A file with the header of a database.
    Database,
}

/// Reads the header of the file.
pub fn inspect(path: &Path) -> Result<FileKind, Error> {
    let wrap = |error| Error::from(DiskError::new("open database", path, error));
    let file = match open_named_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FileKind::Nothing),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::IsADirectory) => {
            return Err(unusable(path, "it is not a regular file", "name the file of a database"));
        }
        file => file.map_err(wrap)?,
    };
    let mut header = Vec::new();
    file.take(FORMAT_VERSIONS.end as u64).read_to_end(&mut header).map_err(wrap)?;
    match header.get(FORMAT_VERSIONS) {
        _ if header.is_empty() => Ok(FileKind::Empty),
        Some(versions) if header.starts_with(MAGIC) => {
            if versions.iter().any(|&version| version > FORMAT_VERSION_MAX) {
                let next = "use a version of haul with a newer SQLite";
                return Err(unusable(path, "its format is newer than the SQLite in this haul", next));
            }
            Ok(FileKind::Database)
        }
        _ => Err(unusable(path, "it is not a SQLite database", "check the path; an encrypted database cannot be read")),
    }
}

/// Returns the error for an empty file. A failed copy leaves one, and so does a program that opened a database and
/// wrote nothing.
pub fn empty_file(path: &Path) -> Error {
    let next = "restore the database from a backup, or remove the file to start with a new one";
    unusable(path, "the file is empty: it is not a database that was ever written to", next)
}

fn unusable(path: &Path, what: &str, next: &str) -> Error {
    EngineError::new(EngineErrorKind::Unusable, what).with_hint(next).at(&place(path))
}

/// Returns the path of the rollback journal.
pub fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}

/// Returns the name of the database in messages.
pub fn place(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Opens a file for writing, and creates it if it is missing.
pub fn open_for_write(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    // SQLite opens a file that it may not write for reading, and reports that only at the first write.
    if connection.is_readonly("main").map_err(|error| engine_error(error).at(&place(path)))? {
        return Err(unusable(path, "the file is read-only for this user", "let this user write to it"));
    }
    Ok(connection)
}

/// Opens a file for reading.
pub fn open_for_read(path: &Path) -> Result<Connection, Error> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Opens a private temporary database, which is deleted with its connection.
pub fn open_temporary() -> Result<Connection, Error> {
    open(Path::new(""), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    // A name such as `:memory:` or `file:x` has a meaning to SQLite; as a relative path it is a file like any other.
    let mut name = PathBuf::from(path);
    if path.is_relative() && !path.as_os_str().is_empty() {
        name = Path::new(".").join(path);
    }
    let connect = || {
        let connection = Connection::open_with_flags(&name, flags)?;
        set_up(&connection)?;
        Ok(connection)
    };
    connect().map_err(|error: rusqlite::Error| engine_error(error).at(&place(path)))
}

/// Sets what haul relies on.
pub fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // By default SQLite takes an unknown name in double quotes for a text, which hides spelling mistakes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    Ok(())
}
