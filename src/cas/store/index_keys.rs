//! The keys that the index of a store lists. Readers see these objects and no other (docs/source-requiem.md, "How the
//! reference reads").

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::index::{IndexReader, LineContent};
use super::torn_line::torn_record;
use crate::cas::format::key::Key;
use crate::cas::paths::INDEX_NAME;
use crate::durable::{Disk, DiskError, DiskFile, create_directory_durable};
use crate::migration::Error;
use crate::pipeline::SortedRuns;

/// Length of a key in the sorted file.
const KEY_BYTES: u64 = 32;
/// Keys that one write takes.
const KEYS_PER_STEP: usize = 8192;

/// Visits the keys of the lines that a merge keeps, in their order: those of complete lines, and that of a torn last
/// line that will be completed.
pub fn for_each_index_key(
    disk: &dyn Disk,
    store: &Path,
    mut visit: impl FnMut(Key) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = store.join(INDEX_NAME);
    let wrap = |e: io::Error| DiskError::new("read", &path, e);
    let mut index = IndexReader::open(disk, &path)?;
    while let Some(line) = index.next().map_err(wrap)? {
        match line.content {
            LineContent::Record(parsed) if !line.is_torn => visit(parsed.record.digest)?,
            _ => {}
        }
    }
    torn_record(disk, store)?.map_or(Ok(()), |record| visit(record.digest))
}

/// The keys of an index, which can be looked up in any order. Memory does not grow with their number.
pub struct IndexKeys {
    keys: Arc<dyn DiskFile>,
    count: u64,
}

impl IndexKeys {
    /// Sorts the keys of the store at `store`, as they are now, within `memory_bytes` into the directory `scratch`,
    /// which must not exist yet.
    pub fn of(disk: &Arc<dyn Disk>, store: &Path, scratch: &Path, memory_bytes: u64) -> Result<Self, Error> {
        let runs = scratch.join("runs");
        create_directory_durable(&**disk, &runs)?;
        let mut sort = SortedRuns::<{ KEY_BYTES as usize }>::new(disk.clone(), runs, memory_bytes);
        for_each_index_key(&**disk, store, |key| Ok(sort.push(key.0)?))?;
        let (mut sorted, keys) = (sort.finish()?, disk.create_file(&scratch.join("keys"))?);
        let (mut buffer, mut count) = (Vec::new(), 0);
        while let Some(key) = sorted.next()? {
            buffer.push(key);
            if buffer.len() == KEYS_PER_STEP {
                count = append(&*keys, count, &mut buffer)?;
            }
        }
        let count = append(&*keys, count, &mut buffer)?;
        Ok(Self { keys, count })
    }

    /// Returns true if the index lists the key.
    pub fn has(&self, key: Key) -> Result<bool, DiskError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            // A binary search on the file: the keys of a large store would not fit the memory budget.
            let mut found = Key([0; KEY_BYTES as usize]);
            self.keys.read_exact_at(middle * KEY_BYTES, &mut found.0)?;
            match found.cmp(&key) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }
}

/// Writes the keys after the first `count` and returns the new count.
fn append(file: &dyn DiskFile, count: u64, keys: &mut Vec<[u8; KEY_BYTES as usize]>) -> Result<u64, DiskError> {
    file.write_all_at(count * KEY_BYTES, keys.as_flattened())?;
    let count = count + keys.len() as u64;
    keys.clear();
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::format::encoding::Encoding;
    use crate::cas::format::record::ObjectRecord;
    use crate::cas::paths::{blob_path, sidecar_bytes, sidecar_path};
    use crate::durable::SimulatedDisk;

    fn key(number: u64) -> Key {
        Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn record(number: u64) -> ObjectRecord {
        let (digest, stored_blob_hash) = (key(number), key(number));
        let encoding = Encoding::Identity;
        ObjectRecord { digest, encoding, original_size: 1, stored_size: 1, stored_blob_hash, created_at: 0 }
    }

    fn line(number: u64) -> Vec<u8> {
        [&sidecar_bytes(&record(number))[..], b"\n"].concat()
    }

    fn listed(disk: &SimulatedDisk, memory_bytes: u64) -> IndexKeys {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        IndexKeys::of(&disk, Path::new("/store"), Path::new("/scratch"), memory_bytes).unwrap()
    }

    fn disk(index: &[u8]) -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new("/store/index.ndjson"), index);
        disk
    }

    #[test]
    fn every_listed_key_is_found_and_no_other() {
        let mut index: Vec<u8> = (0..300).flat_map(line).collect();
        index.extend(b"foreign\n\n");
        index.extend(line(7));
        for memory_bytes in [100, 1 << 20] {
            let listed = listed(&disk(&index), memory_bytes);
            assert_eq!(listed.count, 301);
            (0..300).for_each(|number| assert!(listed.has(key(number)).unwrap(), "{number}"));
            (300..600).for_each(|number| assert!(!listed.has(key(number)).unwrap(), "{number}"));
        }
        assert!(!listed(&disk(b""), 100).has(key(0)).unwrap());
    }

    #[test]
    fn a_torn_line_counts_if_its_object_is_there() {
        let torn = &line(2)[..120];
        let index = [&line(1)[..], torn].concat();
        for (has_blob, has_sidecar) in [(true, true), (true, false), (false, true)] {
            let disk = disk(&index);
            let store = Path::new("/store");
            if has_blob {
                disk.install_file(&blob_path(store, key(2)), b"x");
            }
            if has_sidecar {
                disk.install_file(&sidecar_path(store, key(2)), &sidecar_bytes(&record(2)));
            }
            let listed = listed(&disk, 1 << 20);
            assert!(listed.has(key(1)).unwrap());
            assert_eq!(listed.has(key(2)).unwrap(), has_blob && has_sidecar);
        }
    }
}
