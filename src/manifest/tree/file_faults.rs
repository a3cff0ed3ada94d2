//! Tells the errors of one file from those of the whole tree.

use std::io::ErrorKind;

use crate::durable::DiskError;

/// Returns true if the error concerns this file or its directory only, so that the run can go on with other files.
pub fn concerns_one_file(error: &DiskError) -> bool {
    use ErrorKind::{
        CrossesDevices, ExecutableFileBusy, InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory,
        NotFound, PermissionDenied, ReadOnlyFilesystem, ResourceBusy, TooManyLinks,
    };
    matches!(
        error.kind(),
        CrossesDevices
            | ExecutableFileBusy
            | InvalidData
            | InvalidFilename
            | InvalidInput
            | IsADirectory
            | NotADirectory
            | NotFound
            | PermissionDenied
            | ReadOnlyFilesystem
            | ResourceBusy
            | TooManyLinks
    )
}
