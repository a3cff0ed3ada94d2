//! `live.json` in the run directory: what other processes see of a run between two checkpoints.
//!
//! It is renamed into place once a second, never synced, and removed when the report is written. So it may be missing,
//! old or torn at any time: a reader takes what it finds for a hint, and the lock for the truth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::progress_line::ProgressLine;
use crate::pipeline::ForecastFigures;

/// Name of the file.
pub const FILE_NAME: &str = "live.json";
/// Upper bounds of the buckets of [`StageSummary::buckets`], in seconds: 1 ms to 64 s. Longer times are in `count` alone.
pub const BUCKET_SECONDS: [f64; 17] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384, 32.768,
    64.0,
];

/// A run that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The last progress line.
    #[serde(flatten)]
    pub line: ProgressLine,
    /// Version of haul.
    pub haul: String,
    /// The process, with what tells it from a later one of the same number.
    pub pid: u32,
    /// `/proc/sys/kernel/random/boot_id`; `null` where the system does not say.
    pub boot_id: Option<String>,
    /// Start of the process in clock ticks after the boot, field 22 of `/proc/PID/stat`.
    pub process_start: Option<u64>,
    /// When the run began, as RFC 3339 in UTC.
    pub started_at: String,
    /// Where the records come from.
    pub source: String,
    /// Where they go.
    pub target: String,
    /// How long it was expected to take.
    pub forecast: Option<ForecastFigures>,
    /// Records of the whole migration, if planned.
    pub records_planned: Option<u64>,
    /// Seconds that the run has waited, by reason: `memory`, `limit`, `disk`.
    pub waiting_seconds: BTreeMap<String, f64>,
    /// How long the stages took, by stage.
    pub stages: BTreeMap<String, StageSummary>,
    /// Bytes of the target, by what they are.
    pub written_bytes: BTreeMap<String, u64>,
    /// Findings by severity.
    pub findings: BTreeMap<String, u64>,
    /// Checkpoints that this attempt has written.
    pub checkpoints: u64,
    /// Bytes of source that this attempt has read.
    pub source_bytes: u64,
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StageSummary {
    /// Batches.
    pub count: u64,
    /// All of them together.
    pub sum_seconds: f64,
    /// Half of the batches took at most this long, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 took at most this long.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Batches that took at most as long as the bound of the same place in [`BUCKET_SECONDS`].
    pub buckets: Vec<u64>,
}
