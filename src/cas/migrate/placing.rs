//! Places the objects of several batches at once: in the order of their keys, by several threads.
//!
//! A directory is then made once and filled with its neighbours, which costs a file system half of what the order of the
//! source costs, and no two threads are in one directory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::converted::{Blob, Converted, ConvertedItem, ItemResult};
use super::placer::{IncomingObject, PlaceResult, Placer};
use crate::cas::format::record::ObjectRecord;
use crate::cas::source::inventory::Entry;
use crate::cas::source::{Item, SourceRoot};
use crate::durable::looked;
use crate::migration::Error;
use crate::pipeline::{Placing, start_thread};

/// A batch whose objects are in their places.
pub struct PlacedBatch {
    /// What was converted.
    pub items: Vec<ConvertedItem>,
    /// The result for each of the objects among the items, in their order.
    pub results: Vec<PlaceResult>,
}

/// Places batches of objects.
pub struct ObjectPlacing<'a> {
    /// The source.
    pub root: &'a SourceRoot,
    /// Places one object.
    pub placer: Placer,
    /// Threads that place, at most.
    pub parallel_workers: usize,
}

/// An object of a batch, in the order of the source.
struct Object<'a> {
    entry: &'a Entry,
    record: &'a ObjectRecord,
    blob: &'a Blob,
    bytes: &'a [u8],
}

impl Placing for ObjectPlacing<'_> {
    type Input = Converted;
    type Output = PlacedBatch;
    type Error = Error;

    fn place(&self, batches: Vec<Converted>) -> Result<Vec<PlacedBatch>, Error> {
        let objects: Vec<_> = batches.iter().flat_map(objects_of).collect();
        let mut results = self.place_objects(&objects)?.into_iter();
        let counts: Vec<_> = batches.iter().map(|batch| objects_of(batch).count()).collect();
        let placed = batches.into_iter().zip(counts);
        Ok(placed
            .map(|(batch, objects)| PlacedBatch {
                items: batch.items,
                results: results.by_ref().take(objects).collect(),
            })
            .collect())
    }
}

fn objects_of(batch: &Converted) -> impl Iterator<Item = Object<'_>> {
    batch.items.iter().filter_map(|item| match (&item.item, &item.result) {
        (Item::Object { entry, .. }, ItemResult::Object { record, blob, .. }) => {
            Some(Object { entry, record, blob, bytes: &batch.bytes })
        }
        _ => None,
    })
}

impl ObjectPlacing<'_> {
    /// Places the objects and returns their results in the same order. The first failure ends it; of several that threads
    /// have met, the one of the earliest object is returned.
    fn place_objects(&self, objects: &[Object<'_>]) -> Result<Vec<PlaceResult>, Error> {
        // Objects of one key stay in the order of the source: the first is placed, the others are its duplicates.
        let mut order: Vec<_> = (0..objects.len()).collect();
        order.sort_unstable_by_key(|&at| (objects[at].record.digest.0, at));
        let shards: Vec<_> = order.chunk_by(|&a, &b| shard(&objects[a]) == shard(&objects[b])).collect();
        let task =
            Task { placing: self, objects, shards: &shards, next: AtomicUsize::new(0), failed: AtomicBool::new(false) };
        let mut results = task.run(self.parallel_workers.min(shards.len()));
        results.sort_unstable_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

fn shard(object: &Object<'_>) -> u8 {
    object.record.digest.0[0]
}

type Results = Vec<(usize, Result<PlaceResult, Error>)>;

/// One set of objects, by the directories that they go to.
struct Task<'a> {
    placing: &'a ObjectPlacing<'a>,
    objects: &'a [Object<'a>],
    shards: &'a [&'a [usize]],
    /// The shard that is placed next.
    next: AtomicUsize,
    failed: AtomicBool,
}

impl Task<'_> {
    fn run(&self, workers: usize) -> Results {
        let results = Mutex::new(Vec::with_capacity(self.objects.len()));
        thread::scope(|scope| {
            for _ in 1..workers {
                // Those that there are do the work of the ones that the system does not start.
                let _ = start_thread(scope, "haul-place", || self.place_shards(&results));
            }
            self.place_shards(&results);
        });
        results.into_inner()
    }

    fn place_shards(&self, results: &Mutex<Results>) {
        let mut placed = Vec::new();
        while let Some(shard) = self.shards.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            for &at in *shard {
                if self.failed.load(Ordering::Relaxed) {
                    break;
                }
                let result = self.place(&self.objects[at]);
                self.failed.fetch_or(result.is_err(), Ordering::Relaxed);
                placed.push((at, result));
            }
        }
        results.lock().append(&mut placed);
    }

    fn place(&self, object: &Object<'_>) -> Result<PlaceResult, Error> {
        // The reader asks whether to stop. What is on its way is still placed.
        looked();
        let &Object { entry, record, blob, bytes } = object;
        let source = self.placing.root.blob(&entry.location);
        self.placing.placer.place(&IncomingObject { record, blob, source: &source, entry }, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::cas::format::encoding::Encoding;
    use crate::cas::format::key::{Algorithm, Key};
    use crate::cas::migrate::source_chain::Link;
    use crate::cas::options::Linking;
    use crate::cas::paths::blob_path;
    use crate::cas::source::Location;
    use crate::cas::source::inventory::EntryKind;
    use crate::cas::state::BlobMethod;
    use crate::durable::{Disk, SimulatedDisk};
    use crate::migration::Durability;
    use crate::pipeline::{BufferPool, StopToken};

    fn object(key: Key, at: usize) -> ConvertedItem {
        let record = ObjectRecord {
            digest: key,
            encoding: Encoding::Identity,
            original_size: 1,
            stored_size: 1,
            stored_blob_hash: key,
            created_at: 0,
        };
        let location = Location::new(&[], format!("{at:064x}").as_bytes()).unwrap();
        ConvertedItem {
            item: Item::Object { entry: Entry::new(location, EntryKind::File, None), has_sidecar: false },
            link: Link::UNREAD,
            result: ItemResult::Object { algorithm: Algorithm::Cas, record, blob: Blob::Bytes(at..at + 1) },
            notes: Vec::new(),
        }
    }

    fn batch(pool: &BufferPool, keys: &[Key]) -> Converted {
        let mut bytes = pool.take(keys.len());
        bytes.resize(keys.len(), 7);
        let mut items: Vec<_> = keys.iter().enumerate().map(|(at, key)| object(*key, at)).collect();
        let lone = Location::new(&[], "f".repeat(64).as_bytes()).unwrap();
        let (item, result) = (Item::LoneSidecar(lone), ItemResult::LoneSidecar);
        items.insert(keys.len() / 2, ConvertedItem { item, link: Link::UNREAD, result, notes: Vec::new() });
        Converted { items, bytes }
    }

    fn placing<'a>(root: &'a SourceRoot, disk: &Arc<SimulatedDisk>, parallel_workers: usize) -> ObjectPlacing<'a> {
        let (store, stop) = (Path::new("/store").to_path_buf(), StopToken::new());
        let placer = Placer::new(disk.clone(), store, None, Durability::Group, Linking::default(), stop);
        ObjectPlacing { root, placer, parallel_workers }
    }

    fn keys() -> impl Strategy<Value = Vec<Vec<Vec<Key>>>> {
        let key = (0..3_u8, 0..3_u8, 0..3_u8).prop_map(|(outer, inner, last)| {
            let mut key = Key([9; 32]);
            (key.0[0], key.0[1], key.0[31]) = (outer, inner, last);
            key
        });
        let batches = prop::collection::vec(prop::collection::vec(key, 0..8), 1..4);
        prop::collection::vec(batches, 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_first_object_of_a_key_is_placed_and_the_others_are_duplicates(sets in keys(), workers in 1..5_usize) {
            let disk = Arc::new(SimulatedDisk::with_directories(&[Path::new("/store"), Path::new("/store/objects")]));
            let (root, pool) = (SourceRoot::v2(Path::new("/source")), BufferPool::new(1 << 20));
            let placing = placing(&root, &disk, workers);
            let mut known = HashSet::new();
            for set in &sets {
                let placed = placing.place(set.iter().map(|keys| batch(&pool, keys)).collect()).unwrap();
                prop_assert_eq!(placed.len(), set.len());
                for (keys, placed) in set.iter().zip(placed) {
                    prop_assert_eq!(placed.items.len(), keys.len() + 1);
                    let is_first = keys.iter().map(|key| known.insert(*key)).collect::<Vec<_>>();
                    let was_placed = placed.results.iter().map(|result| match result {
                        PlaceResult::Migrated { method: BlobMethod::Copied, .. } => true,
                        PlaceResult::Duplicate => false,
                        other => panic!("{other:?}"),
                    });
                    prop_assert_eq!(was_placed.collect::<Vec<_>>(), is_first);
                }
            }
            for key in known {
                prop_assert!(disk.kind(&blob_path(Path::new("/store"), key)).unwrap().is_some());
            }
        }
    }

    #[test]
    fn an_object_that_fails_ends_the_set() {
        let disk = Arc::new(SimulatedDisk::with_directories(&[Path::new("/store"), Path::new("/store/objects")]));
        let (root, pool) = (SourceRoot::v2(Path::new("/source")), BufferPool::new(1 << 20));
        let [before, failing, after] = [6, 7, 8].map(|byte| Key([byte; 32]));
        let path = |key| blob_path(Path::new("/store"), key);
        // A directory has the place of an object.
        let blob = path(failing);
        let mut missing: Vec<_> = blob.ancestors().take_while(|path| *path != Path::new("/store/objects")).collect();
        missing.reverse();
        missing.into_iter().for_each(|path| disk.create_directory(path).unwrap());
        let set = vec![batch(&pool, &[after, failing]), batch(&pool, &[before])];
        let error = placing(&root, &disk, 1).place(set).err().unwrap().to_string();
        assert!(error.contains("0707"), "{error}");
        assert!(disk.kind(&path(before)).unwrap().is_some() && disk.kind(&path(after)).unwrap().is_none());
    }
}
