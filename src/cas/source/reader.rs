//! Reads the objects of an old store in batches, in the order of their paths.

use super::{Inventory, Item};
use crate::cas::format::encoding::Compress;
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

/// Objects of one source that follow each other in the order of paths.
pub struct Batch {
    /// The number of the first item in the inventory.
    pub first_item: u64,
    /// The items.
    pub items: Vec<Item>,
    /// Memory that the batch was admitted with.
    pub memory_bytes: u64,
}

/// The reader of an old store.
pub struct SourceReader {
    inventory: Inventory,
    next_item: u64,
    records_max: u64,
    compress: Compress,
    ahead: Option<Item>,
}

impl SourceReader {
    /// Creates a reader that skips the first `items_done` items of the inventory.
    pub fn new(
        mut inventory: Inventory,
        items_done: u64,
        batch_records: u64,
        compress: Compress,
    ) -> Result<Self, Error> {
        for _ in 0..items_done {
            if inventory.next()?.is_none() {
                let what = format!("{items_done} items were done, the source has fewer");
                return Err(Error::Accounting { what });
            }
        }
        Ok(Self { inventory, next_item: items_done, records_max: batch_records.max(1), compress, ahead: None })
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
            let next = match self.ahead.take() {
                Some(item) => Some(item),
                None => self.inventory.next()?,
            };
            let Some(item) = next else { break };
            let bytes = Self::memory_bytes(&item, self.compress);
            if memory_bytes + bytes > BATCH_BLOB_BYTES && !items.is_empty() {
                self.ahead = Some(item);
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
        let batch = Batch { first_item, items, memory_bytes };
        Ok(Some(Admitted { batch, permit, records, source_bytes }))
    }
}
