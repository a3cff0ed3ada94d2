//! Writes a new file from start to end in large pieces.

use std::path::Path;
use std::sync::Arc;

use crate::durable::{Disk, DiskError, DiskFile};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// A new file and the bytes that are not yet written to it.
pub(super) struct FileWriter {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written_bytes: u64,
}

impl FileWriter {
    /// Creates the file, and removes one that a crash left under its name.
    pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        if disk.kind(path)?.is_some() {
            disk.remove_file(path)?;
        }
        Ok(Self { file: disk.create_file(path)?, buffer: Vec::new(), written_bytes: 0 })
    }

    /// Appends `bytes`.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    /// Returns the length of everything that was appended.
    pub(super) fn len_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    /// Writes the rest and makes the file durable.
    pub(super) fn finish(mut self) -> Result<(), DiskError> {
        self.write_buffer()?;
        self.file.sync()
    }

    fn write_buffer(&mut self) -> Result<(), DiskError> {
        self.file.write_all_at(self.written_bytes, &self.buffer)?;
        self.file.start_writeback(self.written_bytes, self.buffer.len() as u64);
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
