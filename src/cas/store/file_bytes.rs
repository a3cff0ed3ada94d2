//! The bytes of a file as a stream.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::durable::{Disk, DiskError, DiskFile};

/// A file of a [`Disk`] as a stream. It ends where the file ended when it was opened; if the file is shorter by then,
/// reading fails with `UnexpectedEof`.
pub struct FileBytes {
    file: Arc<dyn DiskFile>,
    offset: u64,
    len_bytes: u64,
}

impl FileBytes {
    /// Opens an existing file.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        let file = disk.open_for_read(path)?;
        let len_bytes = file.len()?;
        Ok(Self { file, offset: 0, len_bytes })
    }

    /// Returns the length of the file in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

impl Read for FileBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len_bytes - self.offset).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        if len > 0 {
            self.file.read_exact_at(self.offset, &mut buffer[..len]).map_err(|e| e.source)?;
            self.offset += len as u64;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;

    #[test]
    fn a_file_is_read_to_its_end_in_steps_of_any_size() {
        let disk = SimulatedDisk::new();
        let path = Path::new("/store/blob");
        disk.install_file(path, b"some bytes");
        let mut bytes = Vec::new();
        let mut stream = FileBytes::open(&disk, path).unwrap();
        let mut step = [0; 3];
        loop {
            match stream.read(&mut step).unwrap() {
                0 => break,
                len => bytes.extend_from_slice(&step[..len]),
            }
        }
        assert_eq!((&*bytes, stream.len_bytes()), (&b"some bytes"[..], 10));
    }

    #[test]
    fn a_file_that_shrank_is_an_error_and_one_that_grew_is_not_followed() {
        let disk = SimulatedDisk::new();
        let path = Path::new("/store/blob");
        disk.install_file(path, b"some bytes");
        let mut shrunk = FileBytes::open(&disk, path).unwrap();
        let mut grown = FileBytes::open(&disk, path).unwrap();
        disk.open_file(path).unwrap().set_len(20).unwrap();
        assert_eq!(grown.read_to_end(&mut Vec::new()).unwrap(), 10);
        disk.open_file(path).unwrap().set_len(4).unwrap();
        let error = shrunk.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
