//! What tells cheaply whether a database file has been written to.

use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

/// The ends of the names of the files that SQLite keeps next to a database.
pub const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where the header of a database holds the number of its changes.
const CHANGE_COUNTER: usize = 24;
/// Where the header of a write-ahead log holds the numbers that change when it begins again.
const WAL_SALT: usize = 16;

/// Returns the path of a file that SQLite keeps next to a database.
pub fn side_file(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Returns the ends of those that are there.
pub fn side_files(path: &Path) -> Vec<&'static str> {
    SIDE_FILES.into_iter().filter(|ending| side_file(path, ending).symlink_metadata().is_ok()).collect()
}

/// A database file and its write-ahead log, as far as can be known without reading them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct FileState {
    /// Length of the file.
    pub bytes: u64,
    /// When it was written to, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Its inode.
    pub inode: u64,
    /// Length of its write-ahead log; 0 without one.
    pub wal_bytes: u64,
    /// When that was written to; 0 without one.
    pub wal_modified_ns: i64,
    /// The number of its changes, as its header counts them, if it was read.
    pub change_counter: Option<u32>,
    /// The numbers in the header of the write-ahead log that change when it begins again, if they were read.
    pub wal_salt: Option<u64>,
}

impl FileState {
    /// Looks the files up. It opens none, so that no lock of this process is released.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path, error| Error::from(DiskError::new("look up", path, error));
        let file = fs::metadata(path).map_err(|error| failed(path, error))?;
        let log = side_file(path, "-wal");
        let log = match fs::metadata(&log) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // A reader makes an empty one, which holds nothing.
            found => Some(found.map_err(|error| failed(&log, error))?).filter(|log| log.len() > 0),
        };
        Ok(Self {
            bytes: file.len(),
            modified_ns: modified_ns(&file),
            inode: file.ino(),
            wal_bytes: log.as_ref().map_or(0, Metadata::len),
            wal_modified_ns: log.as_ref().map_or(0, modified_ns),
            change_counter: None,
            wal_salt: None,
        })
    }

    /// Looks the files up and reads their headers: this also tells two changes apart that happen in one tick of the
    /// clock of the file system. No connection of this process may have the database open, because closing the files
    /// releases its locks.
    pub fn with_headers(path: &Path) -> Result<Self, Error> {
        let number = |bytes: Option<[u8; 4]>| bytes.map(u32::from_be_bytes);
        let change_counter = number(header_bytes(path, CHANGE_COUNTER)?);
        let wal_salt = header_bytes(&side_file(path, "-wal"), WAL_SALT)?.map(u64::from_be_bytes);
        Ok(Self { change_counter, wal_salt, ..Self::of(path)? })
    }

    /// Returns what has changed from this state to `now`; `None` if nothing has, as far as both know.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let both = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        let changes = [
            (self.inode != now.inode, "it is another file"),
            (self.bytes != now.bytes, "its length has changed"),
            (self.modified_ns != now.modified_ns, "it was written to"),
            (both(self.change_counter.map(u64::from), now.change_counter.map(u64::from)), "it was written to"),
            (self.wal_bytes != now.wal_bytes, "the length of its write-ahead log has changed"),
            (self.wal_modified_ns != now.wal_modified_ns, "its write-ahead log was written to"),
            (both(self.wal_salt, now.wal_salt), "its write-ahead log has begun again"),
        ];
        changes.into_iter().find(|(is_so, _)| *is_so).map(|(_, what)| what.to_owned())
    }
}

fn modified_ns(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// Returns bytes of a header; `None` if the file is not there or shorter.
fn header_bytes<const N: usize>(path: &Path, at: usize) -> Result<Option<[u8; N]>, Error> {
    let failed = |error| Error::from(DiskError::new("read", path, error));
    let file = match open_named_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut header = Vec::new();
    file.take((at + N) as u64).read_to_end(&mut header).map_err(failed)?;
    Ok(header.get(at..at + N).and_then(|bytes| bytes.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn each_commit_is_a_difference_with_either_journal() {
        for mode in ["DELETE", "WAL"] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("x.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (a)")).unwrap();
            let mut before = FileState::with_headers(&path).unwrap();
            assert_eq!(before.difference(&FileState::with_headers(&path).unwrap()), None);
            for _ in 0..3 {
                // A commit of one row leaves the length of a file with a rollback journal as it is.
                connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
                let now = FileState::with_headers(&path).unwrap();
                assert!(before.difference(&now).is_some(), "{mode}: {now:?}");
                before = now;
            }
        }
    }

    #[test]
    fn a_restart_of_the_log_is_a_difference() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)").unwrap();
        let salt = || FileState::with_headers(&path).unwrap().wal_salt.unwrap();
        let before = salt();
        connection.execute_batch("PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES (1)").unwrap();
        assert_ne!(before, salt());
        assert_eq!(side_files(&path), ["-wal", "-shm"]);
        drop(connection);
        assert!(side_files(&path).is_empty());
    }

    #[test]
    fn a_file_in_its_place_is_a_difference_and_none_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("x.db"), directory.path().join("y.db"));
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let (one, two) = (FileState::of(&path).unwrap(), FileState::of(&other).unwrap());
        assert_eq!(one.difference(&two).unwrap(), "it is another file");
        assert!(FileState::of(&directory.path().join("z.db")).is_err());
    }
}
