//! How a run is carried out: settings that every store has, none of which changes a byte of the result.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::thread::available_parallelism;

use crate::durable::{NewModes, NewOwner};
use crate::migration::Error;
use crate::migration::forecast::History;
use crate::pipeline::{Budget, Options};

/// What to do with an earlier run that is kept in the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Continues it if there is one; else begins a run.
    #[default]
    Auto,
    /// Continues it, and fails if there is none.
    Resume,
    /// Discards it and begins a run.
    Restart,
}

/// How a run is carried out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// What to do with an earlier run.
    pub start: Start,
    /// Records of a batch, at most.
    pub batch_records: u64,
    /// Records that a crash may cost; see [`Options::checkpoint_interval_records`].
    pub checkpoint_interval_records: u64,
    /// Shortest time between two checkpoints.
    pub checkpoint_interval_ms_min: u64,
    /// Longest time between two checkpoints while records are written.
    pub checkpoint_interval_ms_max: u64,
    /// Memory for what is in flight and for sorting.
    pub memory_budget_bytes: u64,
    /// A sort never gets less memory, however small the budget: a file for every few records would take longer than all
    /// the rest.
    pub sort_memory_bytes_min: u64,
    /// Share of the budget at which the reader begins to wait.
    pub backpressure_threshold: f64,
    /// Records a second.
    pub rate_limit: Option<NonZeroU32>,
    /// Threads that convert.
    pub parallel_workers: NonZeroUsize,
    /// Where whole runs are remembered, and forecasts learn from them.
    pub history: History,
    /// Who owns what is created. Otherwise it is the owner of the store at the target or, without one, this process's.
    pub owner: NewOwner,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            start: Start::Auto,
            batch_records: 1_000,
            checkpoint_interval_records: 10_000,
            checkpoint_interval_ms_min: 200,
            checkpoint_interval_ms_max: 10_000,
            memory_budget_bytes: 512 << 20,
            sort_memory_bytes_min: 1 << 20,
            backpressure_threshold: 0.8,
            rate_limit: None,
            parallel_workers: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            history: History::None,
            owner: NewOwner::default(),
        }
    }
}

impl RunOptions {
    /// Returns the settings of one pass of the engine that has the whole budget.
    pub fn engine(&self) -> Options {
        self.engine_within(self.memory_budget_bytes)
    }

    /// Returns the settings of one pass of the engine with a budget of its own.
    pub fn engine_within(&self, budget_bytes: u64) -> Options {
        Options {
            parallel_workers: self.parallel_workers,
            budget: Budget::new(budget_bytes, self.backpressure_threshold),
            rate_limit: self.rate_limit,
            checkpoint_interval_records: self.checkpoint_interval_records,
            checkpoint_interval_ms_min: self.checkpoint_interval_ms_min,
            checkpoint_interval_ms_max: self.checkpoint_interval_ms_max,
        }
    }

    /// Returns the permissions and the owner of what is created, within what the store allows.
    pub fn modes(&self, of_store: NewModes) -> NewModes {
        if self.owner.is_empty() { of_store } else { of_store.owned_by(self.owner) }
    }

    /// Fails if this process may not give files to the owner that is asked for.
    pub fn check_owner(&self) -> Result<(), Error> {
        let refused = self.owner.refused();
        if refused.is_empty() {
            return Ok(());
        }
        Err(Error::Usage {
            what: format!("this user may not give files to {}", refused.text()),
            next: "run haul as root, or leave out --chown".into(),
        })
    }

    /// Returns the memory of a sort that may take this share of the budget.
    pub fn sort_memory_bytes(&self, share_bytes: u64) -> u64 {
        share_bytes.max(self.sort_memory_bytes_min)
    }
}

/// The settings as the journal shows them.
impl fmt::Display for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch-size={} checkpoint-interval={} memory-budget-bytes={} backpressure-threshold={} rate-limit={} \
             parallel-workers={}",
            self.batch_records,
            self.checkpoint_interval_records,
            self.memory_budget_bytes,
            self.backpressure_threshold,
            self.rate_limit.map_or("none".to_owned(), |rate| rate.to_string()),
            self.parallel_workers
        )
    }
}
