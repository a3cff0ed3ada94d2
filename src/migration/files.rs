//! New files under a temporary name, for what is streamed and for what replaces more than one name.

use std::path::{Path, PathBuf};

use super::Error;
use crate::durable::{Disk, DiskFile};

/// Replaces the file at `path` in one step by what `write` puts into a new one. It is durable on return.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), Error>,
) -> Result<(), Error> {
    let temporary = temporary_name(path);
    write_new(disk, &temporary, write)?;
    disk.rename(&temporary, path)?;
    Ok(disk.sync_directory(parent(path))?)
}

/// Writes and syncs a file under a temporary name, in place of one that a crash left there.
pub(super) fn write_new(
    disk: &dyn Disk,
    temporary: &Path,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), Error>,
) -> Result<(), Error> {
    if disk.kind(temporary)?.is_some() {
        disk.remove_file(temporary)?;
    }
    let file = disk.create_file(temporary)?;
    write(&*file)?;
    Ok(file.sync()?)
}

/// `.NAME.tmp` beside `path`.
pub(super) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// The directory that holds `path`; `.` for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
