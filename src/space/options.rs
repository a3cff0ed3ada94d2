//! Settings of a migration: what decides its result, and what decides only its course.

use std::num::{NonZeroU32, NonZeroUsize};

use super::log::reader::BatchLimits;
use super::policy::Policies;
use super::verify::Depth;
use crate::durable::ReaderKind;
use crate::pipeline::{Budget, Options};

/// Segments are ended when the next block would make them larger than this.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// What to do with the state of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Go on if there is one, else begin.
    #[default]
    Auto,
    /// Go on; fail if there is none.
    Resume,
    /// Discard it and begin anew.
    Restart,
}

/// Settings of a migration.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// The rules. They decide the result, as does `segment_bytes_max`; nothing else does.
    pub policies: Policies,
    /// Bytes after which a segment ends.
    pub segment_bytes_max: u64,
    /// How the source is read.
    pub reader: ReaderKind,
    /// Records of a batch, rounded up to whole blocks.
    pub batch_records: u64,
    /// Records that a crash may take back; see [`Options::checkpoint_interval_records`].
    pub checkpoint_interval_records: u64,
    /// Time between two checkpoints, at least.
    pub checkpoint_interval_ms_min: u64,
    /// Memory for everything in flight.
    pub memory_budget_bytes: u64,
    /// Memory for sorting ids is never less, however small the budget: a file for every few records would take longer
    /// than the whole rest.
    pub sort_memory_bytes_min: u64,
    /// Share of the budget at which the reader begins to wait.
    pub backpressure_threshold: f64,
    /// Records a second.
    pub rate_limit: Option<NonZeroU32>,
    /// Threads that convert.
    pub parallel_workers: NonZeroUsize,
    /// What to do with the state of an earlier run.
    pub start: Start,
    /// How much of the sealed store is read again before it may be published.
    pub verify_depth: Depth,
    /// Whether to publish at the end.
    pub publish: bool,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            policies: Policies::default(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            reader: ReaderKind::Auto,
            batch_records: 1_000,
            checkpoint_interval_records: 10_000,
            checkpoint_interval_ms_min: 200,
            memory_budget_bytes: 512 << 20,
            sort_memory_bytes_min: 1 << 20,
            backpressure_threshold: 0.8,
            rate_limit: None,
            parallel_workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            start: Start::Auto,
            verify_depth: Depth::Blocks,
            publish: true,
        }
    }
}

impl MigrateOptions {
    /// Settings of one pass of the engine, with a budget of its own.
    pub fn engine(&self) -> Options {
        Options {
            parallel_workers: self.parallel_workers,
            budget: Budget::new(self.memory_budget_bytes, self.backpressure_threshold),
            rate_limit: self.rate_limit,
            checkpoint_interval_records: self.checkpoint_interval_records,
            checkpoint_interval_ms_min: self.checkpoint_interval_ms_min,
        }
    }

    /// Limits of a batch.
    pub fn batch_limits(&self) -> BatchLimits {
        BatchLimits::for_budget(
            self.batch_records,
            self.memory_budget_bytes,
            self.backpressure_threshold,
            self.parallel_workers.get(),
        )
    }

    /// The part that decides the result, as text: it enters the plan's digest.
    pub fn decisive_text(&self) -> String {
        format!("{} segment-bytes-max={}", self.policies, self.segment_bytes_max)
    }

    /// These settings with the decisive part of [`MigrateOptions::text`]; `None` if the text is not one.
    pub fn deciding_as(&self, text: &str) -> Option<Self> {
        let value = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let policies = Policies {
            corruption: value("corruption")?.parse().ok()?,
            torn_tail: value("torn-tail")?.parse().ok()?,
            undecodable: value("undecodable")?.parse().ok()?,
            out_of_range: value("out-of-range")?.parse().ok()?,
            duplicates: value("duplicates")?.parse().ok()?,
            deletes: value("deletes")?.parse().ok()?,
            updates: value("updates")?.parse().ok()?,
            collisions: value("collisions")?.parse().ok()?,
        };
        let segment_bytes_max = value("segment-bytes-max")?.parse().ok()?;
        Some(Self { policies, segment_bytes_max, ..self.clone() })
    }

    /// All settings, as text, for whoever looks at a checkpoint.
    pub fn text(&self) -> String {
        format!(
            "{} reader={} batch-size={} checkpoint-interval={} memory-budget-bytes={} backpressure-threshold={} \
             rate-limit={} parallel-workers={}",
            self.decisive_text(),
            self.reader,
            self.batch_records,
            self.checkpoint_interval_records,
            self.memory_budget_bytes,
            self.backpressure_threshold,
            self.rate_limit.map_or("none".to_owned(), |rate| rate.to_string()),
            self.parallel_workers
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::policy::{Collisions, Corruption, Updates};

    #[test]
    fn what_decides_is_read_back_from_the_text() {
        let policies = Policies {
            corruption: Corruption::Resync,
            updates: Updates::Import,
            collisions: Collisions::Rekey,
            ..Policies::default()
        };
        let written = MigrateOptions { policies, segment_bytes_max: 12_345, batch_records: 7, ..Default::default() };
        let read = MigrateOptions::default().deciding_as(&written.text()).unwrap();
        assert_eq!(read.decisive_text(), written.decisive_text());
        assert_eq!(read.batch_records, MigrateOptions::default().batch_records);
        assert!(MigrateOptions::default().deciding_as("corruption=fail").is_none());
        assert!(MigrateOptions::default().deciding_as(&written.text().replace("resync", "never")).is_none());
    }
}
