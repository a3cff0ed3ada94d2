//! The key map: the new key of every old one (docs/source-requiem.md, "The key map").
//!
//! `key-map.tsv` is for people and other programs: a header line, then one line for every object that was migrated
//! or is a duplicate, unchanged keys included, sorted by old key and then by the name of the algorithm.
//!
//! ```text
//! old_key → old_algorithm → new_key → size           (one tab for each arrow)
//! 19213bac…40ca25 → blake2s → 888c953e…01fb12d → 5
//! ```
//!
//! Keys are 64 lowercase hex digits, algorithms `blake2s`, `blake3`, `cas` and `sha256`, sizes decimal bytes of content
//! without leading zeros. Every line ends in one line feed. An old key is unique only with its algorithm; a pair
//! that was found twice has one line.
//!
//! `key-map.reverse` next to it leads from new keys to lines. It is an index and may be missing: everything in it is in
//! the map. Its layout is [`ReverseHeader`], then one [`ReverseEntry`] for each line, sorted by new key and offset:
//!
//! | offset | bytes | header | | offset | bytes | entry |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | `HAULREV1` | | 0 | 32 | new key |
//! | 8 | 4 | version, 1 | | 32 | 8 | offset of the line in the map |
//! | 12 | 4 | bytes of an entry, 40 | | | | |
//! | 16 | 8 | bytes of the map | | | | |
//! | 24 | 8 | rows of the map | | | | |
//! | 32 | 32 | BLAKE3 of the map | | | | |
//!
//! [`MapWriter`] writes both and [`KeyMap`] reads them. Neither has a whole map in memory.

mod check;
mod export;
mod file_writer;
mod index;
mod reader;
mod reverse;
mod row;
mod writer;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::durable::{Disk, parent_of};
use crate::migration::Error;

pub use check::MapCheck;
pub use reader::{KeyMap, MapCursor, Rows};
pub use reverse::{REVERSE_MAGIC, REVERSE_VERSION, ReverseEntry, ReverseHeader, reverse_path};
pub use row::{HEADER_LINE, MapRow, ROW_TEXT_BYTES_MAX};
pub use writer::{MapSummary, MapWriter};

/// Name of the map of a migration.
pub const MAP_NAME: &str = "key-map.tsv";
const EARLIER_MAP_PREFIX: &str = "key-map-";
const EARLIER_MAP_SUFFIX: &str = ".tsv";

/// Returns the map of the migration that made the store at `store`: `<store>.migration/key-map.tsv`; `None` if the path
/// does not end in a name.
pub fn map_of_store(store: &Path) -> Option<PathBuf> {
    let mut name = store.file_name()?.to_os_string();
    name.push(".migration");
    Some(store.with_file_name(name).join(MAP_NAME))
}

/// Returns the maps of earlier migrations next to the last one, the latest first. The names sort by time, because run
/// ids begin with it.
pub fn earlier_maps(disk: &dyn Disk, map: &Path) -> Result<Vec<PathBuf>, Error> {
    let directory = parent_of(map);
    if disk.kind(directory)?.is_none() {
        return Ok(Vec::new());
    }
    let entries = disk.list(directory)?.into_iter().rev().filter(|entry| is_earlier_map(&entry.name));
    Ok(entries.map(|entry| directory.join(entry.name)).collect())
}

/// Returns the name of the map of an earlier migration into the same store.
pub fn earlier_map_name(run_id: &str) -> String {
    format!("{EARLIER_MAP_PREFIX}{run_id}{EARLIER_MAP_SUFFIX}")
}

/// Returns true if this is an [`earlier_map_name`].
pub fn is_earlier_map(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name.starts_with(EARLIER_MAP_PREFIX) && name.ends_with(EARLIER_MAP_SUFFIX)
}
