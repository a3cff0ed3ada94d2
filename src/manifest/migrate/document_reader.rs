//! Reads the documents of a tree within the memory budget. Threads share a reader.
//!
//! Nearly all documents are small, and each thread has room for one. A larger one is read alone, into half of the budget;
//! one that does not fit there is refused.

use std::num::NonZeroUsize;

use parking_lot::Mutex;

use super::evaluate::{MANIFEST_BYTES_MAX, NotReplaced, disk_refusal};
use crate::durable::{DiskError, FileState};
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::json::memory_needed;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::tree::file_faults::BadSpots;
use crate::migration::RunOptions;
use crate::migration::units::bytes_text;

/// The share of the budget that all small documents have together, and that of the one large document.
const SMALL_SHARE: u64 = 8;
const LARGE_SHARE: u64 = 2;
/// So short a document needs no look at what it takes: even at the greatest depth, it takes about as much as a thread.
const SHORT_BYTES: u64 = 2 << 10;

/// Why a document is not read.
#[derive(Debug)]
pub enum NotRead {
    /// It takes too much memory.
    TooLarge(Refusal),
    /// This file cannot be read.
    Item(DiskError),
    /// Nothing can be read any more.
    Failed(DiskError),
}

impl From<NotRead> for NotReplaced {
    fn from(error: NotRead) -> Self {
        match error {
            NotRead::TooLarge(refusal) => Self::Refused(refusal),
            NotRead::Item(error) => Self::Refused(disk_refusal(&error)),
            NotRead::Failed(error) => Self::Failed(error),
        }
    }
}

/// Reads documents.
pub struct DocumentReader {
    spots: BadSpots,
    small_max_bytes: u64,
    large_max_bytes: u64,
    depth_max: usize,
    large: Mutex<()>,
}

impl DocumentReader {
    /// Creates a reader for the threads and the budget of a run, of documents that are nested no deeper than this.
    pub fn new(run: &RunOptions, depth_max: usize) -> Self {
        let workers = run.parallel_workers.get() as u64;
        Self {
            spots: BadSpots::default(),
            small_max_bytes: (run.memory_budget_bytes / SMALL_SHARE / workers).max(SHORT_BYTES),
            large_max_bytes: (run.memory_budget_bytes / LARGE_SHARE).min(MANIFEST_BYTES_MAX),
            depth_max,
            large: Mutex::new(()),
        }
    }

    /// Creates a reader of one document at a time.
    pub fn of_budget(memory_budget_bytes: u64, depth_max: usize) -> Self {
        let run = RunOptions { memory_budget_bytes, parallel_workers: NonZeroUsize::MIN, ..RunOptions::default() };
        Self::new(&run, depth_max)
    }

    /// Returns the memory of a small document.
    pub fn small_max_bytes(&self) -> u64 {
        self.small_max_bytes
    }

    /// Reads a document into `buffer` with `read_file`, which takes the greatest length, and passes it to `work`.
    pub fn read<T>(
        &self,
        buffer: &mut Vec<u8>,
        mut read_file: impl FnMut(u64, &mut Vec<u8>) -> Result<FileState, DiskError>,
        work: impl FnOnce(&[u8], &FileState) -> T,
    ) -> Result<T, NotRead> {
        let mut read =
            |max_bytes, buffer: &mut Vec<u8>| self.spots.read(|| read_file(max_bytes, buffer)).map_err(NotRead::Failed);
        match read(self.small_max_bytes, buffer)? {
            Ok(state) if self.is_small(buffer) => return Ok(work(buffer, &state)),
            Err(error) if error.too_long().is_none() => return Err(NotRead::Item(error)),
            Ok(_) | Err(_) => {}
        }
        // Before the wait: another thread may need the memory.
        *buffer = Vec::new();
        let _alone = self.large.lock();
        let mut large = Vec::new();
        let state = read(self.large_max_bytes, &mut large)?.map_err(|error| self.not_read(error))?;
        self.check(&large).map_err(NotRead::TooLarge)?;
        Ok(work(&large, &state))
    }

    fn is_small(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 <= SHORT_BYTES || memory_needed(bytes, self.depth_max) <= self.small_max_bytes
    }

    /// Refuses a document that does not fit in the memory of a large one.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let needed = memory_needed(bytes, self.depth_max);
        if needed <= self.large_max_bytes { Ok(()) } else { Err(self.too_large(bytes.len() as u64, needed)) }
    }

    fn not_read(&self, error: DiskError) -> NotRead {
        match error.too_long() {
            Some(file) => NotRead::TooLarge(self.too_large(file.len_bytes, file.len_bytes)),
            None => NotRead::Item(error),
        }
    }

    fn too_large(&self, len_bytes: u64, needed_bytes: u64) -> Refusal {
        let len = bytes_text(len_bytes);
        let text = if len_bytes > MANIFEST_BYTES_MAX {
            format!("it is {len} long, and no more than {} are read", bytes_text(MANIFEST_BYTES_MAX))
        } else {
            let (needed, allowed) = (bytes_text(needed_bytes), bytes_text(self.large_max_bytes));
            let budget_mb = needed_bytes.saturating_mul(LARGE_SHARE).div_ceil(1 << 20);
            format!(
                "it is {len} long and takes about {needed} of memory; one document may take {allowed}, half of the \
                 budget: --memory-budget-mb {budget_mb} or more allows it"
            )
        };
        Refusal::new(ErrorCode::TooLarge, text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    fn reader(budget_bytes: u64) -> DocumentReader {
        let parallel_workers = NonZeroUsize::new(2).unwrap();
        let run = RunOptions { memory_budget_bytes: budget_bytes, parallel_workers, ..RunOptions::default() };
        DocumentReader::new(&run, 1000)
    }

    fn read(reader: &DocumentReader, text: &str) -> Result<usize, NotRead> {
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new("/app/m"), text.as_bytes());
        let root = disk.root(Path::new("/app")).unwrap();
        let mut buffer = Vec::new();
        reader.read(&mut buffer, |max, buffer| root.read_file(Path::new("m"), max, buffer), |bytes, _| bytes.len())
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_budget_that_would_do_is_named() {
        let many = format!("[{}{{}}]", "{},".repeat(20_000));
        let long = format!("\"{}\"", "x".repeat(200_000));
        for text in [&many, &long] {
            let Err(NotRead::TooLarge(refusal)) = read(&reader(1 << 20), text) else { panic!("it is read") };
            assert_eq!(refusal.code, ErrorCode::TooLarge);
            let (_, budget) = refusal.text.split_once("--memory-budget-mb ").unwrap();
            let budget_mb: u64 = budget.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(read(&reader(budget_mb << 20), text).unwrap(), text.len());
        }
        assert_eq!(read(&reader(1 << 20), "{}").unwrap(), 2);
        let longer = reader(1 << 20).too_large(MANIFEST_BYTES_MAX + 1, 0);
        assert!(longer.text.contains("no more than 2.0 GiB"), "{}", longer.text);
    }

    #[test]
    fn large_documents_are_worked_on_one_at_a_time() {
        let (reader, text) = (reader(4 << 20), format!("\"{}\"", "x".repeat(100_000)));
        assert!(!reader.is_small(text.as_bytes()));
        let (at_once, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new("/app/m"), text.as_bytes());
        let root = disk.root(Path::new("/app")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let work = |_: &[u8], _: &FileState| {
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                    };
                    let mut buffer = Vec::new();
                    reader.read(&mut buffer, |max, buffer| root.read_file(Path::new("m"), max, buffer), work).unwrap();
                    assert_eq!(buffer.capacity(), 0, "the memory of a large document is not kept");
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
