//! A copy of a database, made before something runs on it that destroys data.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::dialect::Dialect;
use crate::durable::{
    Disk, DiskFile, create_directory_durable, file_digest, parent_of, temporary_name, write_synced_file,
};
use crate::migration::{Error, now_text};

/// When a run makes a backup before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackupMode {
    /// Not at all.
    #[default]
    Never,
    /// Of a SQLite database, before what destroys data. That of a PostgreSQL database may be large, and is to be asked for.
    Auto,
    /// Before everything that changes something. If there can be none, nothing is run.
    Required,
}

/// When a run makes a backup, and where.
#[derive(Debug, Clone, Default)]
pub struct BackupPolicy {
    /// When.
    pub mode: BackupMode,
    /// In which directory; else beside a SQLite database, or in the working directory.
    pub directory: Option<PathBuf>,
}

impl BackupPolicy {
    /// True if a run that has something to do begins with a backup.
    pub fn is_due(&self, dialect: Dialect, destroys_data: bool) -> bool {
        match self.mode {
            BackupMode::Never => false,
            BackupMode::Auto => destroys_data && dialect == Dialect::Sqlite,
            BackupMode::Required => true,
        }
    }
}

/// A backup that is whole and durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Where it is.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// BLAKE3-256 of the file, 64 hex digits.
    pub digest: String,
    /// Commands that put it back, each as its words, once nothing uses the database any more.
    pub restore: Vec<Vec<String>>,
}

/// The file of a backup that is being made. It has its name when it is whole and durable.
pub(super) struct BackupFile<'a> {
    disk: &'a dyn Disk,
    pub path: PathBuf,
}

impl<'a> BackupFile<'a> {
    /// `STEM.20261121T150731123Z.EXTENSION` in `directory`, which is created if it is missing.
    pub fn new(disk: &'a dyn Disk, directory: &Path, stem: &str, extension: &str) -> Result<Self, Error> {
        create_directory_durable(disk, directory)?;
        let at: String = now_text().chars().filter(char::is_ascii_alphanumeric).collect();
        Ok(Self { disk, path: directory.join(format!("{stem}.{at}.{extension}")) })
    }

    /// Has `write` fill the file, by its handle or by its path, and gives it its name. If that fails, nothing is left.
    pub fn write(
        self,
        mode: u32,
        restore: Vec<Vec<String>>,
        write: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), Error>,
    ) -> Result<Backup, Error> {
        let temporary = temporary_name(&self.path);
        let result = write_synced_file(self.disk, &temporary, Some(mode), |file| write(file, &temporary));
        let result = result.and_then(|()| {
            let (bytes, digest) = self.digest(&temporary)?;
            self.disk.rename_exclusive(&temporary, &self.path)?;
            self.disk.sync_directory(parent_of(&self.path))?;
            Ok(Backup { file: self.path.display().to_string(), bytes, digest, restore })
        });
        if result.is_err() {
            // What is left of it is the lesser trouble, and has the name of something unfinished.
            let _ = self.disk.remove_file(&temporary);
        }
        result
    }

    fn digest(&self, path: &Path) -> Result<(u64, String), Error> {
        let file = file_digest(self.disk, path)?;
        Ok((file.len_bytes, blake3::Hash::from_bytes(file.digest).to_hex().to_string()))
    }
}

/// The error of a backup that was asked to stop.
pub(super) fn stopped() -> Error {
    Error::Stopped { next: "run the same command again, which makes the backup anew".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;

    #[test]
    fn a_backup_is_there_whole_or_not_at_all() {
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
    fn a_policy_says_when() {
        let is_due = |mode, dialect, destroys| BackupPolicy { mode, directory: None }.is_due(dialect, destroys);
        for (mode, dialect, destroys, expected) in [
            (BackupMode::Never, Dialect::Sqlite, true, false),
            (BackupMode::Auto, Dialect::Sqlite, true, true),
            (BackupMode::Auto, Dialect::Sqlite, false, false),
            (BackupMode::Auto, Dialect::Postgres, true, false),
            (BackupMode::Required, Dialect::Postgres, false, true),
        ] {
            assert_eq!(is_due(mode, dialect, destroys), expected, "{mode:?} {dialect} {destroys}");
        }
    }
}
