//! Reads the objects of an old store in batches, in the order of their paths.

use std::collections::VecDeque;

use super::inventory::{Entry, EntryKind};
use super::{Inventory, Item};
use crate::cas::format::encoding::Compress;
use crate::durable::IN_A_ROW_MAX;
use crate::migration::Error;
use crate::pipeline::{Admission, Admitted, Reader};

/// Blobs up to this length are held in memory while they are moved; larger ones go through a file, whatever the budget.
/// The limit is fixed because it decides which encoder a blob meets, and the store's bytes must not depend on the
/// budget.
pub const INLINE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of blobs in a batch, unless a single one is larger.
const BATCH_BLOB_BYTES: u64 = 2 << 20;
/// Memory that an object needs in addition to its blob.
const OBJECT_OVERHEAD_BYTES: u64 = 1024;
/// Memory of an object that goes through a file: a read buffer and a write buffer.
const STREAMED_OBJECT_BYTES: u64 = 2 << 20;
/// Items that are known after a batch, among which are files unless other things accumulate.
const AHEAD_ITEMS: usize = 8;

/// Objects of one source that follow each other in the order of paths.
pub struct Batch {
    /// The number of the first item in the inventory.
    pub first_item: u64,
    /// The items.
    pub items: Vec<Item>,
    /// Memory that the batch was admitted with.
    pub memory_bytes: u64,
    /// The last files before the batch.
    pub before: Vec<Entry>,
    /// The first files after it.
    pub after: Vec<Entry>,
}

impl Batch {
    /// Returns the files before an item of the batch, the nearest first.
    pub fn before(&self, index: usize) -> impl Iterator<Item = &Entry> {
        self.items[..index].iter().rev().filter_map(file).chain(self.before.iter().rev())
    }

    /// Returns the files after an item of the batch, the nearest first.
    pub fn after(&self, index: usize) -> impl Iterator<Item = &Entry> {
        self.items[index + 1..].iter().filter_map(file).chain(&self.after)
    }
}

fn file(item: &Item) -> Option<&Entry> {
    match item {
        Item::Object { entry, .. } if entry.kind == EntryKind::File => Some(entry),
        Item::Object { .. } | Item::LoneSidecar(_) => None,
    }
}

/// Keeps the last files that were taken.
fn keep_last(before: &mut Vec<Entry>, item: &Item) {
    let Some(entry) = file(item) else { return };
    if before.len() as u64 == IN_A_ROW_MAX {
        before.remove(0);
    }
    before.push(*entry);
}

/// The reader of an old store.
pub struct SourceReader {
    inventory: Inventory,
    next_item: u64,
    records_max: u64,
    compress: Compress,
    /// Items that were taken from the inventory for the next batch.
    ahead: VecDeque<Item>,
    /// The last files before the next batch.
    before: Vec<Entry>,
}

impl SourceReader {
    /// Creates a reader that skips the first `items_done` items of the inventory.
    pub fn new(
        mut inventory: Inventory,
        items_done: u64,
        batch_records: u64,
        compress: Compress,
    ) -> Result<Self, Error> {
        let mut before = Vec::new();
        for _ in 0..items_done {
            let Some(item) = inventory.next()? else {
                let what = format!("{items_done} items were done, the source has fewer");
                return Err(Error::Accounting { what });
            };
            keep_last(&mut before, &item);
        }
        let (records_max, ahead) = (batch_records.max(1), VecDeque::new());
        Ok(Self { inventory, next_item: items_done, records_max, compress, ahead, before })
    }

    /// Returns the memory that an item needs while it is moved.
    pub fn memory_bytes(item: &Item, compress: Compress) -> u64 {
        let Item::Object { entry, .. } = item else { return OBJECT_OVERHEAD_BYTES };
        let blob_bytes = match entry.len_bytes {
            0..=INLINE_BYTES_MAX if compress == Compress::AsStored => entry.len_bytes,
            0..=INLINE_BYTES_MAX => 2 * entry.len_bytes,
            _ => STREAMED_OBJECT_BYTES,
        };
        blob_bytes + OBJECT_OVERHEAD_BYTES
    }

    /// Collects the items of one batch, with their memory and their source bytes.
    fn collect(&mut self) -> Result<(Vec<Item>, u64, u64), Error> {
        let (mut items, mut memory_bytes, mut source_bytes) = (Vec::new(), 0, 0);
        while (items.len() as u64) < self.records_max {
            let next = match self.ahead.pop_front() {
                Some(item) => Some(item),
                None => self.inventory.next()?,
            };
            let Some(item) = next else { break };
            let bytes = Self::memory_bytes(&item, self.compress);
            if memory_bytes + bytes > BATCH_BLOB_BYTES && !items.is_empty() {
                self.ahead.push_front(item);
                break;
            }
            memory_bytes += bytes;
            if let Item::Object { entry, .. } = &item {
                source_bytes += entry.len_bytes;
            }
            items.push(item);
        }
        Ok((items, memory_bytes, source_bytes))
    }

    /// Returns the first files after the batch that was collected.
    fn look_ahead(&mut self) -> Result<Vec<Entry>, Error> {
        while self.ahead.len() < AHEAD_ITEMS {
            match self.inventory.next()? {
                Some(item) => self.ahead.push_back(item),
                None => break,
            }
        }
        Ok(self.ahead.iter().filter_map(file).take(IN_A_ROW_MAX as usize).copied().collect())
    }
}

impl Reader for SourceReader {
    type Batch = Batch;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Batch>>, Error> {
        let (items, memory_bytes, source_bytes) = self.collect()?;
        if items.is_empty() {
            return Ok(None);
        }
        let Some(permit) = admission.acquire(memory_bytes) else { return Ok(None) };
        let (records, first_item) = (items.len() as u64, self.next_item);
        self.next_item += records;
        let (before, after) = (self.before.clone(), self.look_ahead()?);
        items.iter().for_each(|item| keep_last(&mut self.before, item));
        let batch = Batch { first_item, items, memory_bytes, before, after };
        Ok(Some(Admitted { batch, permit, records, source_bytes }))
    }
}
