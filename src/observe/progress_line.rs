//! A run at one moment, as programs read it: a line of `--progress json`, the state that other processes see, and what
//! `haul serve` answers.
//!
//! The fields are those of `docs/progress.schema.json`. A reader ignores fields that it does not know. A field that goes
//! or changes its meaning raises [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pipeline::Phase;

/// Version of the lines.
pub const VERSION: u32 = 1;

/// What every line begins with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LineHead {
    /// [`VERSION`].
    pub v: u32,
    /// Number of the line: 0, 1, 2, … without a gap.
    pub seq: u64,
    /// When, as RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Id of the run; empty before it has one.
    pub run: String,
    /// Which store: `space`, `cas`, `manifest`, `db`, `upgrade`.
    pub kind: String,
}

/// A line of type `progress` or `status`: the run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressLine {
    /// What every line begins with.
    #[serde(flatten)]
    pub head: LineHead,
    /// `progress`, or `status` where somebody has asked.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The phase under way.
    pub phase: Option<Phase>,
    /// What the run does.
    pub state: RunningState,
    /// What is done in this phase, with what earlier attempts have done.
    pub done: Amount,
    /// The part of `done` that earlier attempts have done.
    pub before: Amount,
    /// What the phase will go through; `null` if that is not known.
    pub total: Option<Total>,
    /// Share of the phase that is done, 0 to 1.
    pub ratio: Option<f64>,
    /// Share of the whole run that is done by the expected time of its phases, 0 to 1.
    pub overall_ratio: Option<f64>,
    /// Speed of this attempt.
    pub rate: Rate,
    /// Seconds until the whole run ends.
    pub eta: Option<Eta>,
    /// Memory that batches in flight hold.
    pub budget: BudgetNow,
    /// Resident memory of the process; `null` where the system does not say.
    pub rss_bytes: Option<u64>,
    /// The last checkpoint.
    pub checkpoint: Option<CheckpointNow>,
    /// Records by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Events that were only added up, because too many came at once.
    pub events_dropped: u64,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunningState {
    /// It works.
    Running,
    /// It waits for the limit on records a second.
    Limited,
    /// It waits for memory.
    WaitingMemory,
    /// It waits for the disk.
    WaitingDisk,
    /// It was asked to stop.
    Stopping,
}

/// An amount of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Bytes of source.
    pub bytes: u64,
}

/// What a phase will go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Records, if known.
    pub records: Option<u64>,
    /// Bytes of source, if known.
    pub bytes: Option<u64>,
    /// False while it is an estimate or still grows.
    pub exact: bool,
}

/// A speed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// Records a second.
    pub records_per_second: f64,
    /// Bytes of source a second.
    pub bytes_per_second: f64,
}

/// Seconds until the whole run ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eta {
    /// One run in ten ends sooner.
    pub p10: f64,
    /// What is shown.
    pub p50: f64,
    /// Nine runs in ten end sooner.
    pub p90: f64,
    /// `forecast`, `measured` or `limit`.
    pub basis: String,
}

/// Memory that batches in flight hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BudgetNow {
    /// Now.
    pub in_use: u64,
    /// At most; 0 without a budget.
    pub total: u64,
}

/// The last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointNow {
    /// Records that it covers, with those of earlier attempts.
    pub records: u64,
    /// When it became durable, as RFC 3339 in UTC with milliseconds.
    pub at: String,
}
