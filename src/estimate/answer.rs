//! What an estimate says. As JSON it is the document of `haul … estimate --json`, and of `estimate.json`.

use serde::Serialize;

use super::checks::Check;
use super::deadline::{Deadline, WithWorkers};
use super::stages::StageSeconds;
use crate::migration::forecast::StoredForecast;
use crate::migration::probe::Drawn;
use crate::pipeline::{EngineStage, ForecastFigures, Phase};

/// What a migration would need.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate<P> {
    /// When it was made, as RFC 3339 in UTC.
    pub at: String,
    /// The plan.
    pub plan: P,
    /// Records of the source.
    pub records: u64,
    /// Their bytes.
    pub source_bytes: u64,
    /// How long it takes; `None` if that is not known.
    pub time: Option<ForecastFigures>,
    /// Why that is not known.
    pub time_problem: Option<String>,
    /// The same as one number, the `p50`, in seconds.
    pub seconds_expected: Option<f64>,
    /// Records a second that this is.
    pub records_per_second: Option<f64>,
    /// Seconds that each phase takes.
    pub phases: Vec<(Phase, f64)>,
    /// What was added for what no small probe shows.
    pub corrections: Vec<Correction>,
    /// The stage of the pipeline that the others wait for.
    pub bottleneck: Option<EngineStage>,
    /// How long the stages have worked in the larger probe.
    pub stages: StageSeconds,
    /// The limit on records a second, and what it leaves at least.
    pub limit: Option<LimitFloor>,
    /// Records that were read and converted without being written.
    pub sample: Drawn,
    /// How many of them one thread reads and converts in a second.
    pub read_records_per_second: Option<u64>,
    /// The same in bytes.
    pub read_bytes_per_second: Option<u64>,
    /// Bytes that the migration takes at most.
    pub space_needed_bytes: u64,
    /// Bytes that it takes after `clean`.
    pub space_after_clean_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Files and directories that it makes at most.
    pub inodes_needed: u64,
    /// Files and directories that may still be made; `None` without a limit.
    pub free_inodes: Option<u64>,
    /// True if space and inodes are enough.
    pub fits: bool,
    /// The memory budget.
    pub memory_bytes: u64,
    /// The most memory that this process has had while it measured.
    pub memory_peak_bytes: Option<u64>,
    /// How long it takes with other numbers of workers.
    pub workers: Vec<WithWorkers>,
    /// What the deadline asks for.
    pub deadline: Option<Deadline>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Whole runs that the range was made from.
    pub graded_runs: u64,
    /// What the run is graded by.
    pub of_run: Option<StoredForecast>,
}

/// Something that was added to what the probes say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Correction {
    /// What: `cold_source` or `cold_verify`.
    pub name: &'static str,
    /// Seconds.
    pub seconds: f64,
}

/// What a limit on records a second leaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LimitFloor {
    /// Records a second.
    pub records_per_second: u64,
    /// Seconds that a run takes at least.
    pub seconds_at_least: f64,
}
