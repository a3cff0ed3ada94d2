//! What is built from the single effects of a [`Disk`]: atomic replacement, durable directories, whole trees.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, DiskError, EntryKind};

/// Puts `bytes` at `path` in one step that is durable on return: a crash leaves the old file or the new one, whole.
///
/// The bytes go through `.<name>.tmp` beside it; one that a crash left is removed first. One writer at a time.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let (parent, temporary) = beside(path)?;
    remove_file_if_present(disk, &temporary)?;
    let file = disk.create_file(&temporary)?;
    file.write_all_at(0, bytes)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_directory(&parent)
}

fn beside(path: &Path) -> Result<(PathBuf, PathBuf), DiskError> {
    let Some(name) = path.file_name() else {
        return Err(DiskError::new("replace", path, io::ErrorKind::InvalidInput.into()));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tmp");
    Ok((parent_of(path).to_path_buf(), path.with_file_name(temporary)))
}

/// The directory that holds the name: `.` for a bare name, the path itself for a root.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

fn remove_file_if_present(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Creates a directory and those above it that are missing, every new name durable on return. An existing one is no
/// error, but its name is then made durable too: the run that created it may have died before it did.
pub fn create_directory_durable(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let parent = parent_of(path);
    match disk.kind(path)? {
        Some(EntryKind::Directory) => {}
        Some(_) => return Err(DiskError::new("create directory", path, io::ErrorKind::NotADirectory.into())),
        None => {
            create_directory_durable(disk, parent)?;
            disk.create_directory(path)?;
        }
    }
    disk.sync_directory(parent)
}

/// A whole file. One longer than `limit_bytes` is an `InvalidData` error and is not read.
pub fn read_file(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> Result<Vec<u8>, DiskError> {
    let file = disk.open_for_read(path)?;
    let len = file.len()?;
    let len = usize::try_from(len).ok().filter(|_| len <= limit_bytes).ok_or_else(|| {
        let what = format!("it is {len} bytes long, {limit_bytes} are allowed");
        DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, what))
    })?;
    let mut bytes = vec![0; len];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Removes a file, or a directory with all that is in it; the removal of its name is durable on return.
/// A missing path is no error. Links are removed, not followed.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.kind(path)? {
        None => return Ok(()),
        Some(EntryKind::Directory) => remove_directory_tree(disk, path)?,
        Some(_) => disk.remove_file(path)?,
    }
    disk.sync_directory(parent_of(path))
}

fn remove_directory_tree(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    for entry in disk.list(path)? {
        let path = path.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => remove_directory_tree(disk, &path)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_directory(path)
}

/// The lengths of all files in a directory and below, in bytes; 0 for a missing path. Links are not followed.
pub fn directory_bytes(disk: &dyn Disk, path: &Path) -> Result<u64, DiskError> {
    match disk.kind(path)? {
        None | Some(EntryKind::Other) => return Ok(0),
        Some(EntryKind::File) => return disk.open_for_read(path)?.len(),
        Some(EntryKind::Directory) => {}
    }
    disk.list(path)?.iter().map(|entry| directory_bytes(disk, &path.join(&entry.name))).sum()
}
