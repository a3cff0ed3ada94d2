//! Reads the items of a store in batches, in the order of their paths.

use super::join::{Join, Joined};
use super::request::Share;
use crate::cas::source::inventory::EntryKind;
use crate::migration::Error;
use crate::pipeline::{Admission, Admitted, Reader};

/// Most items in a batch.
const BATCH_TASKS: usize = 256;
/// Bytes of the blobs in a batch, unless a single one is larger.
const BATCH_BLOB_BYTES: u64 = 4 << 20;
/// Most items that a batch skips. A small share of a large store must still make progress that can be stored.
const BATCH_STEPS: u64 = 65_536;
/// Memory that an item needs, with its faults.
const TASK_BYTES: u64 = 2048;

/// One item to check.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The item as layout and index tell it.
    pub found: Joined,
    /// True if its blob and its sidecar are read.
    pub is_read: bool,
}

/// Items that follow each other.
pub struct Batch {
    /// The items that may have faults.
    pub tasks: Vec<Task>,
    /// The number of the first item after the batch.
    pub next: u64,
}

/// The reader of a verification.
pub struct TaskReader {
    join: Join,
    share: Share,
    next: u64,
}

impl TaskReader {
    /// Creates a reader that skips the first `done` items.
    pub fn new(mut join: Join, share: Share, done: u64) -> Result<Self, Error> {
        for _ in 0..done {
            if join.next()?.is_none() {
                return Err(Error::Accounting { what: format!("{done} things were done, the store has fewer") });
            }
        }
        Ok(Self { join, share, next: done })
    }

    fn task(&self, found: Joined) -> Task {
        let is_read = match &found {
            Joined::Object { entry, .. } => {
                entry.kind == EntryKind::File && entry.location.is_in_place() && self.share.covers(entry.location.key())
            }
            Joined::LoneSidecar(_) | Joined::LineAlone(_) => false,
        };
        Task { found, is_read }
    }
}

impl Reader for TaskReader {
    type Batch = Batch;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Batch>>, Error> {
        let first = self.next;
        let (mut tasks, mut records, mut blob_bytes) = (Vec::new(), 0, 0);
        while tasks.len() < BATCH_TASKS && blob_bytes < BATCH_BLOB_BYTES && self.next - first < BATCH_STEPS {
            let Some(found) = self.join.next()? else { break };
            self.next += 1;
            let task = self.task(found);
            if task.is_read {
                records += 1;
                blob_bytes += task.blob_bytes();
            }
            if task.is_read || !task.is_plain() {
                tasks.push(task);
            }
        }
        if self.next == first {
            return Ok(None);
        }
        let Some(permit) = admission.acquire(TASK_BYTES * tasks.len() as u64) else { return Ok(None) };
        let batch = Batch { tasks, next: self.next };
        Ok(Some(Admitted { batch, permit, records, source_bytes: blob_bytes }))
    }
}

impl Task {
    fn blob_bytes(&self) -> u64 {
        match &self.found {
            Joined::Object { entry, .. } => entry.len_bytes,
            Joined::LoneSidecar(_) | Joined::LineAlone(_) => 0,
        }
    }

    /// Returns true for an object that has no fault unless its files are read.
    fn is_plain(&self) -> bool {
        match &self.found {
            Joined::Object { entry, has_sidecar, indexed } => {
                let is_as_indexed =
                    indexed.is_some_and(|line| line.lines == 1 && line.parsed.record.stored_size == entry.len_bytes);
                entry.kind == EntryKind::File && *has_sidecar && is_as_indexed
            }
            Joined::LoneSidecar(_) | Joined::LineAlone(_) => false,
        }
    }
}
