//! What runs leave in their directories below `migration/`. Anything else there belongs to somebody, and is not removed.

use std::path::PathBuf;

use super::paths::SpacePaths;
use super::store::index::IDS_UNMERGED;
use super::store::names::{generation, is_store_file};
use crate::durable::{Disk, DiskEntry, EntryKind};
use crate::migration::Error;

/// Directories below the scratch directory that the index phase sorts in.
pub(super) const SCRATCH_PARTS: [&str; 3] = ["ids", "marks", "rekeyed"];

/// Whether a run makes such an entry in a directory.
type IsOurs = fn(&DiskEntry) -> bool;

/// Returns what no run makes in the directories of runs: the first entry of each.
pub(super) fn foreign_entries(disk: &dyn Disk, paths: &SpacePaths) -> Result<Vec<PathBuf>, Error> {
    let directories: [(PathBuf, IsOurs); 3] = [
        (paths.scratch(), is_scratch),
        (paths.staging(), is_of_a_store),
        (paths.run_directory().retired_path(), is_retired),
    ];
    let mut foreign = Vec::new();
    for (directory, is_ours) in directories {
        // What else has its name is found when the run directory is looked at.
        if disk.kind(&directory)? == Some(EntryKind::Directory) {
            let entries = disk.list(&directory)?;
            let first = entries.iter().find(|entry| !is_ours(entry));
            foreign.extend(first.map(|entry| directory.join(&entry.name)));
        }
    }
    Ok(foreign)
}

/// Fails if a run would remove what no run has made.
pub(super) fn check_leftovers(disk: &dyn Disk, paths: &SpacePaths) -> Result<(), Error> {
    match foreign_entries(disk, paths)?.into_iter().next() {
        None => Ok(()),
        Some(path) => Err(Error::State {
            path,
            what: "no run of haul makes it, and the run would remove it; it is left untouched".into(),
            next: "find out who put it there and move it away, then run the same command again".into(),
            damaged: false,
            source: None,
        }),
    }
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
