//! What runs leave in their directories below `migration/`. Anything else there belongs to somebody, and is not removed.

use std::path::{Path, PathBuf};

use super::paths::SpacePaths;
use super::store::index::IDS_UNMERGED;
use super::store::names::{generation, is_store_file};
use crate::durable::{Disk, DiskEntry, EntryKind};
use crate::migration::Error;

/// Directories below the scratch directory that the index phase sorts in.
pub(super) const SCRATCH_PARTS: [&str; 3] = ["ids", "marks", "rekeyed"];

/// Returns the first entry of a directory of the run that no run makes there, if there is one.
pub(super) fn foreign_entry(disk: &dyn Disk, paths: &SpacePaths, directory: &Path) -> Result<Option<PathBuf>, Error> {
    let is_ours: fn(&DiskEntry) -> bool = if *directory == paths.staging() {
        is_of_a_store
    } else if *directory == paths.scratch() {
        is_scratch
    } else if *directory == paths.run_directory().retired_path() {
        is_retired
    } else {
        return Ok(None);
    };
    // What else has its name is found when the run directory is looked at.
    if disk.kind(directory)? != Some(EntryKind::Directory) {
        return Ok(None);
    }
    Ok(disk.list(directory)?.iter().find(|entry| !is_ours(entry)).map(|entry| directory.join(&entry.name)))
}

/// Fails if a run would remove what no run has made.
pub(super) fn check_leftovers(disk: &dyn Disk, paths: &SpacePaths) -> Result<(), Error> {
    for directory in [paths.staging(), paths.scratch(), paths.run_directory().retired_path()] {
        if let Some(path) = foreign_entry(disk, paths, &directory)? {
            return Err(Error::State {
                path,
                what: "no run of haul makes it, and the run would remove it; it is left untouched".into(),
                next: "find out who put it there and move it away, then run the same command again".into(),
                damaged: false,
                source: None,
            });
        }
    }
    Ok(())
}

/// A file of a store or of the making of its indexes, or one that was to replace it when its writer died.
fn is_of_a_store(entry: &DiskEntry) -> bool {
    let Some(name) = entry.name.to_str().filter(|_| entry.kind == EntryKind::File) else { return false };
    let replaced = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let replaced = replaced.map(|name| name.split_once(".haul-").map_or(name, |(name, _)| name));
    name == IDS_UNMERGED || is_store_file(replaced.unwrap_or(name))
}

fn is_scratch(entry: &DiskEntry) -> bool {
    entry.kind == EntryKind::Directory && SCRATCH_PARTS.iter().any(|part| *entry.name == **part)
}

/// What is left of one store, and other stores whose removal was stopped later.
fn is_retired(entry: &DiskEntry) -> bool {
    let is_store = |name: &str| name.split_once('.').is_some_and(|(store, _)| generation(store).is_some());
    is_of_a_store(entry) || (entry.kind == EntryKind::Directory && entry.name.to_str().is_some_and(is_store))
}
