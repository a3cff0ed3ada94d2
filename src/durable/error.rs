//! The error of this room: the operation, its path, and the error of the system.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file is longer than the caller allows. It is not read.
#[derive(Debug)]
pub struct TooLong {
    /// The length of the file.
    pub len_bytes: u64,
    /// What was allowed.
    pub limit_bytes: u64,
}

impl TooLong {
    /// Returns the error for a file of this length, if it is too long.
    pub(super) fn check(len_bytes: u64, limit_bytes: u64) -> io::Result<()> {
        if len_bytes <= limit_bytes {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, Self { len_bytes, limit_bytes }))
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is {} bytes long, {} are allowed", self.len_bytes, self.limit_bytes)
    }
}

impl std::error::Error for TooLong {}

/// A failed effect on a disk, or a failed read of one.
#[derive(Debug)]
pub struct DiskError {
    /// The operation as a verb phrase: `"create file"`, `"sync directory"`.
    pub operation: &'static str,
    /// The path of the operation.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

impl DiskError {
    /// Wraps the error `source` of `operation` on `path`.
    pub fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }

    /// Returns true if the process, or the whole system, may not open another file.
    pub fn is_out_of_descriptors(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }

    /// Returns how long a file is that was not read because it is too long.
    pub fn too_long(&self) -> Option<&TooLong> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Returns the kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.operation, self.path.display())
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
