//! What a store's room supplies to be moved by the engine: a reader, a converter, a writer and its commits.

use super::budget::{Admission, Permit};
use super::event::Counted;

/// What a [`Reader`] hands over: a batch, the memory that it was admitted with, and its share of the progress.
#[derive(Debug)]
pub struct Admitted<B> {
    /// The records, borrowed from a source window or owned.
    pub batch: B,
    /// Bytes of the budget that the batch and its output hold until it is written.
    pub permit: Permit,
    /// Records in the batch: unit of the rate limit, the checkpoint interval and the progress.
    pub records: u64,
    /// Bytes of source that the batch covers.
    pub source_bytes: u64,
}

/// Walks a source once, front to back, and cuts it into batches.
pub trait Reader: Send {
    /// A batch of records.
    type Batch: Send;
    /// The error that ends the run.
    type Error: Send;

    /// The next batch, `None` at the end of the source. It takes a permit from `admission` before it loads what the
    /// batch will hold; `admission.acquire` answers `None` when the run is stopping, and the reader then returns
    /// `None` too.
    fn next(&mut self, admission: &Admission<'_>) -> Result<Option<Admitted<Self::Batch>>, Self::Error>;
}

/// Turns a batch into what is written. Runs on several threads at once; must be a pure function of the batch.
pub trait Converter: Sync {
    /// What the reader supplies.
    type Batch: Send;
    /// What the writer takes.
    type Output: Send;
    /// Buffers that a thread keeps from batch to batch.
    type Scratch: Default + Send;
    /// The error that ends the run.
    type Error: Send;

    /// Converts one batch.
    fn convert(&self, scratch: &mut Self::Scratch, batch: Self::Batch) -> Result<Self::Output, Self::Error>;
}

/// Puts what several batches were converted to in its place, before the writer takes them one by one.
///
/// The engine collects batches as far as the budget allows, so the more of them wait, the more are placed together.
pub trait Placing: Sync {
    /// What the converter supplies.
    type Input: Send;
    /// What the writer takes.
    type Output: Send;
    /// The error that ends the run.
    type Error: Send;

    /// Places these batches, which follow each other, and returns as many outputs in the same order. After an error
    /// nothing of them is written.
    fn place(&self, batches: Vec<Self::Input>) -> Result<Vec<Self::Output>, Self::Error>;
}

/// Takes outputs in the order of their batches.
pub trait Writer: Send {
    /// What the converter supplies.
    type Output: Send;
    /// The error that ends the run.
    type Error: Send;
    /// A point that can be made durable.
    type Commit: Commit<Error = Self::Error>;
    /// False for a writer of a pass that migrates nothing: what it is given counts as progress of its phase alone.
    const MIGRATES: bool = true;

    /// Writes one output, without waiting for the disk.
    fn write(&mut self, output: Self::Output) -> Result<(), Self::Error>;
    /// What makes everything written so far durable and records it as done. Taken between two outputs, run on the
    /// committer's thread while the writer continues; commits run one at a time, in order.
    fn commit_point(&mut self) -> Result<Self::Commit, Self::Error>;
    /// What it has counted so far, with earlier attempts; `None` if it counts nothing. Asked a few times a second.
    fn counted(&self) -> Option<Counted> {
        None
    }
}

/// Work for the committer: sync, then replace the checkpoint.
pub trait Commit: Send {
    /// The error that ends the run.
    type Error: Send;
    /// Makes the point durable.
    fn commit(self) -> Result<(), Self::Error>;
}
