//! The error of this room: the operation, its path, and the error of the system.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

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
