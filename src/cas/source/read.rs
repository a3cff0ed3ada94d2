//! Reads the bytes of an object from the source, or says why that fails. A rollback proves a source by reading it
//! exactly as the migration did.

use std::io::ErrorKind;

use super::bytes::ReadFault;
use super::inventory::Entry;
use super::location::Location;
use super::root::SourceRoot;
use super::scan::{UNREADABLE, unreadable_text};
use crate::cas::outcome::RefusalReason;
use crate::durable::{DiskError, FaultClass, ReaderKind, SourceFile, WindowError, read_source_whole};

/// Longer sidecars are read up to here. No store writes one of half a kilobyte.
const SIDECAR_BYTES_MAX: usize = 64 << 10;
/// Bytes of an object that are read to see whether it can be read.
const PROBE_BYTES: usize = 64 << 10;
/// The beginning of the text about an object that changed.
const CHANGED: &str = "changed during the run: ";
/// The beginning of the text about a sidecar that cannot be read.
const OF_SIDECAR: &str = "its sidecar: ";

/// Why the bytes of an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRefusal {
    /// Why the object is refused.
    pub reason: RefusalReason,
    /// The same for people.
    pub text: String,
}

impl ReadRefusal {
    /// The system returned an error that is the object's own.
    pub fn unreadable(error: &DiskError) -> Self {
        Self { reason: RefusalReason::Unreadable, text: unreadable_text(error) }
    }

    /// The sidecar exists and cannot be read, so what it says of the object is not known.
    pub fn unreadable_sidecar(error: &DiskError) -> Self {
        Self { reason: RefusalReason::Unreadable, text: format!("{OF_SIDECAR}{}", unreadable_text(error)) }
    }

    /// The bytes are not those that the walk saw.
    pub fn changed(what: &str) -> Self {
        Self { reason: RefusalReason::Changed, text: format!("{CHANGED}{what}") }
    }
}

/// Returns true if a finding with this text is about something whose bytes could not be read.
pub fn is_about_unread(text: &str) -> bool {
    text.starts_with(CHANGED) || text.strip_prefix(OF_SIDECAR).unwrap_or(text).starts_with(UNREADABLE)
}

/// Why the bytes of an object could not be read.
#[derive(Debug)]
pub enum Unread {
    /// The object is at fault.
    Refused(ReadRefusal),
    /// The object may be whole: the medium, the device or the process is at fault, or the object is gone.
    Failed(DiskError),
    /// Nothing is at fault: a stop was requested.
    Stopped,
}

impl Unread {
    /// Returns the error of the system.
    pub fn of_disk(&self) -> Option<&DiskError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Refused(_) | Self::Stopped => None,
        }
    }
}

impl From<DiskError> for Unread {
    fn from(error: DiskError) -> Self {
        match error.fault_class() {
            FaultClass::Item if error.kind() != ErrorKind::NotFound => Self::Refused(ReadRefusal::unreadable(&error)),
            _ => Self::Failed(error),
        }
    }
}

impl From<ReadRefusal> for Unread {
    fn from(refusal: ReadRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ReadFault> for Unread {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Source(WindowError::Changed(change)) => ReadRefusal::changed(&change.what).into(),
            ReadFault::Source(WindowError::Disk(error)) => error.into(),
            // A file that the run itself has written is not the object's.
            ReadFault::Target(error) => Self::Failed(error),
            ReadFault::Stopped => Self::Stopped,
        }
    }
}

/// Returns true if the error may be that of one object, or of the medium as a whole: its neighbours decide.
pub fn is_in_doubt(error: &DiskError) -> bool {
    error.fault_class() == FaultClass::Medium || error.kind() == ErrorKind::NotFound
}

/// Returns true if the beginning of an object can be read, `None` if the object itself stands in the way of an answer.
///
/// # Errors
/// An error of the process or the device.
pub fn can_be_read(root: &SourceRoot, entry: &Entry) -> Result<Option<bool>, DiskError> {
    let mut buffer = Vec::new();
    let mut probe = || -> Result<(), WindowError> {
        let source = SourceFile::open(&root.blob(&entry.location), ReaderKind::Pread)?;
        let len_bytes = usize::try_from(source.identity().len_bytes).unwrap_or(usize::MAX);
        buffer.resize(len_bytes.min(PROBE_BYTES), 0);
        source.read_exact_at(0, &mut buffer)
    };
    match probe() {
        Ok(()) => Ok(Some(true)),
        Err(WindowError::Changed(_)) => Ok(None),
        Err(WindowError::Disk(error)) if is_in_doubt(&error) => Ok(Some(false)),
        Err(WindowError::Disk(error)) if error.fault_class() == FaultClass::Item => Ok(None),
        Err(WindowError::Disk(error)) => Err(error),
    }
}

/// Appends an object's blob to `buffer`: as many bytes as the walk saw, or none.
pub fn read_blob(root: &SourceRoot, entry: &Entry, buffer: &mut Vec<u8>) -> Result<(), Unread> {
    let start = buffer.len();
    let len_bytes = usize::try_from(entry.len_bytes).unwrap_or(usize::MAX);
    let unread = match read_source_whole(&root.blob(&entry.location), len_bytes, buffer) {
        Ok(read) if read == len_bytes => return Ok(()),
        Ok(read) => ReadRefusal::changed(&format!("{len_bytes} bytes became {read} or more")).into(),
        Err(error) => error.into(),
    };
    buffer.truncate(start);
    Err(unread)
}

/// Opens an object's blob, which must be as long as the walk saw.
pub fn open_blob(root: &SourceRoot, entry: &Entry) -> Result<SourceFile, Unread> {
    let source = SourceFile::open(&root.blob(&entry.location), ReaderKind::Pread)?;
    match source.identity().len_bytes {
        len_bytes if len_bytes == entry.len_bytes => Ok(source),
        len_bytes => Err(ReadRefusal::changed(&format!("length {} became {len_bytes}", entry.len_bytes)).into()),
    }
}

/// Reads an object's sidecar into `buffer`, or its beginning if it is too long to be one.
pub fn read_sidecar(root: &SourceRoot, location: &Location, buffer: &mut Vec<u8>) -> Result<(), Unread> {
    buffer.clear();
    let read = read_source_whole(&root.sidecar(location), SIDECAR_BYTES_MAX, buffer);
    buffer.truncate(SIDECAR_BYTES_MAX + 1);
    match read.map_err(|error| (ReadRefusal::unreadable_sidecar(&error), Unread::from(error))) {
        Ok(_) => Ok(()),
        Err((refusal, Unread::Refused(_))) => Err(refusal.into()),
        Err((_, failed)) => Err(failed),
    }
}
