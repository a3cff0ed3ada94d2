//! How much of a store is what.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::{IDS, MANIFEST, MARKS, TABLE, segment_number};
use crate::durable::{Disk, DiskError, EntryKind};

/// The name of all segments together.
pub const SEGMENTS: &str = "segments";
/// The name of the table of extents and blocks.
pub const BLOCKS: &str = "blocks";

/// Returns the bytes of a store, finished or not, by what they are. A directory that is not there has none.
pub fn bytes_by_part(disk: &dyn Disk, store: &Path) -> Result<BTreeMap<String, u64>, DiskError> {
    let mut parts = BTreeMap::new();
    if disk.kind(store)?.is_none() {
        return Ok(parts);
    }
    for entry in disk.list(store)?.into_iter().filter(|entry| entry.kind == EntryKind::File) {
        let len_bytes = disk.open_for_read(&store.join(&entry.name))?.len()?;
        *parts.entry(part_of(entry.name.to_str().unwrap_or_default()).to_owned()).or_default() += len_bytes;
    }
    Ok(parts)
}

fn part_of(name: &str) -> &'static str {
    match name {
        TABLE => BLOCKS,
        IDS => "ids",
        MARKS => "marks",
        MANIFEST => "manifest",
        name if segment_number(name).is_some() => SEGMENTS,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;

    #[test]
    fn every_file_of_a_store_is_counted_once() {
        let store = Path::new("/dual-000001");
        let disk = SimulatedDisk::with_directories(&[store]);
        assert!(bytes_by_part(&disk, Path::new("/absent")).unwrap().is_empty());
        for (name, len) in [("segment-000000.dual", 3), ("segment-000001.dual", 4), (TABLE, 5), (MANIFEST, 1), ("x", 9)]
        {
            disk.write_new_file(&store.join(name), &vec![0; len]).unwrap();
        }
        let parts = bytes_by_part(&disk, store).unwrap();
        let expected = [("blocks", 5), ("manifest", 1), ("other", 9), ("segments", 7)];
        assert_eq!(parts, expected.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    }
}
