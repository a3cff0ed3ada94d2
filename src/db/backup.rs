//! Copies of a database, made before a run that destroys data.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::durable::{
    Attributes, Disk, DiskFile, NEVER, create_directory_durable, file_digest, parent_of, unique_temporary_name,
    write_new_synced_file,
};
use crate::migration::{Error, now_text};

/// When a run makes a backup before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackupMode {
    /// Never.
    #[default]
    Never,
    /// Before data is destroyed: all of a SQLite database, and of a PostgreSQL database the rows of the tables that the
    /// run touches.
    Auto,
    /// Before every change. Without a backup, nothing runs.
    Required,
}

/// When and where a run makes a backup.
#[derive(Debug, Clone, Default)]
pub struct BackupPolicy {
    /// When to make one.
    pub mode: BackupMode,
    /// The directory; by default that of the SQLite database, or the working directory.
    pub directory: Option<PathBuf>,
    /// How many backups a successful run keeps, the newest ones; `None` for all.
    pub keep: Option<usize>,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupScope {
    /// The whole database.
    Everything,
    /// The whole schema, and the rows of these tables with all that their keys need. They are named as in statements. An
    /// engine that copies files copies everything.
    Tables(Vec<String>),
}

impl BackupPolicy {
    /// Returns true if a run that changes something begins with a backup.
    pub fn is_due(&self, destroys_data: bool) -> bool {
        match self.mode {
            BackupMode::Never => false,
            BackupMode::Auto => destroys_data,
            BackupMode::Required => true,
        }
    }
}

/// A backup that is complete and durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The path of the file.
    pub file: String,
    /// The length of the file.
    pub bytes: u64,
    /// The BLAKE3-256 digest of the file, 64 hex digits.
    pub digest: String,
    /// The commands that restore it, each as a list of words. Nothing may use the database while they run.
    pub restore: Vec<Vec<String>>,
}

/// The file of a backup in progress. It gets its final name when it is complete and durable.
pub(super) struct BackupFile<'a> {
    disk: &'a dyn Disk,
    pub path: PathBuf,
}

impl<'a> BackupFile<'a> {
    /// Prepares the file `STEM.20261121T150731123Z.EXTENSION` in `directory`, which is created if it is missing.
    pub fn new(disk: &'a dyn Disk, directory: &Path, stem: &str, extension: &str) -> Result<Self, Error> {
        create_directory_durable(disk, directory)?;
        let at: String = now_text().chars().filter(char::is_ascii_alphanumeric).collect();
        Ok(Self { disk, path: directory.join(format!("{stem}.{at}.{extension}")) })
    }

    /// Lets `write` fill the file, by its handle or by its path, and gives it its final name. If that fails, nothing is
    /// left.
    pub fn write(
        self,
        mode: u32,
        restore: Vec<Vec<String>>,
        write: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), Error>,
    ) -> Result<Backup, Error> {
        let temporary = unique_temporary_name(&self.path);
        let attributes = Attributes::Mode(mode);
        let result = write_new_synced_file(self.disk, &temporary, attributes, |file| write(file, &temporary));
        let result = result.and_then(|_| {
            // The digest is read back from the file, because SQLite writes the file itself.
            let (bytes, digest) = self.digest(&temporary)?;
            self.disk.rename_exclusive(&temporary, &self.path)?;
            self.disk.sync_directory(parent_of(&self.path))?;
            Ok(Backup { file: self.path.display().to_string(), bytes, digest, restore })
        });
        if result.is_err() {
            // A leftover file does no harm: it has the name of a temporary file. The first error is the one to report.
            let _ = self.disk.remove_file(&temporary);
        }
        result
    }

    fn digest(&self, path: &Path) -> Result<(u64, String), Error> {
        let file = file_digest(self.disk, path, NEVER)?;
        Ok((file.len_bytes, blake3::Hash::from_bytes(file.digest).to_hex().to_string()))
    }
}

/// Returns the error of a backup that was asked to stop.
pub(super) fn stopped() -> Error {
    Error::Stopped { next: "run the same command again to make the backup".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;

    #[test]
    fn a_failed_backup_leaves_no_file() {
        let disk = SimulatedDisk::new();
        let new = || BackupFile::new(&disk, Path::new("/kept/here"), "x.db", "backup").unwrap();
        let bytes = vec![7; (256 << 10) + 5];
        let write = |file: &dyn DiskFile, _: &Path| Ok(file.write_all_at(0, &bytes)?);
        let backup = new().write(0o600, Vec::new(), write).unwrap();
        assert_eq!((backup.bytes, backup.digest), (bytes.len() as u64, blake3::hash(&bytes).to_hex().to_string()));
        assert!(new().write(0o600, Vec::new(), |_, _| Err(stopped())).is_err());
        let left = disk.list(Path::new("/kept/here")).unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(backup.file.starts_with("/kept/here/x.db.20") && backup.file.ends_with("Z.backup"), "{}", backup.file);
    }

    #[test]
    fn a_policy_decides_when_a_backup_is_due() {
        let is_due = |mode, destroys| BackupPolicy { mode, ..BackupPolicy::default() }.is_due(destroys);
        for (mode, destroys, expected) in [
            (BackupMode::Never, true, false),
            (BackupMode::Auto, true, true),
            (BackupMode::Auto, false, false),
            (BackupMode::Required, false, true),
        ] {
            assert_eq!(is_due(mode, destroys), expected, "{mode:?} {destroys}");
        }
    }
}
