//! A run in numbers, summed up from its events: what reports, progress and metrics are made from.

mod counts;
mod phases;
mod stages;

pub use counts::Tally;
pub use phases::{PhaseNow, PhaseTally, Waited};
pub use stages::{StageTimes, new_histogram};

use std::time::Duration;

use super::event::{Counted, Wait};

/// The numbers at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Time since the run began, or since the tally was made.
    pub elapsed: Duration,
    /// The phase under way; the innermost if one contains another.
    pub phase: Option<PhaseNow>,
    /// The phases that ended, in the order in which they first began, each with all its parts.
    pub ended: Vec<PhaseTally>,
    /// Records that this attempt has migrated.
    pub records: u64,
    /// Bytes of source that this attempt has migrated.
    pub source_bytes: u64,
    /// Records that the limit has let pass in this phase; `None` without a limit.
    pub admitted: Option<u64>,
    /// Bytes of the budget in use.
    pub budget_in_use_bytes: u64,
    /// The most bytes of the budget that were in use.
    pub budget_peak_bytes: u64,
    /// Time that the run has waited, with the wait that is under way.
    pub waited: Waited,
    /// What it waits for now.
    pub waiting_for: Option<Wait>,
    /// The last checkpoint.
    pub checkpoint: Option<LastCheckpoint>,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// What the writer has counted.
    pub counted: Counted,
}

/// The last checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCheckpoint {
    /// Records that this attempt had written when it was taken.
    pub records: u64,
    /// How long ago it became durable.
    pub age: Duration,
}
