//! Options of a migration: those that decide its result, and those that decide only how it runs.

use std::fmt;

use serde::{Serialize, Serializer};

use super::format::encoding::Compress;
use crate::migration::{Durability, Rules, RunOptions};
use crate::pipeline::Options;

/// How a new store takes its place at the target path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The path must be free, or an empty directory.
    #[default]
    New,
    /// The objects are added to the v2 store at the path.
    Merge,
    /// The new store replaces the one at the path, which is kept in the run directory.
    Replace,
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

/// Whether blobs that stay as they are share their storage with the old store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linking {
    /// They are copied.
    #[default]
    Never,
    /// Each is a hard link where that is allowed, else a copy that shares its blocks, else a copy.
    Auto,
    /// Each is a hard link, or the run fails.
    Always,
}

impl Linking {
    /// Returns true if hard links are wanted.
    pub fn is_wanted(self) -> bool {
        self != Self::Never
    }
}

/// How much of the staged store is read again before it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// The index: every line, compared with the counts of the run.
    #[default]
    Index,
    /// Every object too: its layout, its sidecar, its stored hash, its content and its key.
    Full,
}

/// Options of a migration.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// How the target encodes blobs. Decides the result.
    pub compress: Compress,
    /// How the new store takes its place. Decides the result.
    pub placement: Placement,
    /// Whether the run fails before it publishes if an object was refused. Decides the result.
    pub strict: bool,
    /// Whether blobs that stay as they are become hard links instead of copies.
    pub link: Linking,
    /// When written files are made durable.
    pub durability: Durability,
    /// Whether the store at the target is verified before a merge stages anything. Turn this off only if the store is
    /// known to be sound.
    pub verify_merged_into: bool,
    /// How much of the staged store is read again before it is published.
    pub read_back: ReadBack,
    /// Whether a source without objects is migrated, and a store that has none published.
    pub allow_empty: bool,
    /// How many percent fewer objects a new store may have than the one that it replaces.
    pub max_drop_percent: Option<u8>,
    /// Whether to publish at the end.
    pub publish: bool,
    /// Batches, checkpoints, memory and workers of the run.
    pub run: RunOptions,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            compress: Compress::default(),
            placement: Placement::default(),
            strict: false,
            link: Linking::default(),
            durability: Durability::default(),
            verify_merged_into: true,
            read_back: ReadBack::default(),
            allow_empty: false,
            max_drop_percent: None,
            publish: true,
            // A checkpoint syncs the whole file system, so a run has fewer of them than other migrations.
            run: RunOptions {
                batch_records: 500,
                checkpoint_interval_records: 100_000,
                checkpoint_interval_ms_min: 2_000,
                ..RunOptions::default()
            },
        }
    }
}

impl MigrateOptions {
    /// Returns the options of one pass of the engine. Its memory budget is the whole budget less that of the sort.
    pub fn engine(&self) -> Options {
        self.run.engine_within(self.run.memory_budget_bytes.saturating_sub(self.sort_memory_bytes()).max(1))
    }

    /// Returns the memory of a sort that runs at the same time as a pass of the engine.
    pub fn sort_memory_bytes(&self) -> u64 {
        self.run.sort_memory_bytes(self.run.memory_budget_bytes / 4)
    }

    /// Returns the options that decide the result.
    pub fn rules(&self) -> CasRules {
        CasRules { compress: self.compress, placement: self.placement, strict: self.strict }
    }
}

/// The options that decide the result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, bincode::Encode, bincode::Decode)]
pub struct CasRules {
    /// How the target encodes blobs.
    #[serde(serialize_with = "serialize_text")]
    pub compress: Compress,
    /// How the new store takes its place.
    pub placement: Placement,
    /// Whether the run fails before it publishes if an object was refused.
    pub strict: bool,
}

impl Rules for CasRules {}

/// This text is part of the digest of the plan, so it must never change.
impl fmt::Display for CasRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compress={} placement={} strict={}", self.compress, self.placement, self.strict)
    }
}

fn serialize_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
