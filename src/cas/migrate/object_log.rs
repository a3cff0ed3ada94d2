//! The log of the outcome of each object, in the order of the source: one record of 128 bytes each. The index and the
//! map are made from it, so that they need not be in the checkpoint.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | outcome: 0 migrated, 1 duplicate, 2 in the target already, 3 refused |
//! | 1 | 1 | algorithm of the old key |
//! | 2 | 1 | encoding of the blob |
//! | 3 | 5 | zeros |
//! | 8 | 32 | old key |
//! | 40 | 32 | new key |
//! | 72 | 32 | BLAKE3 of the blob in the target |
//! | 104 | 8 | length of the content, little-endian |
//! | 112 | 8 | length of the blob, little-endian |
//! | 120 | 8 | created at, Unix seconds, little-endian |

use std::path::Path;
use std::sync::Arc;

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
        let nothing = Key([0; 32]);
        let record = ObjectRecord {
            digest: nothing,
            encoding: Encoding::Identity,
            original_size: 0,
            stored_size: 0,
            stored_blob_hash: nothing,
            created_at: 0,
        };
        Self { outcome: ObjectOutcome::Refused, old_key, algorithm: Algorithm::Cas, record }
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
    if records == 0 {
        return Ok(true);
    }
    let file = disk.open_for_read(path)?;
    let len_bytes = check_len(&*file, path, records)?;
    let mut buffer = vec![[0; LOG_RECORD_BYTES]; RECORDS_PER_STEP];
    let mut offset = 0;
    while offset < len_bytes {
        let count = RECORDS_PER_STEP.min(((len_bytes - offset) / LOG_RECORD_BYTES as u64) as usize);
        file.read_exact_at(offset, buffer[..count].as_flattened_mut())?;
        for (index, bytes) in buffer[..count].iter().enumerate() {
            let at = offset + (index * LOG_RECORD_BYTES) as u64;
            let object = LoggedObject::from_bytes(bytes)
                .ok_or_else(|| damaged(path, format!("damaged record at offset {at}")))?;
            if !visit(&object)? {
                return Ok(false);
            }
        }
        offset += (count * LOG_RECORD_BYTES) as u64;
    }
    Ok(true)
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
