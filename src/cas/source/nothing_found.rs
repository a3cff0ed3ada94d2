//! Refuses a source without a single object: more often than not it is the wrong directory.

use std::path::{Path, PathBuf};

use super::location::{Location, shard};
use super::root::SourceRoot;
use super::scan::ScanSums;
use crate::durable::{SourceNameKind, is_source_directory, source_names};
use crate::migration::Error;
use crate::migration::units::count_text;

/// Directories that are looked into for a store, and names in each.
const NAMES_MAX: usize = 1_000;

/// Fails if the walk has found no object, unless an empty store is allowed.
pub fn check_found(root: &SourceRoot, sums: &ScanSums, allow_empty: bool) -> Result<(), Error> {
    if sums.objects > 0 || allow_empty {
        return Ok(());
    }
    let next = match store_below(root.path())? {
        Some(store) => format!("give {}, which looks like a store", store.display()),
        None => "give the root of a store: the directory that holds objects/, or the objects themselves; \
                 if the store is empty, add --allow-empty"
            .into(),
    };
    let (path, what) = (root.path().to_path_buf(), nothing_found_text(sums));
    Err(Error::State { path, what, next, damaged: true, source: None })
}

/// Describes what the walk has found instead of objects.
pub fn nothing_found_text(sums: &ScanSums) -> String {
    let (sidecars, others) = (count_text(sums.sidecars), count_text(sums.others));
    format!("no object was found; {sidecars} sidecars and {others} other names were")
}

/// Returns a directory in this one that looks like a store.
pub fn store_below(root: &Path) -> Result<Option<PathBuf>, Error> {
    for name in source_names(root)?.take(NAMES_MAX) {
        let path = root.join(name?.name());
        if is_source_directory(&path)? && looks_like_a_store(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn looks_like_a_store(path: &Path) -> Result<bool, Error> {
    let inner = path.join("objects");
    let objects = if is_source_directory(&inner)? { inner } else { path.to_path_buf() };
    // A directory that this user may not read is not offered.
    let Ok(names) = source_names(&objects) else { return Ok(false) };
    for name in names.take(NAMES_MAX) {
        let name = name?;
        let text = name.name();
        if Location::new(&[], text.as_encoded_bytes()).is_some()
            || shard(&text).is_some() && name.kind()? == SourceNameKind::Directory
        {
            return Ok(true);
        }
    }
    Ok(false)
}
