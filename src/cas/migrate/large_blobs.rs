//! Large blobs on their way into a target. Their keys are known only once their bytes are hashed, so they are copied
//! first, under the number of their object, and what is hashed is the copy.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::cas::source::reader::INLINE_BYTES_MAX;
use crate::durable::{CopyMeans, CopyMethod, Disk, DiskError, DiskFile, SourceFile, WindowError};
use crate::migration::Error;

/// Bytes that one read takes.
pub const WINDOW_BYTES: usize = 1 << 20;
/// Shorter blobs are written from memory even where the file system can share their blocks.
const REFLINK_BYTES_MIN: u64 = 64 << 10;

/// Where blobs go before their keys are known.
pub struct Intake {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    shares_blocks: bool,
}

/// A blob that has been taken in.
pub struct Placed {
    /// Where.
    pub path: PathBuf,
    /// Open for reading and writing.
    pub file: Arc<dyn DiskFile>,
}

impl Intake {
    /// Takes blobs into `directory`, which must exist and belong to the run. `shares_blocks`: the file system makes
    /// copies that share their blocks with the source.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, shares_blocks: bool) -> Self {
        Self { disk, directory, shares_blocks }
    }

    /// True if a blob of that length is to be taken in by a copy instead of being held in memory.
    pub fn takes(&self, len_bytes: u64) -> bool {
        let limit_bytes = if self.shares_blocks { REFLINK_BYTES_MIN } else { INLINE_BYTES_MAX };
        len_bytes > limit_bytes
    }

    /// Copies a whole source file.
    pub fn copy(&self, item: u64, source: &SourceFile) -> Result<(Placed, CopyMethod), DiskError> {
        let path = self.directory.join(format!("{item}"));
        let means = if self.shares_blocks { CopyMeans::Auto } else { CopyMeans::NoReflink };
        let method = self.disk.copy_new_file(source, &path, means)?;
        let file = self.disk.open_file(&path)?;
        Ok((Placed { path, file }, method))
    }

    /// Makes an empty file for what an object's blob becomes.
    pub fn create(&self, item: u64) -> Result<Placed, DiskError> {
        let path = self.directory.join(format!("{item}.recoded"));
        let file = self.disk.create_file(&path)?;
        Ok(Placed { path, file })
    }

    /// Removes what is not needed after all.
    pub fn discard(&self, placed: &Placed) -> Result<(), DiskError> {
        self.disk.remove_file(&placed.path)
    }
}

/// Bytes that can be read again and again from any place.
pub trait Bytes: Sync {
    /// How many.
    fn len_bytes(&self) -> Result<u64, ReadFault>;
    /// Fills `buffer` from `offset`.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault>;
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// Those of the source: the object is at fault.
    #[error(transparent)]
    Source(WindowError),
    /// Those that the run itself has written: the run is at fault.
    #[error(transparent)]
    Target(#[from] DiskError),
}

impl From<ReadFault> for Error {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Source(error) => error.into(),
            ReadFault::Target(error) => error.into(),
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
}

impl Bytes for Arc<dyn DiskFile> {
    fn len_bytes(&self) -> Result<u64, ReadFault> {
        Ok(self.as_ref().len()?)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault> {
        Ok(self.as_ref().read_exact_at(offset, buffer)?)
    }
}

/// Reads [`Bytes`] from front to back. A fault is kept in `fault`, since a reader can only give an [`io::Error`].
pub struct BytesReader<'a> {
    bytes: &'a dyn Bytes,
    offset: u64,
    end: u64,
    /// What went wrong, if a read failed.
    pub fault: Option<ReadFault>,
}

impl<'a> BytesReader<'a> {
    /// Reads all of `bytes`.
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

/// Writes into a file from front to back, in large pieces.
pub struct FileWriter<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    written_bytes: u64,
    /// What went wrong, if a write failed.
    pub fault: Option<DiskError>,
}

impl<'a> FileWriter<'a> {
    /// Writes into an empty file.
    pub fn new(file: &'a dyn DiskFile) -> Self {
        Self { file, buffer: Vec::with_capacity(WINDOW_BYTES), written_bytes: 0, fault: None }
    }

    /// Bytes taken so far.
    pub fn len_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }
}

impl io::Write for FileWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WINDOW_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(self.written_bytes, &self.buffer) {
            self.fault = Some(error);
            return Err(io::Error::other("a write failed"));
        }
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
