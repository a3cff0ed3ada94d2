//! Names of the files of a store, and of the store itself.

use std::collections::BTreeSet;
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
/// The greatest generation: a name has six digits.
const GENERATION_MAX: u32 = 999_999;

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
    let number = name.strip_prefix(STORE_PREFIX)?.parse().ok()?;
    (number <= GENERATION_MAX && store_name(number) == name).then_some(number)
}

/// Returns the generation after all that are taken, or a free one before them where there is none after; `None` if all
/// are taken.
pub fn free_generation(taken: &[u32]) -> Option<u32> {
    let taken: BTreeSet<_> = taken.iter().collect();
    let next = taken.last().map_or(1, |newest| **newest + 1);
    if next <= GENERATION_MAX { Some(next) } else { (1..=GENERATION_MAX).find(|number| !taken.contains(number)) }
}

/// Returns true if a store has files of this name.
pub fn is_store_file(name: &str) -> bool {
    [MANIFEST, TABLE, IDS, MARKS].contains(&name) || segment_number(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_generation() {
        for (name, number) in [("dual-000001", 1), ("dual-000000", 0), ("dual-999999", 999_999)] {
            assert_eq!(generation(name), Some(number), "{name}");
        }
        for name in ["dual-1", "dual-+00001", "dual-0000001", "dual-1000000", "dual-", "dual-00000a", "../dual-000001"]
        {
            assert_eq!(generation(name), None, "{name}");
        }
    }

    #[test]
    fn a_generation_that_is_taken_is_not_given_again() {
        assert_eq!(free_generation(&[]), Some(1));
        assert_eq!(free_generation(&[9, 2]), Some(10));
        assert_eq!(free_generation(&[1, 999_999]), Some(2));
        assert_eq!(free_generation(&(0..=999_999).collect::<Vec<_>>()), None);
    }
}
