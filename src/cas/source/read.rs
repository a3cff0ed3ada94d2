//! Reads the bytes of an object from the source, or says why that fails. A rollback proves a source by reading it
//! exactly as the migration did.

use super::bytes::ReadFault;
use super::inventory::Entry;
use super::location::Location;
use super::root::SourceRoot;
use super::scan::unreadable_text;
use crate::cas::outcome::RefusalReason;
use crate::durable::{DiskError, ReaderKind, SourceFile, WindowError, read_source_whole};

/// Longer sidecars are read up to here. No store writes one of half a kilobyte.
const SIDECAR_BYTES_MAX: usize = 64 << 10;

/// Why the bytes of an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRefusal {
    /// Why the object is refused.
    pub reason: RefusalReason,
    /// The same for people.
    pub text: String,
}

impl ReadRefusal {
    /// The system returned an error.
    pub fn unreadable(error: &DiskError) -> Self {
        Self { reason: RefusalReason::Unreadable, text: unreadable_text(error) }
    }

    /// Returns the refusal of an object whose bytes could not be read. A fault in a file that the run itself has
    /// written is not the object's: it is returned as an error.
    pub fn of_source(fault: ReadFault) -> Result<Self, DiskError> {
        match fault {
            ReadFault::Source(WindowError::Changed(change)) => Ok(Self::changed(&change.what)),
            ReadFault::Source(WindowError::Disk(error)) => Ok(Self::unreadable(&error)),
            ReadFault::Target(error) => Err(error),
        }
    }

    /// The bytes are not those that the walk saw.
    pub fn changed(what: &str) -> Self {
        Self { reason: RefusalReason::Changed, text: format!("changed during the run: {what}") }
    }
}

/// Appends an object's blob to `buffer`: as many bytes as the walk saw, or none.
pub fn read_blob(root: &SourceRoot, entry: &Entry, buffer: &mut Vec<u8>) -> Result<(), ReadRefusal> {
    let start = buffer.len();
    let len_bytes = usize::try_from(entry.len_bytes).unwrap_or(usize::MAX);
    let unread = match read_source_whole(&root.blob(&entry.location), len_bytes, buffer) {
        Ok(read) if read == len_bytes => return Ok(()),
        Ok(read) => ReadRefusal::changed(&format!("{len_bytes} bytes became {read} or more")),
        Err(error) => ReadRefusal::unreadable(&error),
    };
    buffer.truncate(start);
    Err(unread)
}

/// Opens an object's blob, which must be as long as the walk saw.
pub fn open_blob(root: &SourceRoot, entry: &Entry) -> Result<SourceFile, ReadRefusal> {
    let source = SourceFile::open(&root.blob(&entry.location), ReaderKind::Pread);
    let source = source.map_err(|error| ReadRefusal::unreadable(&error))?;
    match source.identity().len_bytes {
        len_bytes if len_bytes == entry.len_bytes => Ok(source),
        len_bytes => Err(ReadRefusal::changed(&format!("length {} became {len_bytes}", entry.len_bytes))),
    }
}

/// Reads an object's sidecar into `buffer`, or its beginning if it is too long to be one.
pub fn read_sidecar(root: &SourceRoot, location: &Location, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
    buffer.clear();
    read_source_whole(&root.sidecar(location), SIDECAR_BYTES_MAX, buffer)?;
    buffer.truncate(SIDECAR_BYTES_MAX + 1);
    Ok(())
}
