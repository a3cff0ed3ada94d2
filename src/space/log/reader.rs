//! Walks the log files of a space and hands out batches of whole extents.

use std::sync::Arc;

use super::extent::{Content, Extent};
use super::framing::{Cut, View, cut};
use super::range_sums::LogFile;
use super::source::WalSource;
use super::wal::HEADER_BYTES;
use crate::durable::{SourceFile, Window, WindowError, read_again_if};
use crate::migration::Error;
use crate::pipeline::{Admission, Admitted, Permit, Reader, StopToken};
use crate::space::limits::BLOCK_SOURCE_BYTES_MAX;
use crate::space::policy::Corruption;
use crate::space::store::layout::{BLOCK_ALIGN_BYTES, BLOCK_HEADER_BYTES, ROW_BYTES};

/// A window always reaches past the largest ordinary extent and the header after it.
const WINDOW_BYTES_MIN: u64 = BLOCK_SOURCE_BYTES_MAX + 64 * 1024;
const WINDOW_BYTES_MAX: u64 = 16 << 20;
/// Room for a typical record in the window of a batch.
const RECORD_BYTES_EXPECTED: u64 = 3_600;
/// Window that rows, padding and digests of one block may need beyond twice the source bytes.
const BLOCK_OVERHEAD_BYTES: u64 =
    (BLOCK_HEADER_BYTES + crate::space::limits::BLOCK_RECORDS_MAX * ROW_BYTES) as u64 + 2 * BLOCK_ALIGN_BYTES;

/// Where to continue: everything before it is in extents already handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Cursor {
    /// Number of the file in name order.
    pub file: u32,
    /// Offset in it.
    pub offset: u64,
    /// Number of the next extent, which is the number of its block.
    pub extent: u64,
}

/// Extents of one file, in order, and the bytes of those that hold records.
pub struct Batch {
    /// Number of the source file.
    pub file_number: u32,
    /// The file.
    pub file: Arc<SourceFile>,
    /// Offset of the window in the file.
    pub window_offset: u64,
    /// The bytes; regions are not loaded.
    pub window: Window,
    /// The extents.
    pub extents: Vec<Extent>,
    /// Where the reader went on after this batch.
    pub after: Cursor,
}

impl Batch {
    /// Returns the bytes of an extent with records.
    pub fn bytes_of(&self, extent: &Extent) -> &[u8] {
        let start = (extent.start - self.window_offset) as usize;
        &self.window[start..start + extent.len_bytes as usize]
    }
}

/// How much a batch may hold.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Records of a batch, rounded up to one whole block.
    pub records_max: u64,
    /// Bytes of one window.
    pub window_bytes: u64,
}

impl BatchLimits {
    /// Limits under which `workers` converters, a reader and a writer have work within the budget.
    pub fn for_budget(batch_records: u64, budget_bytes: u64, threshold: f64, workers: usize) -> Self {
        // More batches than the stages and the channels between them hold: then the peak depends on the stages alone,
        // not on how long the source is or how slow the disk.
        let batches = 2 * workers as u64 + 20;
        let share = (budget_bytes as f64 * threshold) as u64 / batches / 2;
        let wanted = batch_records.saturating_mul(RECORD_BYTES_EXPECTED);
        let window_bytes = wanted.min(share).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        Self { records_max: batch_records.max(1), window_bytes }
    }
}

/// The reader of a space's log.
pub struct LogReader {
    source: Arc<WalSource>,
    cursor: Cursor,
    corruption: Corruption,
    limits: BatchLimits,
}

impl LogReader {
    /// Returns a reader that begins at `cursor`.
    pub fn new(source: Arc<WalSource>, cursor: Cursor, corruption: Corruption, limits: BatchLimits) -> Self {
        Self { source, cursor, corruption, limits }
    }

    /// Moves past files that are read to their end; `None` after the last.
    fn current_file(&mut self) -> Option<Arc<SourceFile>> {
        loop {
            let file = self.source.files().get(self.cursor.file as usize)?;
            if self.cursor.offset < file.identity().len_bytes {
                return Some(file.clone());
            }
            self.cursor = Cursor { file: self.cursor.file + 1, offset: 0, extent: self.cursor.extent };
        }
    }

    /// Cuts extents from a window until the batch or the window is full. `Err(bytes)`: not even one fits.
    fn cut_batch(
        &self,
        file: &SourceFile,
        window: &Window,
        permit_bytes: u64,
        stop: &StopToken,
    ) -> Result<Result<(Vec<Extent>, u64), u64>, Error> {
        let base = self.cursor.offset;
        let log = LogFile { file, sums: self.source.sums(self.cursor.file), stop };
        let view = View { base, bytes: window, file_len_bytes: file.identity().len_bytes };
        let (mut extents, mut at, mut records, mut held_bytes) = (Vec::new(), base, 0, 0);
        while at < view.file_len_bytes {
            let extent = match cut(log, &view, at, self.corruption)? {
                Cut::Extent(extent) => extent,
                Cut::NeedsBytes(bytes) if extents.is_empty() => return Ok(Err(bytes)),
                Cut::NeedsBytes(_) => break,
            };
            // The block of an extent is about as long as its source, and both are in memory until it is written.
            let held = match extent.content {
                Content::Frames(_) => 2 * extent.len_bytes + BLOCK_OVERHEAD_BYTES,
                Content::Region(_) => 0,
            };
            let over = records + extent.records() > self.limits.records_max || held_bytes + held > permit_bytes;
            // An extent that is larger than every limit still has to go: it travels alone.
            if over && !extents.is_empty() {
                break;
            }
            records += extent.records();
            held_bytes += held;
            at = extent.end();
            extents.push(extent);
        }
        Ok(Ok((extents, held_bytes)))
    }

    fn admitted(
        &mut self,
        file: Arc<SourceFile>,
        window: Window,
        extents: Vec<Extent>,
        mut permit: Permit,
        held_bytes: u64,
    ) -> Admitted<Batch> {
        let start = self.cursor;
        let end = extents.last().map_or(start.offset, Extent::end);
        self.cursor.offset = end;
        self.cursor.extent += extents.len() as u64;
        permit.shrink_to(held_bytes.max(window.len() as u64).min(permit.bytes()));
        Admitted {
            records: extents.iter().map(Extent::records).sum(),
            source_bytes: end - start.offset,
            batch: Batch {
                file_number: start.file,
                file,
                window_offset: start.offset,
                window,
                extents,
                after: self.cursor,
            },
            permit,
        }
    }
}

impl Reader for LogReader {
    type Batch = Batch;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Batch>>, Error> {
        let Some(file) = self.current_file() else { return Ok(None) };
        let left = file.identity().len_bytes - self.cursor.offset;
        let mut window_bytes = self.limits.window_bytes.min(left);
        loop {
            let permit_bytes = 2 * window_bytes + BLOCK_OVERHEAD_BYTES;
            let Some(permit) = admission.acquire(permit_bytes) else { return Ok(None) };
            // What a medium gives at the second time is no bad spot. A spot that stays ends the run.
            let read = || file.window(self.cursor.offset, window_bytes as usize);
            let window = read_again_if(read, WindowError::of_disk)?;
            let cut = match self.cut_batch(&file, &window, permit_bytes, admission.stop()) {
                // The admission refuses then, which tells the engine that this is not the end of the source.
                Err(Error::Stopped { .. }) if admission.acquire(0).is_none() => return Ok(None),
                cut => cut?,
            };
            match cut {
                Ok((extents, held_bytes)) => {
                    return Ok(Some(self.admitted(file, window, extents, permit, held_bytes)));
                }
                Err(needed) => {
                    let step = needed.max(window_bytes + HEADER_BYTES as u64);
                    window_bytes = step.max(WINDOW_BYTES_MIN).min(left);
                }
            }
        }
    }
}
