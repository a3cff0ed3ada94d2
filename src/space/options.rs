//! Settings of a migration: what decides its result, and what decides only its course.

use std::fmt;

use serde::Serialize;

use super::log::reader::BatchLimits;
use super::policy::Policies;
use super::verify::Depth;
use crate::durable::ReaderKind;
use crate::migration::{Rules, RunOptions};

/// Segments are ended when the next block would make them larger than this.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Settings of a migration.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// The rules. They decide the result, as does `segment_bytes_max`; nothing else does.
    pub policies: Policies,
    /// Bytes after which a segment ends.
    pub segment_bytes_max: u64,
    /// How the source is read.
    pub reader: ReaderKind,
    /// How much of the sealed store is read again before it may be published.
    pub verify_depth: Depth,
    /// Whether to publish at the end.
    pub publish: bool,
    /// True if the operator knows that no engine writes to the space, whatever the system says.
    pub engine_stopped: bool,
    /// True if a log without records is no error where there should be some.
    pub allow_empty: bool,
    /// How the run is carried out.
    pub run: RunOptions,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            policies: Policies::default(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            // Mapped files need a handler of SIGBUS, which a library must not install behind the back of its program.
            reader: ReaderKind::Pread,
            verify_depth: Depth::Blocks,
            publish: true,
            engine_stopped: false,
            allow_empty: false,
            run: RunOptions::default(),
        }
    }
}

impl MigrateOptions {
    /// Returns the limits of a batch. Batches are rounded up to whole blocks.
    pub fn batch_limits(&self) -> BatchLimits {
        let RunOptions { batch_records, memory_budget_bytes, backpressure_threshold, parallel_workers, .. } = self.run;
        BatchLimits::for_budget(batch_records, memory_budget_bytes, backpressure_threshold, parallel_workers.get())
    }

    /// Returns what decides the result.
    pub fn rules(&self) -> SpaceRules {
        SpaceRules { policies: self.policies, segment_bytes_max: self.segment_bytes_max }
    }

    /// Returns these settings under other rules.
    pub fn under(&self, rules: SpaceRules) -> Self {
        let SpaceRules { policies, segment_bytes_max } = rules;
        Self { policies, segment_bytes_max, ..self.clone() }
    }
}

/// What decides the result of a run. Nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub struct SpaceRules {
    /// What to do where the log is damaged, ambiguous or lossy.
    #[serde(flatten)]
    pub policies: Policies,
    /// Bytes after which a segment ends.
    pub segment_bytes_max: u64,
}

impl Rules for SpaceRules {}

/// The text enters the digest of the plan.
impl fmt::Display for SpaceRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segment-bytes-max={}", self.policies, self.segment_bytes_max)
    }
}
