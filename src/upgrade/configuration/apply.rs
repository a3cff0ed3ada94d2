//! Replaces a configuration file after its bytes are kept, and brings them back.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::convert::convert;
use crate::durable::{Attributes, Disk, create_directory_durable, read_file, replace_file, replace_file_with};
use crate::migration::Error;
use crate::upgrade::definition::Configuration;

const BYTES_MAX: u64 = 16 << 20;
/// The name of the kept bytes and of the record about them, in the directory of the backups.
const BYTES_FILE: &str = "configuration.bytes";
const RECORD_FILE: &str = "configuration.json";

/// What was done to a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationChange {
    /// The file.
    pub path: PathBuf,
    /// BLAKE3 of what it became.
    pub after_blake3: String,
    /// Old and new path of each key that was renamed.
    pub renamed: Vec<(String, String)>,
    /// Keys that the upgrade does not know. They are kept.
    pub unknown: Vec<String>,
}

/// Renames the keys of the file at `path`. Its bytes are kept in `backups` before. A second call changes nothing.
pub fn apply(
    disk: &dyn Disk,
    rules: &Configuration,
    path: &Path,
    backups: &Path,
) -> Result<ConfigurationChange, Error> {
    if let Some(done) = record(disk, backups)?
        && done.path == path
        && digest(&read_file(disk, path, BYTES_MAX)?) == done.after_blake3
    {
        return Ok(done);
    }
    let bytes = read_file(disk, path, BYTES_MAX)?;
    let converted = convert(rules, &bytes, &path.display().to_string())?;
    let mut text = serde_json::to_string_pretty(&converted.document).expect("plain data always serialises");
    text.push('\n');
    let change = ConfigurationChange {
        path: path.to_path_buf(),
        after_blake3: digest(text.as_bytes()),
        renamed: converted.renamed,
        unknown: converted.unknown,
    };
    create_directory_durable(disk, backups)?;
    // It may hold secrets, so its copy is as private.
    replace_file_with(disk, &backups.join(BYTES_FILE), Attributes::Of(path), |file| {
        file.write_all_at(0, &bytes).map_err(Error::from)
    })?;
    let record = serde_json::to_string_pretty(&change).expect("plain data always serialises");
    replace_file(disk, &backups.join(RECORD_FILE), record.as_bytes())?;
    replace_file(disk, path, text.as_bytes())?;
    Ok(change)
}

/// Brings the bytes of a configuration file back that [`apply`] has changed. Returns its path; `None` if there is nothing to
/// bring back. A file that was changed since stays, and is an error.
pub fn restore(disk: &dyn Disk, backups: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(change) = record(disk, backups)? else { return Ok(None) };
    let (old, now) =
        (read_file(disk, &backups.join(BYTES_FILE), BYTES_MAX)?, read_file(disk, &change.path, BYTES_MAX)?);
    if now == old {
        return Ok(None);
    }
    if digest(&now) != change.after_blake3 {
        return Err(Error::Conflict {
            path: change.path,
            what: "the configuration file was changed since the upgrade".into(),
            next: format!("compare it with {}, which has its old bytes", backups.join(BYTES_FILE).display()),
        });
    }
    replace_file(disk, &change.path, &old)?;
    Ok(Some(change.path))
}

fn record(disk: &dyn Disk, backups: &Path) -> Result<Option<ConfigurationChange>, Error> {
    let path = backups.join(RECORD_FILE);
    let bytes = match read_file(disk, &path, BYTES_MAX) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        bytes => bytes?,
    };
    let damaged = |error: serde_json::Error| Error::State {
        path: path.clone(),
        what: format!("it cannot be read: {error}"),
        next: format!("compare the configuration file with {}", backups.join(BYTES_FILE).display()),
        damaged: true,
        source: None,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;
    use crate::migration::test_disk::{bytes_of, crash_faults, disk};

    const OLD: &[u8] = b"{\"brain\": {\"path\": \"/b\"}}";

    fn rules() -> Configuration {
        let rename = [("brain.path".to_owned(), "paths.brainRoot".to_owned())].into();
        Configuration { rename, version: None }
    }

    #[test]
    fn the_bytes_come_back_and_a_second_call_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (path, backups) = (directory.path().join("app.json"), directory.path().join("backups"));
        assert_eq!(restore(&RealDisk, &backups).unwrap(), None);
        replace_file_with(&RealDisk, &path, Attributes::Mode(0o600), |file| file.write_all_at(0, OLD)).unwrap();
        let change = apply(&RealDisk, &rules(), &path, &backups).unwrap();
        assert_eq!(change.renamed.len(), 1);
        assert_eq!(RealDisk.mode(&backups.join(BYTES_FILE)).unwrap(), 0o600);
        assert_eq!(apply(&RealDisk, &rules(), &path, &backups).unwrap(), change);
        assert_eq!(restore(&RealDisk, &backups).unwrap(), Some(path.clone()));
        assert_eq!(std::fs::read(&path).unwrap(), OLD);
        assert_eq!(restore(&RealDisk, &backups).unwrap(), None);
        apply(&RealDisk, &rules(), &path, &backups).unwrap();
        replace_file(&RealDisk, &path, b"{}").unwrap();
        let error = restore(&RealDisk, &backups).unwrap_err().to_string();
        assert!(error.contains("was changed since"), "{error}");
    }

    #[test]
    fn a_crash_leaves_a_file_whose_old_bytes_are_known() {
        let (path, backups) = (Path::new("/run/app.json"), Path::new("/run/backups"));
        let disk = disk();
        replace_file(&disk, path, OLD).unwrap();
        let before = disk.operations();
        apply(&disk, &rules(), path, backups).unwrap();
        let new = bytes_of(&disk, path);
        for fault in crash_faults() {
            for operation in before..=disk.operations() {
                let image = disk.crash_image(operation, fault);
                let now = bytes_of(&image, path);
                assert!(now == OLD || now == new, "{fault:?} at {operation}");
                restore(&image, backups).unwrap();
                assert_eq!(bytes_of(&image, path), OLD, "{fault:?} at {operation}");
            }
        }
    }
}
