//! The file in which an application reads its flags.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable::{Disk, read_file, replace_file};
use crate::migration::Error;

const BYTES_MAX: u64 = 1 << 20;

/// The flags of an application, and whether it may write.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlagFile {
    /// True while the databases must not be written to.
    pub writes_frozen: bool,
    /// Each flag and whether it is set.
    #[serde(default)]
    pub flags: BTreeMap<String, bool>,
}

impl FlagFile {
    /// Reads the file. One that is not there has no flag.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let bytes = match read_file(disk, path, BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes?,
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::State {
            path: path.to_path_buf(),
            what: format!("it is not a file of flags: {error}"),
            next: "repair or remove it, then run the same command again".into(),
            damaged: true,
            source: None,
        })
    }

    /// Replaces the file in one step that is durable on return.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        text.push('\n');
        Ok(replace_file(disk, path, text.as_bytes())?)
    }

    /// Says whether the databases may be written to, if the file does not say so already.
    pub fn freeze(disk: &dyn Disk, path: &Path, writes_frozen: bool) -> Result<(), Error> {
        let now = Self::read(disk, path)?;
        if now.writes_frozen == writes_frozen {
            return Ok(());
        }
        Self { writes_frozen, ..now }.write(disk, path)
    }

    /// Unsets every flag. Returns those that were set.
    pub fn clear(disk: &dyn Disk, path: &Path) -> Result<Vec<String>, Error> {
        let mut now = Self::read(disk, path)?;
        let set: Vec<_> = now.flags.iter().filter(|(_, is_set)| **is_set).map(|(name, _)| name.clone()).collect();
        if !set.is_empty() {
            now.flags.values_mut().for_each(|is_set| *is_set = false);
            now.write(disk, path)?;
        }
        Ok(set)
    }

    /// Returns true if the flag is set.
    pub fn is_set(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;

    #[test]
    fn what_is_written_is_read_and_other_flags_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags.json");
        assert_eq!(FlagFile::read(&RealDisk, &path).unwrap(), FlagFile::default());
        let flags = BTreeMap::from([("a".to_owned(), true), ("b".to_owned(), false)]);
        FlagFile { writes_frozen: false, flags }.write(&RealDisk, &path).unwrap();
        FlagFile::freeze(&RealDisk, &path, true).unwrap();
        let now = FlagFile::read(&RealDisk, &path).unwrap();
        assert!(now.writes_frozen && now.is_set("a") && !now.is_set("b") && !now.is_set("c"));
        assert_eq!(FlagFile::clear(&RealDisk, &path).unwrap(), ["a"]);
        assert!(!FlagFile::read(&RealDisk, &path).unwrap().is_set("a"));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags.json");
        replace_file(&RealDisk, &path, b"{\"writes_frozen\": tru").unwrap();
        let error = FlagFile::read(&RealDisk, &path).unwrap_err().to_string();
        assert!(error.contains("flags.json: it is not a file of flags"), "{error}");
    }
}
