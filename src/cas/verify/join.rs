//! Joins objects and index lines, both streamed in the order of keys.

use crate::cas::source::inventory::Entry;
use crate::cas::source::{Inventory, Item, Location};
use crate::cas::store::sorted_index::{IndexedObject, SortedIndex};
use crate::migration::Error;

/// One item of a store, as far as layout and index tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// A file with an object's name.
    Object {
        /// The file as the walk saw it.
        entry: Entry,
        /// True if it has a sidecar.
        has_sidecar: bool,
        /// Its line in the index. `None` also if the file is not in its place, where no reader looks for it.
        indexed: Option<IndexedObject>,
    },
    /// A sidecar without an object.
    LoneSidecar(Location),
    /// A line of the index without an object in its place.
    LineAlone(IndexedObject),
}

/// Joins the files that were found with the lines of the index. Objects in their places come in the order of their
/// keys, which is the order of the sorted index, so a merge join in constant memory is enough.
pub struct Join {
    inventory: Inventory,
    index: Option<SortedIndex>,
    item: Option<Item>,
    line: Option<IndexedObject>,
}

impl Join {
    /// Creates a join. Without an index, no object has a line.
    pub fn new(inventory: Inventory, index: Option<SortedIndex>) -> Result<Self, Error> {
        let mut join = Self { inventory, index, item: None, line: None };
        join.take_item()?;
        join.take_line()?;
        Ok(join)
    }

    /// Returns the next item, `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is called with `?`")]
    pub fn next(&mut self) -> Result<Option<Joined>, Error> {
        let Some(item) = self.item else { return Ok(self.take_line()?.map(Joined::LineAlone)) };
        let location = match item {
            Item::LoneSidecar(location) => location,
            Item::Object { entry, .. } => entry.location,
        };
        let key = location.key();
        let line_key = self.line.map(|line| line.parsed.record.digest).filter(|_| location.is_in_place());
        // Lines come before the names that are greater, so that what has a key comes in the order of keys.
        if line_key.is_some_and(|line_key| line_key < key) {
            return Ok(self.take_line()?.map(Joined::LineAlone));
        }
        self.take_item()?;
        match item {
            Item::LoneSidecar(location) => Ok(Some(Joined::LoneSidecar(location))),
            Item::Object { entry, has_sidecar } => {
                let indexed = if line_key == Some(key) { self.take_line()? } else { None };
                Ok(Some(Joined::Object { entry, has_sidecar, indexed }))
            }
        }
    }

    fn take_item(&mut self) -> Result<(), Error> {
        self.item = self.inventory.next()?;
        Ok(())
    }

    /// Returns the next line and reads the one after it. Keys that occur in several lines come once, with
    /// [`IndexedObject::lines`].
    fn take_line(&mut self) -> Result<Option<IndexedObject>, Error> {
        let next = match &mut self.index {
            Some(index) => index.next(|_| Ok(()))?,
            None => None,
        };
        Ok(std::mem::replace(&mut self.line, next))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::cas::format::encoding::Encoding;
    use crate::cas::format::key::Key;
    use crate::cas::format::record::ObjectRecord;
    use crate::cas::source::inventory::{EntryKind, InventoryBuilder};
    use crate::cas::store::index::IndexReader;
    use crate::pipeline::SortedRuns;

    fn location(key: u8, shards: usize) -> Location {
        let text = Key([key; 32]).text();
        let parts = [[text[0], text[1]], [text[2], text[3]]];
        Location::new(&parts[..shards], &text).unwrap()
    }

    fn line(key: u8) -> Vec<u8> {
        let digest = Key([key; 32]);
        let mut text = Vec::new();
        let record = ObjectRecord {
            digest,
            encoding: Encoding::Identity,
            original_size: 1,
            stored_size: 1,
            stored_blob_hash: digest,
            created_at: 0,
        };
        record.push_json(&mut text);
        text.push(b'\n');
        text
    }

    fn joined(objects: &[(u8, usize)], sidecars: &BTreeSet<u8>, lines: &[u8]) -> Vec<Joined> {
        let mut builder = InventoryBuilder::in_memory();
        for &(key, shards) in objects {
            builder.push_object(&Entry::new(location(key, shards), EntryKind::File, None)).unwrap();
        }
        sidecars.iter().for_each(|&key| builder.push_sidecar(&location(key, 2)).unwrap());
        let text: Vec<u8> = lines.iter().flat_map(|&key| line(key)).collect();
        let mut reader = IndexReader::new(text.as_slice());
        let index = SortedIndex::read(&mut reader, Path::new("index"), SortedRuns::in_memory(), |_| Ok(())).unwrap();
        let mut join = Join::new(builder.finish().unwrap(), Some(index)).unwrap();
        std::iter::from_fn(|| join.next().unwrap()).collect()
    }

    proptest! {
        /// Every object, lone sidecar and line comes once; an object has its line if and only if it is in its place and the
        /// index lists it.
        #[test]
        fn it_is_a_full_outer_join(
            in_place in proptest::collection::btree_set(0_u8..20, 0..12),
            flat in proptest::collection::btree_set(0_u8..20, 0..4),
            sidecars in proptest::collection::btree_set(0_u8..20, 0..12),
            lines in proptest::collection::btree_set(0_u8..20, 0..12),
        ) {
            let objects: Vec<_> = in_place.iter().map(|&key| (key, 2)).chain(flat.iter().map(|&key| (key, 0))).collect();
            let all: Vec<_> = lines.iter().copied().collect();
            let found = joined(&objects, &sidecars, &all);
            let (mut seen, mut flat_seen, mut lone, mut alone) =
                (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            for one in found {
                match one {
                    Joined::Object { entry, has_sidecar, indexed } => {
                        let key = entry.location.key().0[0];
                        if entry.location.is_in_place() {
                            prop_assert!(seen.insert(key));
                            prop_assert_eq!(has_sidecar, sidecars.contains(&key));
                            prop_assert_eq!(indexed.is_some(), lines.contains(&key));
                        } else {
                            prop_assert!(flat_seen.insert(key) && indexed.is_none() && !has_sidecar);
                        }
                    }
                    Joined::LoneSidecar(location) => prop_assert!(lone.insert(location.key().0[0])),
                    Joined::LineAlone(line) => prop_assert!(alone.insert(line.parsed.record.digest.0[0])),
                }
            }
            prop_assert_eq!(lone, sidecars.difference(&in_place).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(alone, lines.difference(&in_place).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!((seen, flat_seen), (in_place, flat));
        }
    }
}
