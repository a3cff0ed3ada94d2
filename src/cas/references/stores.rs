//! Recognises stores and run directories among the directories that are searched for references. Their files are never
//! rewritten: a changed object is no longer the one that its name says.

use std::ffi::OsStr;
use std::path::Path;

use super::original::FileSource;
use crate::cas::format::key::KEY_TEXT_BYTES;
use crate::cas::map::{MAP_NAME, is_earlier_map};
use crate::cas::paths::{INDEX_NAME, OBJECTS_NAME};
use crate::cas::source::location::{Location, Shard, shard};
use crate::durable::{DiskEntry, EntryKind, FaultClass};
use crate::migration::{Error, checkpoint, journal};

/// Directories of objects that are looked into at each level: a few tell.
const SHARDS_MAX: usize = 4;

/// Returns true if the directory is a store of any generation and layout, as far as this user can see.
pub(super) fn is_store(files: &dyn FileSource, directory: &Path) -> Result<bool, Error> {
    let entries = list(files, directory)?;
    let has = |name: &str, kind| entries.iter().any(|entry| entry.name == name && entry.kind == kind);
    if has(OBJECTS_NAME, EntryKind::Directory) {
        let objects = directory.join(OBJECTS_NAME);
        let inner = list(files, &objects)?;
        if has(INDEX_NAME, EntryKind::File) || inner.iter().any(|entry| location(&[], entry).is_some()) {
            return Ok(true);
        }
        if has_objects(files, &objects, &inner, &[])? {
            return Ok(true);
        }
    }
    // Results are named by digests too, but have no sidecars.
    let is_flat = entries.iter().any(|entry| {
        let stem = entry.name.as_encoded_bytes().strip_suffix(b".meta");
        stem.is_some_and(|stem| stem.len() == KEY_TEXT_BYTES && Location::new(&[], stem).is_some())
    });
    Ok(is_flat || has_objects(files, directory, &entries, &[])?)
}

/// Returns true if the file has the name of an object or of its sidecar.
pub(super) fn is_part_of_object(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let name = name.strip_suffix(b".meta").unwrap_or(name);
    Location::new(&[], name).or_else(|| Location::new(&[*b"00"], name)).is_some()
}

/// Returns true if these are the names in a run directory.
pub(super) fn is_run_directory(entries: &[DiskEntry]) -> bool {
    let is_map = |name: &OsStr| name == MAP_NAME || is_earlier_map(name);
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    entries.iter().any(|entry| is_map(&entry.name)) || has(checkpoint::FILE_NAME) && has(journal::FILE_NAME)
}

/// Returns true if an object is in one of the first shards among these entries of a directory.
fn has_objects(
    files: &dyn FileSource,
    directory: &Path,
    entries: &[DiskEntry],
    above: &[Shard],
) -> Result<bool, Error> {
    let is_directory = |entry: &&DiskEntry| entry.kind == EntryKind::Directory;
    let shards = entries.iter().filter(is_directory).filter_map(|entry| Some((shard(&entry.name)?, entry)));
    for (shard, entry) in shards.take(SHARDS_MAX) {
        let (path, shards) = (directory.join(&entry.name), [above, &[shard]].concat());
        let inner = list(files, &path)?;
        if inner.iter().any(|entry| location(&shards, entry).is_some_and(|location| !location.is_misplaced()))
            || shards.len() < 2 && has_objects(files, &path, &inner, &shards)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn location(shards: &[Shard], entry: &DiskEntry) -> Option<Location> {
    Location::new(shards, entry.name.as_encoded_bytes()).filter(|_| entry.kind == EntryKind::File)
}

/// Lists a directory. One that this user cannot list has nothing.
fn list(files: &dyn FileSource, directory: &Path) -> Result<Vec<DiskEntry>, Error> {
    match files.list(directory) {
        Ok(entries) => Ok(entries),
        Err(error) if error.fault_class() == FaultClass::Item => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
