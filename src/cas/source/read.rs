//! An object's bytes as the source has them, or why they cannot be had. Whoever proves a source reads it as whoever
//! migrated it did.

use super::bytes::ReadFault;
use super::inventory::Entry;
use super::location::Location;
use super::root::SourceRoot;
use super::scan::unreadable_text;
use crate::cas::outcome::RefusalReason;
use crate::durable::{DiskError, ReaderKind, SourceFile, WindowError, read_source_whole};

/// Longer sidecars are read up to here: none that a store writes has half a kilobyte.
const SIDECAR_BYTES_MAX: usize = 64 << 10;

/// Why an object's bytes cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Why it is refused.
    pub reason: RefusalReason,
    /// The same for people.
    pub text: String,
}

impl Unread {
    /// The system does not give them.
    pub fn unreadable(error: &DiskError) -> Self {
        Self { reason: RefusalReason::Unreadable, text: unreadable_text(error) }
    }

    /// Why bytes of the source cannot be had. Those that the run itself has written are no fault of the object: they
    /// are an error.
    pub fn of_source(fault: ReadFault) -> Result<Self, DiskError> {
        match fault {
            ReadFault::Source(WindowError::Changed(change)) => Ok(Self::changed(&change.what)),
            ReadFault::Source(WindowError::Disk(error)) => Ok(Self::unreadable(&error)),
            ReadFault::Target(error) => Err(error),
        }
    }

    /// They are not what the walk saw.
    pub fn changed(what: &str) -> Self {
        Self { reason: RefusalReason::Changed, text: format!("changed during the run: {what}") }
    }
}

/// Appends an object's blob to `buffer`: as many bytes as the walk saw, or none.
pub fn read_blob(root: &SourceRoot, entry: &Entry, buffer: &mut Vec<u8>) -> Result<(), Unread> {
    let start = buffer.len();
    let len_bytes = usize::try_from(entry.len_bytes).unwrap_or(usize::MAX);
    let unread = match read_source_whole(&root.blob(&entry.location), len_bytes, buffer) {
        Ok(read) if read == len_bytes => return Ok(()),
        Ok(read) => Unread::changed(&format!("{len_bytes} bytes became {read} or more")),
        Err(error) => Unread::unreadable(&error),
    };
    buffer.truncate(start);
    Err(unread)
}

/// Opens an object's blob, which is as long as the walk saw.
pub fn open_blob(root: &SourceRoot, entry: &Entry) -> Result<SourceFile, Unread> {
    let source = SourceFile::open(&root.blob(&entry.location), ReaderKind::Pread);
    let source = source.map_err(|error| Unread::unreadable(&error))?;
    match source.identity().len_bytes {
        len_bytes if len_bytes == entry.len_bytes => Ok(source),
        len_bytes => Err(Unread::changed(&format!("length {} became {len_bytes}", entry.len_bytes))),
    }
}

/// Puts an object's sidecar into `buffer`, or its beginning if it is too long to be one.
pub fn read_sidecar(root: &SourceRoot, location: &Location, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
    buffer.clear();
    read_source_whole(&root.sidecar(location), SIDECAR_BYTES_MAX, buffer)?;
    buffer.truncate(SIDECAR_BYTES_MAX + 1);
    Ok(())
}
