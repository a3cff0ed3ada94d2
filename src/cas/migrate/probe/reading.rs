//! Reads, identifies and encodes a sample of objects, as one thread of a migration does.

use std::time::{Duration, Instant};

use super::needs::BLOCK_BYTES;
use crate::cas::migrate::convert::ObjectConverter;
use crate::cas::migrate::converted::{ConvertScratch, ItemResult};
use crate::cas::options::MigrateOptions;
use crate::cas::source::inventory::Entry;
use crate::cas::source::reader::{Batch, SourceReader};
use crate::cas::source::{Item, SourceRoot};
use crate::durable::{IN_A_ROW_MAX, ReaderKind, SourceFile, source_identity};
use crate::migration::{Error, check_stop};
use crate::pipeline::{Control, Converter};

/// Objects of which it is looked up how much of them is in the page cache.
const LOOKED_UP_MAX: usize = 256;

/// What was read, and what it became.
#[derive(Debug, Default)]
pub struct Reading {
    /// Objects.
    pub objects: u64,
    /// Those of them that a run would refuse.
    pub refused: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
    /// The same in whole blocks, of those that are not refused.
    pub block_bytes: u64,
    /// What these have in the target.
    pub stored_block_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// Reads, identifies and encodes these objects.
pub fn read(
    root: &SourceRoot,
    entries: &[Entry],
    has_sidecars: bool,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Reading, Error> {
    let (objects, link) = (entries.len() as u64, options.link.is_wanted());
    let converter = ObjectConverter::new(root, objects, options.compress, link, None, control.stop);
    let mut scratch = ConvertScratch::default();
    let mut reading = Reading::default();
    for (number, &entry) in entries.iter().enumerate() {
        check_stop(control.stop)?;
        let has_sidecar = has_sidecars && source_identity(&root.sidecar(&entry.location))?.is_some();
        let item = Item::Object { entry, has_sidecar };
        let memory_bytes = SourceReader::memory_bytes(&item, options.compress);
        let started = Instant::now();
        let (before, after) = (entries[..number].iter().rev(), &entries[number + 1..]);
        let batch = Batch {
            first_item: reading.objects,
            items: vec![item],
            memory_bytes,
            before: before.take(IN_A_ROW_MAX as usize).rev().copied().collect(),
            after: after.iter().take(IN_A_ROW_MAX as usize).copied().collect(),
        };
        let converted = converter.convert(&mut scratch, batch)?;
        reading.took += started.elapsed();
        reading.objects += 1;
        reading.bytes += entry.len_bytes;
        for item in &converted.items {
            match &item.result {
                ItemResult::Object { record, .. } => {
                    reading.block_bytes += entry.len_bytes.next_multiple_of(BLOCK_BYTES);
                    reading.stored_block_bytes += record.stored_size.next_multiple_of(BLOCK_BYTES);
                }
                _ => reading.refused += 1,
            }
        }
    }
    Ok(reading)
}

/// Returns which part of the objects is in the page cache, by a few of them; `None` if that is not known.
pub fn cached_share(root: &SourceRoot, entries: &[Entry]) -> Option<f64> {
    let (mut bytes, mut cached_bytes) = (0, 0.0);
    for entry in entries.iter().step_by(entries.len().div_ceil(LOOKED_UP_MAX).max(1)) {
        let file = SourceFile::open_no_follow(&root.blob(&entry.location), ReaderKind::Pread).ok();
        let len_bytes = usize::try_from(entry.len_bytes).ok();
        let share = file.zip(len_bytes).and_then(|(file, len_bytes)| file.cached_share(0, len_bytes));
        if let Some(share) = share {
            bytes += entry.len_bytes;
            cached_bytes += share * entry.len_bytes as f64;
        }
    }
    (bytes > 0).then(|| cached_bytes / bytes as f64)
}
