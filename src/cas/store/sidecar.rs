//! Reads the sidecar of an object from the disk.

use std::io::Read;
use std::path::Path;

use super::file_bytes::FileBytes;
use crate::cas::format::record::{Parsed, RECORD_BYTES_MAX, RecordFault, parse};
use crate::durable::{Disk, DiskError, EntryKind};

/// What is at the path of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sidecar {
    /// A record, perhaps that of another object.
    Parsed(Parsed),
    /// A file that is not a record.
    Faulty {
        /// What is wrong with it.
        fault: RecordFault,
        /// Its first [`RECORD_BYTES_MAX`] bytes and one more.
        bytes: Vec<u8>,
    },
    /// Nothing.
    Missing,
    /// A link, a directory or a device.
    NotAFile,
}

/// Reads the sidecar at `path` without following links.
pub fn read_sidecar(disk: &dyn Disk, path: &Path) -> Result<Sidecar, DiskError> {
    match disk.kind(path)? {
        None => return Ok(Sidecar::Missing),
        Some(EntryKind::Directory | EntryKind::Other) => return Ok(Sidecar::NotAFile),
        Some(EntryKind::File) => {}
    }
    let mut bytes = Vec::new();
    let limit = RECORD_BYTES_MAX as u64 + 1;
    FileBytes::open(disk, path)?.take(limit).read_to_end(&mut bytes).map_err(|e| DiskError::new("read", path, e))?;
    Ok(match parse(&bytes) {
        Ok(parsed) => Sidecar::Parsed(parsed),
        Err(fault) => Sidecar::Faulty { fault, bytes },
    })
}
