//! A file of a disk, for parsers that read from a stream.

use std::io::Read;

use crate::durable::{DiskError, DiskFile};

/// Reads a file of a disk from its beginning to its end.
pub(crate) struct ReadAt<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    /// The error that ended the reading, which a parser would show as its own.
    pub failed: Option<DiskError>,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = match self.file.len() {
            Ok(len) => len.saturating_sub(self.at),
            Err(error) => return Err(self.fail(error)),
        };
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Err(error) = self.file.read_exact_at(self.at, &mut buffer[..count]) {
            return Err(self.fail(error));
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl<'a> ReadAt<'a> {
    /// Begins at the beginning.
    pub(crate) fn new(file: &'a dyn DiskFile) -> Self {
        Self { file, at: 0, failed: None }
    }

    fn fail(&mut self, error: DiskError) -> std::io::Error {
        let kind = error.kind();
        self.failed = Some(error);
        kind.into()
    }
}
