//! Names of the files of a store, and of the store itself.

use std::path::{Path, PathBuf};

/// The sealed description of a store.
pub const MANIFEST: &str = "MANIFEST";
/// The table of extents and blocks.
pub const TABLE: &str = "blocks.index";
/// Node ids in order.
pub const IDS: &str = "ids.index";
/// Node rows that are not live.
pub const MARKS: &str = "marks.index";
/// The pointer to the live store.
pub const POINTER: &str = "CURRENT";
/// What the pointer says while the log is live.
pub const POINTER_TO_LOG: &str = "wal";
/// First part of a store's directory name.
pub const STORE_PREFIX: &str = "dual-";

/// Returns the path of a segment.
pub fn segment_path(store: &Path, segment: u32) -> PathBuf {
    store.join(segment_name(segment))
}

/// Name of a segment.
pub fn segment_name(segment: u32) -> String {
    format!("segment-{segment:06}.dual")
}

/// Returns the number in a segment's name.
pub fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("segment-")?.strip_suffix(".dual")?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Name of a store: `dual-000001`.
pub fn store_name(generation: u32) -> String {
    format!("{STORE_PREFIX}{generation:06}")
}

/// Returns the generation of a store's name.
pub fn generation(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(STORE_PREFIX)?;
    (digits.len() == 6).then(|| digits.parse().ok()).flatten()
}
