//! The one error of this room: an operation, the path it was for, and what the system said.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A failed effect on a disk, or a failed read of one.
#[derive(Debug)]
pub struct DiskError {
    /// What was tried, as a verb phrase: `"create file"`, `"sync directory"`.
    pub operation: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

impl DiskError {
    /// Wraps `source` with what was tried and where.
    pub fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_path_buf(), source }
    }

    /// The system's error kind.
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
