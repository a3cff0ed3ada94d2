//! Stages large blobs. Their keys are known only after their bytes are hashed, so they are copied first, under the
//! number of their item, and the copy is hashed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::converted::Blob;
use crate::cas::source::reader::INLINE_BYTES_MAX;
use crate::cas::state::BlobMethod;
use crate::durable::{CopyMeans, Disk, DiskError, DiskFile, SourceFile};
use crate::pipeline::StopToken;

/// Bytes of one write.
const WRITE_BYTES: usize = 1 << 20;
/// Shorter blobs are written from memory even where the file system can share their blocks: an own file in the staging
/// directory costs more than their bytes.
const REFLINK_BYTES_MIN: u64 = 64 << 10;

/// The directory of blobs whose keys are not known yet.
pub struct BlobStaging {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    shares_blocks: bool,
}

/// A blob that was staged.
pub struct StagedBlob {
    /// The path of the file.
    pub path: PathBuf,
    /// The file, open for reading and writing.
    pub file: Arc<dyn DiskFile>,
    method: BlobMethod,
}

impl StagedBlob {
    /// Returns the blob for the writer.
    pub fn into_blob(self) -> Blob {
        Blob::Staged { path: self.path, method: self.method }
    }
}

impl BlobStaging {
    /// Stages blobs in `directory`, which must exist and belong to the run. `shares_blocks`: the file system can make
    /// copies that share their blocks with the source.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, shares_blocks: bool) -> Self {
        Self { disk, directory, shares_blocks }
    }

    /// Returns true if a blob of that length is copied instead of being held in memory.
    pub fn is_copied(&self, len_bytes: u64) -> bool {
        let limit_bytes = if self.shares_blocks { REFLINK_BYTES_MIN } else { INLINE_BYTES_MAX };
        len_bytes > limit_bytes
    }

    /// Copies a whole source file.
    pub fn copy(&self, item: u64, source: &SourceFile, stop: &StopToken) -> Result<StagedBlob, DiskError> {
        let path = self.directory.join(format!("{item}"));
        let means = if self.shares_blocks { CopyMeans::Auto } else { CopyMeans::NoReflink };
        match self.disk.copy_new_file(source, &path, means, &stop.check()) {
            Ok(method) => Ok(StagedBlob { file: self.disk.open_file(&path)?, path, method: method.into() }),
            Err(error) => {
                // The copy may be tried again under the same name.
                if self.disk.kind(&path)?.is_some() {
                    self.disk.remove_file(&path)?;
                }
                Err(error)
            }
        }
    }

    /// Creates an empty file for a transcoded blob.
    pub fn create(&self, item: u64) -> Result<StagedBlob, DiskError> {
        let path = self.directory.join(format!("{item}.recoded"));
        let file = self.disk.create_file(&path)?;
        Ok(StagedBlob { path, file, method: BlobMethod::Copied })
    }

    /// Removes a blob that is not needed.
    pub fn discard(&self, staged: &Path) -> Result<(), DiskError> {
        self.disk.remove_file(staged)
    }
}

/// Writes a file from start to end in large pieces.
pub struct FileWriter<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    written_bytes: u64,
    /// The error, if a write failed.
    pub fault: Option<DiskError>,
}

impl<'a> FileWriter<'a> {
    /// Creates a writer of an empty file.
    pub fn new(file: &'a dyn DiskFile) -> Self {
        Self { file, buffer: Vec::with_capacity(WRITE_BYTES), written_bytes: 0, fault: None }
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
