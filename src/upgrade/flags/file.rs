//! The file of the flags: `{"writes_frozen": true, "flags": {"maintenance_active": false}}`. Always replaced as a whole,
//! so that a reader never sees half of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable::{Disk, read_file, replace_file};
use crate::migration::Error;

/// The longest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// What the file of the flags holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlagFile {
    /// True while nobody may write to the databases.
    #[serde(default)]
    pub writes_frozen: bool,
    /// Each flag that was ever set, and whether it is set.
    #[serde(default)]
    pub flags: BTreeMap<String, bool>,
    /// What others have put there.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl FlagFile {
    /// Reads the file. An absent one has no flag set.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        if disk.kind(path)?.is_none() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&read_file(disk, path, BYTES_MAX)?).map_err(|error| Error::Corrupt {
            path: path.to_path_buf(),
            offset: 0,
            what: format!("the file of the flags cannot be read: {error}"),
            next: "correct or remove it, then run the same command again".into(),
            source: Some(Box::new(error)),
        })
    }

    /// Replaces the file, durably.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        text.push('\n');
        Ok(replace_file(disk, path, text.as_bytes())?)
    }

    /// Changes the file, durably, if `change` makes a difference.
    pub fn change(disk: &dyn Disk, path: &Path, change: impl FnOnce(&mut Self)) -> Result<(), Error> {
        let old = Self::read(disk, path)?;
        let mut new = old.clone();
        change(&mut new);
        if new == old { Ok(()) } else { new.write(disk, path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;
    use crate::migration::test_disk::{bytes_of, crash_faults, disk, put};

    const PATH: &str = "/run/flags.json";

    fn frozen(disk: &SimulatedDisk) -> bool {
        FlagFile::read(disk, Path::new(PATH)).unwrap().writes_frozen
    }

    #[test]
    fn what_others_put_there_stays() {
        let (disk, path) = (disk(), Path::new(PATH));
        put(&disk, path, br#"{"flags": {"a": true}, "owner": "ops"}"#);
        FlagFile::change(&disk, path, |file| file.writes_frozen = true).unwrap();
        let text = String::from_utf8(bytes_of(&disk, path)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, serde_json::json!({"writes_frozen": true, "flags": {"a": true}, "owner": "ops"}));
    }

    #[test]
    fn a_crash_leaves_the_old_flags_or_the_new_ones() {
        let (disk, path) = (disk(), Path::new(PATH));
        FlagFile::change(&disk, path, |file| file.writes_frozen = true).unwrap();
        let before = disk.operations();
        FlagFile::change(&disk, path, |file| file.writes_frozen = false).unwrap();
        for fault in crash_faults() {
            for operations in before..=disk.operations() {
                let _ = frozen(&disk.crash_image(operations, fault));
            }
            assert!(!frozen(&disk.crash_image(disk.operations(), fault)));
            assert!(frozen(&disk.crash_image(before, fault)));
        }
    }

    #[test]
    fn no_change_writes_nothing_and_a_damaged_file_is_named() {
        let (disk, path) = (disk(), Path::new(PATH));
        FlagFile::change(&disk, path, |file| file.writes_frozen = false).unwrap();
        assert!(disk.kind(path).unwrap().is_none());
        put(&disk, path, b"{");
        let error = FlagFile::read(&disk, path).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains(PATH), "{error}");
    }
}
