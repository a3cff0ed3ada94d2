//! Opens a path below an open directory, in one call or name by name.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Opens a relative path below `directory`, with one call where the system supports it. The empty path is the directory
/// itself. A link anywhere on the path is an `ELOOP` error, except that `PATH` opens one that is the last name.
pub(in crate::durable) fn open_beneath(
    directory: BorrowedFd<'_>,
    relative: &Path,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { check_relative(relative)? };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // openat2 accepts permission bits only where a file can be created.
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::io::retry_on_intr(|| openat2(directory, relative, flags, mode, resolve)) {
        // Old kernels do not have openat2, and the filters of some containers refuse it with EPERM.
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(directory, relative, flags, mode),
        opened => Ok(opened?),
    }
}

pub(in crate::durable) fn open_step_by_step(
    top: BorrowedFd<'_>,
    relative: &Path,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    let mut directory: Option<OwnedFd> = None;
    let mut names = relative.components().peekable();
    while let Some(name) = names.next() {
        let (step, mode) = match names.peek() {
            Some(_) => (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()),
            None => (flags, mode),
        };
        let above = directory.as_ref().map_or(top, AsFd::as_fd);
        let opened = rustix::io::retry_on_intr(|| openat(above, name.as_os_str(), step, mode))?;
        directory = Some(opened);
    }
    directory.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Fails unless the path consists of plain names.
fn check_relative(relative: &Path) -> io::Result<&Path> {
    let is_plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    match relative.components().all(is_plain) {
        true => Ok(relative),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the tree")),
    }
}
