//! What a migration needs on the file system of its target, in whole blocks of its files and directories.

use crate::cas::map::ROW_TEXT_BYTES_MAX;
use crate::cas::migrate::object_log::LOG_RECORD_BYTES;
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::paths::{INDEX_NAME, TargetPaths};
use crate::cas::source::scan::ScanSums;

/// A block of a file system.
pub const BLOCK_BYTES: u64 = 4096;
/// Length of a line of the index: a sidecar with numbers of the usual lengths.
const INDEX_LINE_BYTES: u64 = 262;
/// Length of an entry of the reverse file of the map.
const REVERSE_BYTES: u64 = 40;
/// Lengths of the rows that the index, the map and its reverse file are sorted with.
const SORTED_ROW_BYTES: [u64; 3] = [89, 73, 40];
/// What the names of an object and its sidecar take in a directory.
const NAMES_BYTES: u64 = 72 + 80;
/// A directory of several blocks is filled to this share of them.
const DIRECTORY_FILL_PERCENT: u64 = 65;
/// Journal, plan, checkpoints, findings, log, reports, map, index and directories of the run that are there whatever its
/// size; and those of them that a clean-up leaves.
const STATE_FILES: u64 = 22;
const STATE_FILES_AFTER_CLEAN: u64 = 16;
/// Directories of the v2 layout: two levels of 256.
const SHARDS: f64 = 65_536.0;

/// What a store of the objects of a source needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsOfStore {
    /// Directories that the target will have, as expected for evenly distributed keys.
    pub directories: u64,
    /// Most bytes at the same time.
    pub peak_bytes: u64,
    /// Bytes after a clean-up.
    pub bytes_after_clean: u64,
    /// Most files and directories at the same time.
    pub inodes: u64,
}

impl NeedsOfStore {
    /// Returns what the objects of a walk need, whose blobs take `blob_bytes` in whole blocks; `None` if these are second
    /// names of those in the source.
    pub fn new(sums: &ScanSums, blob_bytes: Option<u64>, paths: &TargetPaths, options: &MigrateOptions) -> Self {
        let directories = directories_expected(sums.objects);
        let objects = sums.objects;
        let directories_max = directories + directories_spread(objects);
        let files_bytes = blob_bytes.unwrap_or(0) + objects * BLOCK_BYTES + directories_bytes(objects, directories_max);
        let of_rows = |row_bytes: u64| (objects * row_bytes).next_multiple_of(BLOCK_BYTES);
        let store_bytes = files_bytes + of_rows(INDEX_LINE_BYTES) + merged_index_bytes(paths, options);
        let map_bytes = of_rows(ROW_TEXT_BYTES_MAX as u64 - 16) + of_rows(REVERSE_BYTES);
        let sorted_bytes = sorted_bytes(objects, options);
        let bytes_after_clean = store_bytes + map_bytes + STATE_FILES_AFTER_CLEAN * BLOCK_BYTES;
        Self {
            directories,
            peak_bytes: store_bytes
                + map_bytes
                + of_rows(LOG_RECORD_BYTES as u64)
                + sorted_bytes
                + STATE_FILES * BLOCK_BYTES,
            bytes_after_clean,
            inodes: objects * if blob_bytes.is_some() { 2 } else { 1 }
                + directories_max
                + STATE_FILES
                + 2 * sorted_bytes.div_ceil(sort_memory_bytes(options)),
        }
    }
}

/// A merge writes the index again, with what it had, and keeps the one before.
fn merged_index_bytes(paths: &TargetPaths, options: &MigrateOptions) -> u64 {
    let index = paths.target().join(INDEX_NAME);
    match options.placement {
        Placement::Merge => 2 * index.metadata().map_or(0, |index| index.len()).next_multiple_of(BLOCK_BYTES),
        Placement::New | Placement::Replace => 0,
    }
}

/// What does not fit into memory is sorted in files.
fn sorted_bytes(objects: u64, options: &MigrateOptions) -> u64 {
    let [index, map, reverse] = SORTED_ROW_BYTES.map(|row| objects * row);
    let spilled = |bytes: u64, memory_bytes: u64| if bytes > memory_bytes { bytes } else { 0 };
    let memory_bytes = sort_memory_bytes(options);
    spilled(index, memory_bytes) + spilled(map, memory_bytes / 2) + spilled(reverse, memory_bytes / 2)
}

fn sort_memory_bytes(options: &MigrateOptions) -> u64 {
    options.run.sort_memory_bytes(options.run.memory_budget_bytes / 2).max(1)
}

/// Returns the bytes of directories in which the names of so many objects are.
fn directories_bytes(objects: u64, directories: u64) -> u64 {
    let names_bytes = objects * NAMES_BYTES / (SHARDS as u64).min(objects.max(1));
    let blocks = match names_bytes {
        0..BLOCK_BYTES => 1,
        _ => 1 + (names_bytes * 100 / DIRECTORY_FILL_PERCENT).div_ceil(BLOCK_BYTES),
    };
    directories * blocks * BLOCK_BYTES
}

/// Returns the number of shards that `objects` keys fall into on average, and of the directories above them.
fn directories_expected(objects: u64) -> u64 {
    let filled = |shards: f64| shards * (1.0 - (1.0 - 1.0 / shards).powf(objects as f64));
    (filled(SHARDS) + filled(SHARDS.sqrt())).ceil() as u64 + 2
}

/// Returns how many more there may be: three times the standard deviation.
fn directories_spread(objects: u64) -> u64 {
    let load = objects as f64 / SHARDS;
    let variance = SHARDS * (-load).exp() * (1.0 - (1.0 + load) * (-load).exp());
    (3.0 * variance.max(0.0).sqrt()).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_with_keys_are_expected() {
        assert_eq!(directories_expected(0), 2);
        assert_eq!(directories_expected(1), 4);
        let hundred_thousand = directories_expected(100_000);
        assert!((51_000..52_500).contains(&hundred_thousand), "{hundred_thousand}");
        assert_eq!(directories_expected(100_000_000), 65_536 + 256 + 2);
    }

    #[test]
    fn directories_with_many_names_have_several_blocks() {
        assert_eq!(directories_bytes(0, 2), 2 * BLOCK_BYTES);
        assert_eq!(directories_bytes(10_000, 9_000), 9_000 * BLOCK_BYTES);
        assert!(directories_bytes(10_000_000, 65_794) > 8 * 65_794 * BLOCK_BYTES);
    }
}
