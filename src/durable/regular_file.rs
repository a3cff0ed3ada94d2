//! Opens regular files, and neither follows a link nor waits for a pipe.

#![allow(clippy::disallowed_methods, reason = "what is opened is looked at here")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::EntryKind;
use super::real_root::without_loop;

/// Returns the options with which an existing file is opened. Without `NONBLOCK`, opening a pipe would wait for its other
/// end.
pub(super) fn existing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Opens a file of a run's state for reading, as [`Disk::open_for_read`](super::Disk::open_for_read) does.
pub fn open_state_file(path: &Path) -> io::Result<File> {
    open_regular(path, &existing())
}

/// Opens a file that somebody has named for reading. Follows links; what is no regular file is refused, and never waited for.
pub fn open_named_file(path: &Path) -> io::Result<File> {
    open_regular(path, OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY))
}

/// Opens a file and looks at what was opened, because the name may have changed its meaning since it was looked up.
pub(super) fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
    check_regular(options.open(path))
}

/// Takes what was opened without following a link, if it is a regular file.
pub(super) fn check_regular(opened: io::Result<File>) -> io::Result<File> {
    let file = opened.map_err(|error| match error.raw_os_error() {
        // A pipe without a reader, or a socket.
        Some(libc::ENXIO) => not_regular(),
        _ => without_loop(error),
    })?;
    match entry_kind(file.metadata()?.file_type()) {
        EntryKind::File => Ok(file),
        // A directory can be opened for reading, but no operation here could use it.
        EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        EntryKind::Other => Err(not_regular()),
    }
}

pub(super) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

pub(super) fn entry_kind(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_may_be_a_link_but_nothing_that_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), b"text").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RWXU).unwrap();
        for name in ["file", "link"] {
            assert_eq!(io::read_to_string(open_named_file(&path(name)).unwrap()).unwrap(), "text");
        }
        let kind = |path: &Path| open_named_file(path).unwrap_err().kind();
        assert_eq!(kind(&path("pipe")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(directory.path()), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&path("absent")), io::ErrorKind::NotFound);
    }
}
