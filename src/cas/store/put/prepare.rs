//! Checks and creates the directory of the store for a put.

use std::io::ErrorKind;

use crate::cas::paths::StorePaths;
use crate::durable::{Disk, DiskError, EntryKind, create_directory_durable};
use crate::migration::Error;

/// Refuses a directory that is neither a store nor empty, and a store whose index is missing: a new index would hide
/// all other objects from every reader.
pub(super) fn check_store(disk: &dyn Disk, paths: &StorePaths) -> Result<(), Error> {
    let (root, objects, index) = (paths.root(), paths.objects(), paths.index());
    if disk.kind(root)? == Some(EntryKind::File) {
        return Err(no_store(paths, "it is a file"));
    }
    match (disk.kind(&objects)?, disk.kind(&index)?) {
        (None, None) if disk.kind(root)?.is_none() || disk.list(root)?.is_empty() => Ok(()),
        (None, None) => Err(no_store(paths, "it is not empty, and has neither objects nor index.ndjson")),
        (Some(EntryKind::File), _) => Err(no_store(paths, "objects is a file")),
        (Some(_), None) if is_empty_but_for_temporary_files(disk, paths)? => Ok(()),
        (Some(_), None) => Err(damaged(paths, "index.ndjson is missing, although there are objects")),
        (None, Some(EntryKind::File)) if !disk.open_for_read(&index)?.is_empty()? => {
            Err(damaged(paths, "objects is missing, although index.ndjson has lines"))
        }
        (_, Some(EntryKind::File)) => Ok(()),
        (_, Some(_)) => Err(damaged(paths, "index.ndjson is not a regular file")),
    }
}

fn is_empty_but_for_temporary_files(disk: &dyn Disk, paths: &StorePaths) -> Result<bool, DiskError> {
    let is_temporary = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".tmp_");
    Ok(disk.list(&paths.objects())?.iter().all(|entry| is_temporary(&entry.name)))
}

fn no_store(paths: &StorePaths, what: &str) -> Error {
    let next = "name the directory of a v2 store, or one that does not exist yet".into();
    Error::Usage { what: format!("{} is not a v2 store: {what}", paths.root().display()), next }
}

fn damaged(paths: &StorePaths, what: &str) -> Error {
    let next = "repair the store with haul cas verify --repair, then put the object again".into();
    Error::Verification { what: format!("{}: {what}", paths.root().display()), next }
}

/// Creates what is missing: the empty index first, so that there never is an object without one. Making `objects`
/// durable also makes the name of the index durable.
pub(super) fn create_store(disk: &dyn Disk, paths: &StorePaths) -> Result<(), DiskError> {
    create_directory_durable(disk, paths.root())?;
    match disk.create_file(&paths.index()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => _ = created?,
    }
    create_directory_durable(disk, &paths.objects())
}
