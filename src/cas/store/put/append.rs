//! Appends the line of an object to the index.

use std::path::Path;

use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, RECORD_BYTES_MAX};
use crate::cas::store::index::{IndexReader, LineContent};
use crate::durable::{Disk, DiskError};

/// The record of an object in the index, and how the index ends.
pub(super) struct IndexTail {
    /// The object in its last line that every reader sees.
    pub listed: Option<ObjectRecord>,
    len_bytes: u64,
    torn: Option<TornLine>,
}

/// A last line without its newline.
struct TornLine {
    offset: u64,
    bytes: Vec<u8>,
}

impl IndexTail {
    pub(super) fn is_torn(&self) -> bool {
        self.torn.is_some()
    }
}

/// Reads the index at `path` to its end.
pub(super) fn read_index_tail(disk: &dyn Disk, path: &Path, key: Key) -> Result<IndexTail, DiskError> {
    let mut index = IndexReader::open(disk, path)?;
    let mut tail = IndexTail { listed: None, len_bytes: 0, torn: None };
    while let Some(line) = index.next().map_err(|e| DiskError::new("read", path, e))? {
        tail.len_bytes += line.len_bytes;
        if let LineContent::Record(parsed) = line.content
            && parsed.record.digest == key
            && !line.has_byte_order_mark
        {
            tail.listed = Some(parsed.record);
        }
        if line.is_torn {
            let len = line.len_bytes.min(RECORD_BYTES_MAX as u64) as usize;
            let mut bytes = vec![0; len];
            disk.open_for_read(path)?.read_exact_at(line.offset, &mut bytes)?;
            tail.torn = Some(TornLine { offset: line.offset, bytes });
        }
    }
    Ok(tail)
}

/// Appends the record's line unless it is already the last one of its key, and ends a torn line. The index is durable
/// on return. Returns false if the line existed.
pub(super) fn append_line(
    disk: &dyn Disk,
    path: &Path,
    tail: &IndexTail,
    record: &ObjectRecord,
) -> Result<bool, DiskError> {
    let mut line = Vec::new();
    record.push_json(&mut line);
    line.push(b'\n');
    let is_listed = tail.listed == Some(*record);
    let (offset, bytes) = match &tail.torn {
        None if is_listed => (tail.len_bytes, vec![]),
        None => (tail.len_bytes, line),
        // A crash left the beginning of this very line: it is completed.
        Some(torn) if line.starts_with(&torn.bytes) => (torn.offset, line),
        Some(_) if is_listed => (tail.len_bytes, vec![b'\n']),
        Some(_) => (tail.len_bytes, [b"\n", &*line].concat()),
    };
    let file = disk.open_file(path)?;
    if !bytes.is_empty() {
        file.write_all_at(offset, &bytes)?;
    }
    // Also for a line that existed: its writer may have crashed before the sync.
    file.sync()?;
    Ok(!is_listed)
}
