//! The log of the outcome of each object, in the order of the source: one record of 128 bytes each. The index and the
//! map are made from it, so that they need not be in the checkpoint.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | outcome: 0 migrated, 1 duplicate, 2 in the target already, 3 refused, 4 in the target and not read again |
//! | 1 | 1 | algorithm of the old key |
//! | 2 | 1 | encoding of the blob |
//! | 3 | 5 | zeros |
//! | 8 | 32 | old key |
//! | 40 | 32 | new key |
//! | 72 | 32 | BLAKE3 of the blob in the target |
//! | 104 | 8 | length of the content, little-endian |
//! | 112 | 8 | length of the blob, little-endian |
//! | 120 | 8 | created at, Unix seconds, little-endian |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::known_objects::KnownObject;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::format::record::ObjectRecord;
use crate::durable::{Disk, DiskFile};
use crate::migration::Error;

/// Length of a record.
pub const LOG_RECORD_BYTES: usize = 128;
/// Records of one write or read.
const RECORDS_PER_STEP: usize = 2048;

/// The outcome of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ObjectOutcome {
    /// The target has a blob, a sidecar and an index line for it from this run.
    Migrated = 0,
    /// An earlier object of the source has the same content.
    Duplicate = 1,
    /// The store that is merged into had it already.
    InTarget = 2,
    /// It is left out.
    Refused = 3,
    /// The store that is merged into has it from an earlier run, and it was not read again.
    Known = 4,
}

/// One object and its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedObject {
    /// The outcome.
    pub outcome: ObjectOutcome,
    /// The key in its name.
    pub old_key: Key,
    /// How that key was made; meaningless if it was refused.
    pub algorithm: Algorithm,
    /// The record in the target; meaningless if it was refused.
    pub record: ObjectRecord,
}

impl LoggedObject {
    /// Returns an object that was left out.
    pub fn refused(old_key: Key) -> Self {
        let record = record_of(Key([0; 32]), 0);
        Self { outcome: ObjectOutcome::Refused, old_key, algorithm: Algorithm::Cas, record }
    }

    /// Returns an object that was not read again. Its blob in the target is not described.
    pub fn known(old_key: Key, object: &KnownObject) -> Self {
        let record = record_of(object.new_key, object.size);
        Self { outcome: ObjectOutcome::Known, old_key, algorithm: object.algorithm, record }
    }

    /// Returns the record.
    pub fn to_bytes(self) -> [u8; LOG_RECORD_BYTES] {
        let mut bytes = [0; LOG_RECORD_BYTES];
        bytes[..3].copy_from_slice(&[self.outcome as u8, self.algorithm as u8, self.record.encoding as u8]);
        bytes[8..40].copy_from_slice(&self.old_key.0);
        bytes[40..72].copy_from_slice(&self.record.digest.0);
        bytes[72..104].copy_from_slice(&self.record.stored_blob_hash.0);
        bytes[104..112].copy_from_slice(&self.record.original_size.to_le_bytes());
        bytes[112..120].copy_from_slice(&self.record.stored_size.to_le_bytes());
        bytes[120..].copy_from_slice(&self.record.created_at.to_le_bytes());
        bytes
    }

    /// Reads a record of [`LoggedObject::to_bytes`]; `None` if it is invalid.
    pub fn from_bytes(bytes: &[u8; LOG_RECORD_BYTES]) -> Option<Self> {
        let outcome = match bytes[0] {
            0 => ObjectOutcome::Migrated,
            1 => ObjectOutcome::Duplicate,
            2 => ObjectOutcome::InTarget,
            3 => ObjectOutcome::Refused,
            4 => ObjectOutcome::Known,
            _ => return None,
        };
        let key = |at: usize| Key(bytes[at..at + 32].try_into().expect("32 bytes"));
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let object = Self {
            outcome,
            old_key: key(8),
            algorithm: Algorithm::from_number(bytes[1])?,
            record: ObjectRecord {
                digest: key(40),
                encoding: Encoding::from_number(bytes[2])?,
                original_size: number(104),
                stored_size: number(112),
                stored_blob_hash: key(72),
                created_at: number(120),
            },
        };
        (object.to_bytes() == *bytes).then_some(object)
    }
}

/// Returns a record that says of the blob nothing.
fn record_of(digest: Key, original_size: u64) -> ObjectRecord {
    ObjectRecord {
        digest,
        encoding: Encoding::Identity,
        original_size,
        stored_size: 0,
        stored_blob_hash: Key([0; 32]),
        created_at: 0,
    }
}

/// The log, open for appending. Records are buffered until [`ObjectLog::flush`].
pub struct ObjectLog {
    file: Arc<dyn DiskFile>,
    written_bytes: u64,
    buffer: Vec<[u8; LOG_RECORD_BYTES]>,
}

impl ObjectLog {
    /// Opens the log at `path` and truncates it to `records`, which it must have.
    pub fn open(disk: &dyn Disk, path: &Path, records: u64) -> Result<Self, Error> {
        let file = if disk.kind(path)?.is_some() { disk.open_file(path)? } else { disk.create_file(path)? };
        let written_bytes = check_len(&*file, path, records)?;
        file.set_len(written_bytes)?;
        Ok(Self { file, written_bytes, buffer: Vec::with_capacity(RECORDS_PER_STEP) })
    }

    /// Appends a record.
    pub fn push(&mut self, object: &LoggedObject) -> Result<(), Error> {
        self.buffer.push(object.to_bytes());
        if self.buffer.len() == RECORDS_PER_STEP { self.flush() } else { Ok(()) }
    }

    /// Writes the buffered records without waiting for the disk.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.written_bytes, self.buffer.as_flattened())?;
        self.written_bytes += (self.buffer.len() * LOG_RECORD_BYTES) as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Visits the first `records` of the log at `path` in order. Ends early, with `false`, if `visit` returns false.
pub fn for_each_logged(
    disk: &dyn Disk,
    path: &Path,
    records: u64,
    mut visit: impl FnMut(&LoggedObject) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let mut objects = LoggedObjects::open(disk, path, records)?;
    while let Some(object) = objects.next()? {
        if !visit(&object)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first records of a log, in order.
pub struct LoggedObjects {
    path: PathBuf,
    /// `None` if no record is wanted: then there may be no log.
    file: Option<Arc<dyn DiskFile>>,
    len_bytes: u64,
    /// Where the records after those in the buffer begin.
    offset: u64,
    buffer: Vec<[u8; LOG_RECORD_BYTES]>,
    taken: usize,
}

impl LoggedObjects {
    /// Opens the log at `path`, which must have so many records.
    pub fn open(disk: &dyn Disk, path: &Path, records: u64) -> Result<Self, Error> {
        let file = (records > 0).then(|| disk.open_for_read(path)).transpose()?;
        let len_bytes = file.as_ref().map_or(Ok(0), |file| check_len(&**file, path, records))?;
        Ok(Self { path: path.to_path_buf(), file, len_bytes, offset: 0, buffer: Vec::new(), taken: 0 })
    }

    /// Returns the next record, `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is called with `?`")]
    pub fn next(&mut self) -> Result<Option<LoggedObject>, Error> {
        if self.taken == self.buffer.len() && !self.load()? {
            return Ok(None);
        }
        let bytes = &self.buffer[self.taken];
        let at = self.offset - ((self.buffer.len() - self.taken) * LOG_RECORD_BYTES) as u64;
        self.taken += 1;
        let object = LoggedObject::from_bytes(bytes);
        object.map(Some).ok_or_else(|| damaged(&self.path, format!("damaged record at offset {at}")))
    }

    fn load(&mut self) -> Result<bool, Error> {
        let left = (self.len_bytes - self.offset) / LOG_RECORD_BYTES as u64;
        let Some(file) = self.file.as_ref().filter(|_| left > 0) else { return Ok(false) };
        self.buffer.resize(RECORDS_PER_STEP.min(left as usize), [0; LOG_RECORD_BYTES]);
        file.read_exact_at(self.offset, self.buffer.as_flattened_mut())?;
        self.offset += self.buffer.as_flattened().len() as u64;
        self.taken = 0;
        Ok(true)
    }
}

fn check_len(file: &dyn DiskFile, path: &Path, records: u64) -> Result<u64, Error> {
    let (found_bytes, len_bytes) = (file.len()?, records * LOG_RECORD_BYTES as u64);
    if found_bytes < len_bytes {
        return Err(damaged(path, format!("cut short: {found_bytes} bytes of {len_bytes}")));
    }
    Ok(len_bytes)
}

fn damaged(path: &Path, what: String) -> Error {
    let next = "start over with --restart (the source is untouched)".into();
    Error::State { path: path.to_path_buf(), what, next, damaged: true, source: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::durable::SimulatedDisk;

    fn object(number: u64) -> LoggedObject {
        let key = |salt: u8| Key([number as u8 ^ salt; 32]);
        let outcome =
            [ObjectOutcome::Migrated, ObjectOutcome::Duplicate, ObjectOutcome::InTarget, ObjectOutcome::Refused]
                [number as usize % 4];
        let record = ObjectRecord {
            digest: key(1),
            encoding: if number.is_multiple_of(3) { Encoding::Zstd } else { Encoding::Identity },
            original_size: number,
            stored_size: number * 7,
            stored_blob_hash: key(2),
            created_at: number << 40,
        };
        LoggedObject { outcome, old_key: key(0), algorithm: Algorithm::ALL[number as usize / 4 % 4], record }
    }

    #[test]
    fn appended_records_are_visited_also_after_a_truncation() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/run")]);
        let path = Path::new("/run/moved");
        let mut log = ObjectLog::open(&disk, path, 0).unwrap();
        (0..5000).for_each(|number| log.push(&object(number)).unwrap());
        log.flush().unwrap();
        let mut log = ObjectLog::open(&disk, path, 3000).unwrap();
        (3000..3010).for_each(|number| log.push(&object(number)).unwrap());
        log.flush().unwrap();
        let mut seen = 0;
        let complete = for_each_logged(&disk, path, 3010, |found| {
            assert_eq!(*found, object(seen));
            seen += 1;
            Ok(true)
        });
        assert!(complete.unwrap() && seen == 3010);
        assert!(!for_each_logged(&disk, path, 3010, |_| Ok(false)).unwrap());
        assert!(for_each_logged(&disk, path, 3011, |_| Ok(true)).unwrap_err().to_string().contains("cut short"));
        assert!(ObjectLog::open(&disk, path, 9999).err().unwrap().next_step().unwrap().contains("--restart"));
    }

    proptest! {
        #[test]
        fn any_record_is_read_back_or_refused(bytes: [u8; 32], outcome: u8, number: u64) {
            let written = object(number >> 24);
            prop_assert_eq!(LoggedObject::from_bytes(&written.to_bytes()), Some(written));
            let mut other = written.to_bytes();
            other[0] = outcome;
            other[8..40].copy_from_slice(&bytes);
            if let Some(parsed) = LoggedObject::from_bytes(&other) {
                prop_assert_eq!(parsed.to_bytes(), other);
            }
        }
    }
}
