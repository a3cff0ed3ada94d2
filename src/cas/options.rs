//! Settings of a migration: what decides its result, and what decides only its course.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use serde::Serialize;

use super::format::frame::{LEVEL_DEFAULT, level_is_valid};
use crate::pipeline::{Budget, Options};

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

/// How blobs are encoded in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compress {
    /// As they are in the source, byte for byte.
    #[default]
    AsStored,
    /// All as their content.
    Identity,
    /// All as one zstd frame of this level.
    Zstd(i32),
}

/// What a target does to what stands where it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Nothing may stand there but an empty directory.
    #[default]
    New,
    /// The v2 store that stands there takes in the objects.
    Merge,
    /// The store that stands there is exchanged for the new one and kept beside it.
    Replace,
}

/// When what is written is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// For many objects at once, before the checkpoint that speaks of them.
    #[default]
    Group,
    /// For each object as it is written: file, directory, sidecar, directory.
    Object,
    /// Not at all: a loss of power may take back anything, also behind a checkpoint.
    None,
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsStored => f.write_str("as-stored"),
            Self::Identity => f.write_str("identity"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// A text that names no way of encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of as-stored, identity, zstd, zstd:1 to zstd:22")]
pub struct UnknownCompress(String);

impl FromStr for Compress {
    type Err = UnknownCompress;

    fn from_str(text: &str) -> Result<Self, UnknownCompress> {
        let unknown = || UnknownCompress(text.to_owned());
        match text {
            "as-stored" => Ok(Self::AsStored),
            "identity" => Ok(Self::Identity),
            "zstd" => Ok(Self::Zstd(LEVEL_DEFAULT)),
            _ => {
                let level = text.strip_prefix("zstd:").and_then(|level| level.parse().ok());
                level.filter(|&level| level_is_valid(level)).map(Self::Zstd).ok_or_else(unknown)
            }
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Merge => "merge",
            Self::Replace => "replace",
        })
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Group => "group",
            Self::Object => "object",
            Self::None => "none",
        })
    }
}

/// How much of the staged store is read again before it may be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// The index: every line, against the counts of the run.
    #[default]
    Index,
    /// Every object too: layout, sidecar, stored hash, content, key.
    Full,
}

/// Settings of a migration.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// How blobs are encoded in the target. Decides the result.
    pub compress: Compress,
    /// What becomes of what stands at the target. Decides the result.
    pub placement: Placement,
    /// Publish nothing if an object was refused. Decides the result.
    pub strict: bool,
    /// Give blobs that stay as they are a second name instead of a copy.
    pub link: bool,
    /// When what is written is made durable.
    pub durability: Durability,
    /// Objects of a batch, at most.
    pub batch_records: u64,
    /// Objects that a crash may take back; see [`Options::checkpoint_interval_records`].
    pub checkpoint_interval_records: u64,
    /// Time between two checkpoints, at least.
    pub checkpoint_interval_ms_min: u64,
    /// Memory for everything in flight and for sorting.
    pub memory_budget_bytes: u64,
    /// Memory for sorting is never less, however small the budget.
    pub sort_memory_bytes_min: u64,
    /// Share of the budget at which the reader begins to wait.
    pub backpressure_threshold: f64,
    /// Objects a second.
    pub rate_limit: Option<NonZeroU32>,
    /// Threads that walk and convert.
    pub parallel_workers: NonZeroUsize,
    /// What to do with the state of an earlier run.
    pub start: Start,
    /// Whether a store that is merged into is verified before anything is staged. It is read past the disk of the run, as
    /// every verification reads; only who knows that it is sound leaves that out.
    pub verify_merged_into: bool,
    /// How much is read again before publishing.
    pub read_back: ReadBack,
    /// Whether to publish at the end.
    pub publish: bool,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            compress: Compress::default(),
            placement: Placement::default(),
            strict: false,
            link: false,
            durability: Durability::default(),
            batch_records: 500,
            checkpoint_interval_records: 100_000,
            checkpoint_interval_ms_min: 2_000,
            memory_budget_bytes: 512 << 20,
            sort_memory_bytes_min: 1 << 20,
            backpressure_threshold: 0.8,
            rate_limit: None,
            parallel_workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            start: Start::default(),
            verify_merged_into: true,
            read_back: ReadBack::default(),
            publish: true,
        }
    }
}

impl MigrateOptions {
    /// Settings of one pass of the engine, with a budget of its own: what sorting leaves of the whole.
    pub fn engine(&self) -> Options {
        let budget_bytes = self.memory_budget_bytes.saturating_sub(self.sort_memory_bytes()).max(1);
        Options {
            parallel_workers: self.parallel_workers,
            budget: Budget::new(budget_bytes, self.backpressure_threshold),
            rate_limit: self.rate_limit,
            checkpoint_interval_records: self.checkpoint_interval_records,
            checkpoint_interval_ms_min: self.checkpoint_interval_ms_min,
        }
    }

    /// Memory of the sort that goes on beside a pass of the engine.
    pub fn sort_memory_bytes(&self) -> u64 {
        (self.memory_budget_bytes / 4).max(self.sort_memory_bytes_min)
    }

    /// The part that decides the result, as text: it enters the plan's digest.
    pub fn decisive_text(&self) -> String {
        format!("compress={} placement={} strict={}", self.compress, self.placement, self.strict)
    }

    /// All settings, as text, for whoever looks at a checkpoint.
    pub fn text(&self) -> String {
        format!(
            "{} link={} durability={} batch-size={} checkpoint-interval={} memory-budget-bytes={} \
             backpressure-threshold={} rate-limit={} parallel-workers={}",
            self.decisive_text(),
            self.link,
            self.durability,
            self.batch_records,
            self.checkpoint_interval_records,
            self.memory_budget_bytes,
            self.backpressure_threshold,
            self.rate_limit.map_or("none".to_owned(), |rate| rate.to_string()),
            self.parallel_workers
        )
    }

    /// These settings with the decisive part of [`MigrateOptions::text`]; `None` if the text is not one.
    pub fn deciding_as(&self, text: &str) -> Option<Self> {
        let value = |name: &str| text.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let placement = match value("placement")? {
            "new" => Placement::New,
            "merge" => Placement::Merge,
            "replace" => Placement::Replace,
            _ => return None,
        };
        let compress = value("compress")?.parse().ok()?;
        Some(Self { compress, placement, strict: value("strict")?.parse().ok()?, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_read_back_from_the_text() {
        for compress in [Compress::AsStored, Compress::Identity, Compress::Zstd(19)] {
            for placement in [Placement::New, Placement::Merge, Placement::Replace] {
                let written = MigrateOptions { compress, placement, strict: true, ..Default::default() };
                let read = MigrateOptions::default().deciding_as(&written.text()).unwrap();
                assert_eq!(read.decisive_text(), written.decisive_text());
            }
        }
        assert!(MigrateOptions::default().deciding_as("compress=identity").is_none());
    }

    #[test]
    fn ways_of_encoding_are_read_from_their_names() {
        assert_eq!("zstd".parse(), Ok(Compress::Zstd(3)));
        assert_eq!("zstd:22".parse(), Ok(Compress::Zstd(22)));
        for wrong in ["zstd:0", "zstd:23", "zstd:", "gzip", ""] {
            assert!(wrong.parse::<Compress>().is_err(), "{wrong}");
        }
    }
}
