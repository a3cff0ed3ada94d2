//! Large blobs on their way into a target. Their keys are known only once their bytes are hashed, so they are copied
//! first, under the number of their object, and what is hashed is the copy.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cas::source::reader::INLINE_BYTES_MAX;
use crate::durable::{CopyMeans, CopyMethod, Disk, DiskError, DiskFile, SourceFile};

/// Bytes that one write takes.
const WRITE_BYTES: usize = 1 << 20;
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
        Self { file, buffer: Vec::with_capacity(WRITE_BYTES), written_bytes: 0, fault: None }
    }

    /// Bytes taken so far.
    pub fn len_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }
}

impl io::Write for FileWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES {
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
