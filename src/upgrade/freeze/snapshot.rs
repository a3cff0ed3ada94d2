//! What `freeze` has measured of each database and each backup: `snapshot.json`, the reference of every later check.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{Disk, read_file, replace_file};
use crate::migration::Error;
use crate::upgrade::facts::FileState;
use crate::upgrade::plan::Baseline;

/// The longest file that is read.
const BYTES_MAX: u64 = 64 << 20;
const VERSION: u32 = 1;

/// A set of databases at the moment of its backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetSnapshot {
    /// Version of this form.
    pub version: u32,
    /// The run.
    pub run_id: String,
    /// Digest of the plan, in hexadecimal digits.
    pub plan_digest: String,
    /// When it was taken, RFC 3339 in UTC.
    pub taken_at: String,
    /// Every database.
    pub databases: Vec<DatabaseSnapshot>,
}

/// A database at the moment of its backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSnapshot {
    /// The name of its backup.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of the backup.
    pub sha256: String,
    /// Length of the backup.
    pub bytes: u64,
    /// The file of the database after the backup.
    pub live: FileState,
    /// SHA-256 of the definitions of all its objects.
    pub schema_sha256: String,
    /// What is in it.
    pub baseline: Baseline,
}

impl SetSnapshot {
    /// Returns the snapshot of a set without databases yet.
    pub fn new(run_id: &str, plan_digest: String) -> Self {
        let taken_at = crate::migration::now_text();
        Self { version: VERSION, run_id: run_id.to_owned(), plan_digest, taken_at, databases: Vec::new() }
    }

    /// Returns that of one database.
    pub fn of(&self, key: &str) -> Option<&DatabaseSnapshot> {
        self.databases.iter().find(|database| database.key == key)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// If it is absent or damaged: without it nothing proves what the backups hold.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let refused = |what: String, source: Option<_>| Error::State {
            path: path.to_path_buf(),
            what,
            next: "restore it from a copy; the backups next to it are whole if their SHA-256 is the one in the journal"
                .into(),
            damaged: true,
            source,
        };
        if disk.kind(path)?.is_none() {
            return Err(refused("the record of the backups is gone".into(), None));
        }
        let read = serde_json::from_slice::<Self>(&read_file(disk, path, BYTES_MAX)?);
        let read = read.map_err(|error| refused(format!("it cannot be read: {error}"), Some(Box::new(error) as _)))?;
        match read.version {
            VERSION => Ok(read),
            version => Err(refused(format!("its form has version {version}, this haul reads {VERSION}"), None)),
        }
    }

    /// Writes the file, durably.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        Ok(replace_file(disk, path, text.as_bytes())?)
    }
}
