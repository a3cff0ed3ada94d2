//! What a report of version 2 says of the run itself: attempts, settings, environment, phases, stages and their times.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pipeline::{ForecastFigures, Phase};

/// Which haul has run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HaulVersion {
    /// Version of the package.
    pub version: String,
    /// Commit that it was built from, if known.
    pub commit: Option<String>,
}

/// One attempt at a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct Attempt {
    /// When it began, as RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended; `None` if it was killed.
    pub ended_at: Option<String>,
    /// How: the stage that was reached, `stopped`, `failed`, `killed`; `running` until it ends.
    pub outcome: String,
    /// Exit code of the command; `None` if it was killed.
    pub exit_code: Option<u8>,
    /// Records that it migrated. Of a killed attempt those that the next one found done.
    pub records: u64,
    /// How long it took; of a killed attempt until its last checkpoint.
    pub seconds: f64,
    /// Processor time, of user and system, of all threads.
    pub cpu_seconds: f64,
    /// The most resident memory.
    pub rss_peak_bytes: u64,
}

/// How a run was carried out. Nothing in here changes a byte of the result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Threads that convert.
    pub workers: u64,
    /// Memory for batches in flight, in bytes.
    pub budget_bytes: u64,
    /// Records of a batch, at most.
    pub batch_records: u64,
    /// Records between two checkpoints.
    pub checkpoint_interval_records: u64,
    /// Limit on records a second.
    pub rate_limit: Option<u64>,
    /// How the source is read: `auto`, `mmap` or `pread`; `None` where there is no choice.
    pub reader: Option<String>,
    /// How much is read back: `quick`, `blocks`, `full`.
    pub verify: Option<String>,
    /// What is done to make the target durable: `none`, `group` or `each`.
    pub durability: String,
}

/// On what a run was carried out. It holds no environment variable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Name and release of the kernel.
    pub kernel: Option<String>,
    /// Model of the processor.
    pub cpu: Option<String>,
    /// Processors that the process may use.
    pub cores: u64,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    /// Memory that the control group allows.
    pub cgroup_memory_bytes: Option<u64>,
    /// Processors that the control group allows.
    pub cgroup_cpus: Option<f64>,
    /// File system of the source.
    pub source: Option<Place>,
    /// File system of the target.
    pub target: Option<Place>,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Its type: `ext4`.
    pub file_system: String,
    /// Its device, as `major:minor`.
    pub device: String,
}

/// What a phase of this attempt went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// Records.
    pub records: u64,
    /// Bytes of source.
    pub bytes: u64,
    /// How long it took, without the phases inside of it.
    pub seconds: f64,
    /// Seconds in it that the run has waited.
    pub waited: WaitedSeconds,
}

/// Seconds that a run has waited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct WaitedSeconds {
    /// For memory.
    pub memory: f64,
    /// For the limit on records a second.
    pub limit: f64,
    /// For the disk.
    pub disk: f64,
}

/// How long a stage took for a batch, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageReport {
    /// Batches.
    pub count: u64,
    /// Half of them took at most this long.
    pub p50: u64,
    /// 90 of 100.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// All of them.
    pub max: u64,
}

/// The most that this attempt has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peaks {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Memory that batches in flight held, in bytes.
    pub budget: u64,
    /// Length of what was staged, in bytes.
    pub staging_bytes: u64,
}

/// This attempt at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Seconds since the attempt began.
    pub t: f64,
    /// Records that it has gone through, of all phases.
    pub records: u64,
    /// Bytes of source that it has gone through.
    pub bytes: u64,
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Memory that batches in flight hold, in bytes.
    pub budget: u64,
}

/// A forecast, and how long the run took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Expected seconds.
    pub predicted: Quantiles,
    /// Seconds that it took.
    pub actual: f64,
    /// `actual` by the `p50` that was expected.
    pub ratio: f64,
    /// True if `actual` lies from `p10` to `p90`.
    pub in_range: bool,
    /// From what the forecast was made: `probe` or `history`.
    pub basis: String,
}

/// Expected seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// One run in ten is sooner.
    pub p10: f64,
    /// One run in two is sooner.
    pub p50: f64,
    /// Nine runs in ten are sooner.
    pub p90: f64,
}

/// The commands that come next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Next {
    /// Reads the target again.
    pub verify: Option<String>,
    /// Makes the source the live store again.
    pub rollback: Option<String>,
}

/// What a report says of the run itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AboutRun {
    /// Which haul has run.
    pub haul: HaulVersion,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// How this attempt was carried out.
    pub settings: Settings,
    /// On what.
    pub environment: Environment,
    /// The phases of this attempt, in the order in which they began.
    pub phases: Vec<PhaseReport>,
    /// How long the stages took for a batch, in microseconds.
    pub stages: BTreeMap<String, StageReport>,
    /// The most that this attempt has used.
    pub peaks: Peaks,
    /// This attempt over time.
    pub timeline: Vec<TimelinePoint>,
    /// Bytes of the target by what they are.
    pub written: BTreeMap<String, u64>,
    /// Digests of what was made and of what it was made from, in hexadecimal.
    pub digests: BTreeMap<String, String>,
    /// How long the run was expected to take.
    pub estimate: Option<ForecastFigures>,
    /// How good that was.
    pub grade: Option<Grade>,
    /// The commands that come next.
    pub next: Next,
}
