//! Settings of a migration: what decides its result, and what decides only its course.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::format::frame::{LEVEL_DEFAULT, level_is_valid};
use crate::migration::{Durability, Rules, RunOptions};
use crate::pipeline::Options;

/// How blobs are encoded in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub enum Compress {
    /// As they are in the source, byte for byte.
    #[default]
    AsStored,
    /// All as their content.
    Identity,
    /// All as one zstd frame of this level.
    Zstd(i32),
}

/// What happens to what is at the target already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Nothing may be there but an empty directory.
    #[default]
    New,
    /// The objects are added to the v2 store that is there.
    Merge,
    /// The store that is there is exchanged for the new one and kept next to it.
    Replace,
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
    /// What happens to what is at the target already. Decides the result.
    pub placement: Placement,
    /// Publish nothing if an object was refused. Decides the result.
    pub strict: bool,
    /// Give blobs that stay as they are a second name instead of a copy.
    pub link: bool,
    /// When what is written is made durable.
    pub durability: Durability,
    /// Whether a store that is merged into is verified before anything is staged. It is read past the disk of the run, as
    /// every verification reads; only who knows that it is sound leaves that out.
    pub verify_merged_into: bool,
    /// How much is read again before publishing.
    pub read_back: ReadBack,
    /// Whether to publish at the end.
    pub publish: bool,
    /// How the run is carried out.
    pub run: RunOptions,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            compress: Compress::default(),
            placement: Placement::default(),
            strict: false,
            link: false,
            durability: Durability::default(),
            verify_merged_into: true,
            read_back: ReadBack::default(),
            publish: true,
            // A checkpoint syncs the whole file system, so they are fewer than elsewhere.
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
    /// Returns the settings of one pass of the engine: its budget is what sorting leaves of the whole.
    pub fn engine(&self) -> Options {
        self.run.engine_within(self.run.memory_budget_bytes.saturating_sub(self.sort_memory_bytes()).max(1))
    }

    /// Returns the memory of a sort that works during a pass of the engine.
    pub fn sort_memory_bytes(&self) -> u64 {
        self.run.sort_memory_bytes(self.run.memory_budget_bytes / 4)
    }

    /// Returns what decides the result.
    pub fn rules(&self) -> CasRules {
        CasRules { compress: self.compress, placement: self.placement, strict: self.strict }
    }
}

/// What decides the result of a run. Nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, bincode::Encode, bincode::Decode)]
pub struct CasRules {
    /// How blobs are encoded in the target.
    #[serde(serialize_with = "serialize_text")]
    pub compress: Compress,
    /// What happens to what is at the target.
    pub placement: Placement,
    /// Publish nothing if an object was refused.
    pub strict: bool,
}

impl Rules for CasRules {}

/// The text enters the digest of the plan.
impl fmt::Display for CasRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compress={} placement={} strict={}", self.compress, self.placement, self.strict)
    }
}

fn serialize_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_encoding_are_read_from_their_names() {
        assert_eq!("zstd".parse(), Ok(Compress::Zstd(3)));
        assert_eq!("zstd:22".parse(), Ok(Compress::Zstd(22)));
        for wrong in ["zstd:0", "zstd:23", "zstd:", "gzip", ""] {
            assert!(wrong.parse::<Compress>().is_err(), "{wrong}");
        }
    }
}
