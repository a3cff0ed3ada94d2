//! Removes trees by descriptors: a link that takes the place of a directory is not followed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use crate::durable::{StopCheck, stop};

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a removal ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::durable) enum Removal {
    /// Nothing is left.
    Complete,
    /// It was asked to stop.
    Stopped,
}

/// What could not be removed, and why.
#[derive(Debug)]
pub(in crate::durable) struct NotRemoved {
    /// The entry, relative to the tree; empty for the tree itself.
    pub entry: PathBuf,
    /// The error of the system.
    pub error: Errno,
}

impl From<Errno> for NotRemoved {
    fn from(error: Errno) -> Self {
        Self { entry: PathBuf::new(), error }
    }
}

/// Removes a directory with everything in it.
pub(super) fn remove_tree_at(above: BorrowedFd<'_>, name: &Path, stop: StopCheck<'_>) -> Result<Removal, NotRemoved> {
    if stop() {
        return Ok(Removal::Stopped);
    }
    stop::opened();
    let directory = match retry_on_intr(|| openat(above, name, OPEN_DIRECTORY, Mode::empty())) {
        Ok(directory) => directory,
        // It is a file or a link, perhaps since a moment ago.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Ok(unlinkat(above, name, AtFlags::empty()).map(|()| Removal::Complete)?);
        }
        Err(error) => return Err(error.into()),
    };
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let removal = match entry.file_type() {
            FileType::Directory | FileType::Unknown => remove_tree_at(directory.as_fd(), Path::new(name), stop),
            _ => remove_file_at(directory.as_fd(), name, stop),
        };
        match removal {
            // Another process may have removed it.
            Ok(Removal::Complete) | Err(NotRemoved { error: Errno::NOENT, .. }) => {}
            Ok(Removal::Stopped) => return Ok(Removal::Stopped),
            Err(NotRemoved { entry, error }) => return Err(NotRemoved { entry: Path::new(name).join(entry), error }),
        }
    }
    Ok(unlinkat(above, name, AtFlags::REMOVEDIR).map(|()| Removal::Complete)?)
}

fn remove_file_at(directory: BorrowedFd<'_>, name: &OsStr, stop: StopCheck<'_>) -> Result<Removal, NotRemoved> {
    if stop() {
        return Ok(Removal::Stopped);
    }
    stop::opened();
    Ok(unlinkat(directory, name, AtFlags::empty()).map(|()| Removal::Complete)?)
}
