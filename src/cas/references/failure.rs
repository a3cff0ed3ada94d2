//! Why a file was not rewritten, or why the whole run ends.

use std::io::ErrorKind;

use crate::durable::{DiskError, FaultClass, SourceChange, WindowError};
use crate::migration::Error;

/// Why a file was not rewritten.
#[derive(Debug)]
pub enum RewriteFailure {
    /// The file stays as it is, and the other files are handled.
    Refused(String),
    /// The medium does not give the file, even when it is read again. The file is refused unless others fail as well.
    Medium(DiskError),
    /// A stop was requested; the file stays as it is.
    Stopped,
    /// The whole run fails.
    Fatal(Error),
}

impl From<Error> for RewriteFailure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl From<SourceChange> for RewriteFailure {
    fn from(change: SourceChange) -> Self {
        Self::Refused(format!("changed while it was being read: {}", change.what))
    }
}

impl From<WindowError> for RewriteFailure {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::Changed(change) => change.into(),
            WindowError::Disk(error) => Self::unreadable(error),
        }
    }
}

/// A file that must not be written is refused; a disk that fails ends the run.
impl From<DiskError> for RewriteFailure {
    fn from(error: DiskError) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
            | ErrorKind::ExecutableFileBusy
            | ErrorKind::CrossesDevices
            | ErrorKind::InvalidFilename
            | ErrorKind::TooManyLinks
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::IsADirectory => Self::refused(&error),
            _ => Self::Fatal(error.into()),
        }
    }
}

impl RewriteFailure {
    /// A file that cannot be read is refused, unless the process or the device is at fault.
    pub(super) fn unreadable(error: DiskError) -> Self {
        match error.fault_class() {
            FaultClass::Item => Self::refused(&error),
            FaultClass::Medium => Self::Medium(error),
            FaultClass::Run => Self::Fatal(error.into()),
        }
    }

    /// Refuses the file with the text of an error.
    fn refused(error: &DiskError) -> Self {
        Self::Refused(unreadable_text(error))
    }
}

/// Returns the reason of a refusal.
pub(super) fn unreadable_text(error: &DiskError) -> String {
    format!("{error}: {}", error.source)
}
