//! A file of this computer, open for writing or reading.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::kinds::is_ram_disk;
use crate::durable::sync_time::timed;
use crate::durable::{DiskError, DiskFile, stop};

/// Writeback is not started early for shorter new files: the call costs more than it gains.
const WRITEBACK_BYTES_MIN: usize = 256 << 10;

/// Starts writeback of a large file, so that a later sync finds it written.
pub(in crate::durable) fn write_at_once(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    if bytes.len() >= WRITEBACK_BYTES_MIN {
        start_writeback(&file, 0, bytes.len() as u64);
    }
    Ok(())
}

/// A file of this computer that is open.
pub(in crate::durable) struct RealFile {
    file: File,
    path: PathBuf,
    /// Remembers a failed sync. The system reports lost bytes once and treats the file as clean afterwards.
    sync_failed: AtomicBool,
}

impl RealFile {
    pub(in crate::durable) fn shared(file: File, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(Self { file, path: path.to_path_buf(), sync_failed: AtomicBool::new(false) })
    }

    fn error(&self, operation: &'static str, source: io::Error) -> DiskError {
        DiskError::new(operation, &self.path, source)
    }

    fn refuse_after_failed_sync(&self, operation: &'static str) -> Result<(), DiskError> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(
                self.error(operation, io::Error::other("an earlier sync of this file failed, its bytes may be lost"))
            );
        }
        Ok(())
    }
}

impl DiskFile for RealFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("write")?;
        stop::written(bytes.len());
        self.file.write_all_at(bytes, offset).map_err(|e| self.error("write", e))
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        stop::read(buffer.len());
        self.file.read_exact_at(buffer, offset).map_err(|e| self.error("read", e))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|e| self.error("measure", e))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("set the length of")?;
        self.file.set_len(len).map_err(|e| self.error("set the length of", e))
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        // On a RAM disk, allocation only clears pages that are written next.
        if len == 0 || is_ram_disk(&self.file) {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(e) => Err(self.error("preallocate", e.into())),
        }
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        start_writeback(&self.file, offset, len);
    }

    // fdatasync skips times, but never the length or the extents that are needed to read the bytes.
    fn sync(&self) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("sync")?;
        timed(|| self.file.sync_data()).map_err(|e| {
            self.sync_failed.store(true, Ordering::Release);
            self.error("sync", e)
        })
    }
}

fn start_writeback(file: &File, offset: u64, len: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // The result is ignored: this is a hint, and the sync reports errors.
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call takes no pointer.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a device is opened whose sync fails")]

    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_failed_sync_is_final_for_the_open_file() {
        let file = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        // Devices without a backing store refuse fdatasync with EINVAL: a real failure of a sync.
        let file = RealFile { file, path: PathBuf::from("/dev/null"), sync_failed: AtomicBool::new(false) };
        file.write_all_at(0, b"before").unwrap();
        file.sync().unwrap_err();
        assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(file.write_all_at(0, b"after").unwrap_err().operation, "write");
        assert_eq!(file.set_len(0).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
