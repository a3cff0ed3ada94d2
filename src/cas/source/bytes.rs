//! Bytes that are read in pieces: a file of the source, a copy of it, or a blob in memory.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use crate::durable::{DiskError, DiskFile, SourceFile, WindowError};
use crate::migration::Error;

/// Bytes that can be read repeatedly from any position.
pub trait Bytes: Sync {
    /// Returns the number of bytes.
    fn len_bytes(&self) -> Result<u64, ReadFault>;
    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault>;
    /// Fails if the bytes are no longer those that were opened. Only bytes of a source can change.
    fn check_unchanged(&self) -> Result<(), ReadFault> {
        Ok(())
    }
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// They are bytes of the source: the object is at fault.
    #[error(transparent)]
    Source(WindowError),
    /// The run has written them: the run is at fault.
    #[error(transparent)]
    Target(#[from] DiskError),
    /// Nothing is at fault: a stop was requested.
    #[error("a stop was requested")]
    Stopped,
}

impl From<ReadFault> for Error {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Source(error) => error.into(),
            ReadFault::Target(error) => error.into(),
            ReadFault::Stopped => Error::stopped(),
        }
    }
}

impl Bytes for SourceFile {
    fn len_bytes(&self) -> Result<u64, ReadFault> {
        Ok(self.identity().len_bytes)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault> {
        SourceFile::read_exact_at(self, offset, buffer).map_err(ReadFault::Source)
    }

    fn check_unchanged(&self) -> Result<(), ReadFault> {
        SourceFile::check_unchanged(self).map_err(ReadFault::Source)
    }
}

impl Bytes for Arc<dyn DiskFile> {
    fn len_bytes(&self) -> Result<u64, ReadFault> {
        Ok(self.as_ref().len()?)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault> {
        Ok(self.as_ref().read_exact_at(offset, buffer)?)
    }
}

/// Reads [`Bytes`] from start to end. A fault is kept in `fault`, because a reader can only return an [`io::Error`].
pub struct BytesReader<'a> {
    bytes: &'a dyn Bytes,
    offset: u64,
    end: u64,
    /// The fault, if a read failed.
    pub fault: Option<ReadFault>,
}

impl<'a> BytesReader<'a> {
    /// Creates a reader of all `bytes`.
    pub fn new(bytes: &'a dyn Bytes) -> Result<Self, ReadFault> {
        Ok(Self { bytes, offset: 0, end: bytes.len_bytes()?, fault: None })
    }
}

impl Read for BytesReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        if let Err(fault) = self.bytes.read_exact_at(self.offset, &mut buffer[..count]) {
            self.fault = Some(fault);
            return Err(io::Error::other("a read failed"));
        }
        self.offset += count as u64;
        Ok(count)
    }
}

/// A blob in memory.
impl Bytes for Vec<u8> {
    fn len_bytes(&self) -> Result<u64, ReadFault> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.get(start..start.saturating_add(buffer.len())) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => {
                let end = ErrorKind::UnexpectedEof.into();
                Err(ReadFault::Target(DiskError::new("read", Path::new("a blob in memory"), end)))
            }
        }
    }
}
