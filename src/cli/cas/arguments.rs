//! Arguments that the verbs of a content-addressed store share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cas::Key;
use crate::cas::options::{Compress, MigrateOptions, Placement};
use crate::cas::paths::TargetPaths;
use crate::cas::store::CasStore;
use crate::cli::arguments::ResourceArgs;
use crate::migration::{Durability, Error};
use crate::observe::Scope;

/// What one record of a store is called.
pub const RECORDS_NOUN: &str = "objects";

/// Which store.
#[derive(Args)]
pub struct StoreArgs {
    /// Directory of a v2 store: the one that holds objects and index.ndjson
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
}

impl StoreArgs {
    /// Opens it for reading.
    pub fn open(&self) -> Result<CasStore, Error> {
        CasStore::open(&self.store)
    }
}

/// Which object of which store.
#[derive(Args)]
pub struct ObjectArgs {
    #[command(flatten)]
    pub store: StoreArgs,
    /// The object's key: 64 lowercase hex digits
    #[arg(value_name = "KEY", value_parser = key)]
    pub key: Key,
}

impl ObjectArgs {
    /// What to say if the store does not know it.
    pub fn absent(&self) -> anyhow::Error {
        anyhow::anyhow!("no object {} in {}", self.key, self.store.store.display())
    }
}

fn key(text: &str) -> Result<Key, &'static str> {
    Key::parse(text.as_bytes()).ok_or("a key is 64 of the digits 0-9 and a-f")
}

/// From where to where.
#[derive(Args)]
pub struct MoveArgs {
    /// Root of the old store: the directory that holds objects/, or the objects themselves
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// Path that the v2 store is to have; the state of the run is kept beside it, in DIR.migration
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
}

/// Which migration, by its target.
#[derive(Args)]
pub struct TargetArgs {
    /// Path of the v2 store, as it was given to `haul cas migrate --target`
    #[arg(value_name = "TARGET")]
    target: PathBuf,
}

impl TargetArgs {
    /// Where its parts lie.
    pub fn paths(&self) -> Result<TargetPaths, Error> {
        TargetPaths::of_store(&self.target)
    }
}

/// What decides the result of a migration.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// How blobs are encoded in the target: as-stored, identity, zstd or zstd:LEVEL
    #[arg(long, value_name = "HOW", default_value_t)]
    pub compress: Compress,
    /// Add to the v2 store that is at the target
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,
    /// Take the place of the store that is at the target, and keep that one for a rollback
    #[arg(long)]
    pub replace: bool,
    /// Publish nothing if an object is refused
    #[arg(long)]
    pub strict: bool,
}

impl ResultArgs {
    /// What becomes of what stands at the target.
    pub fn placement(&self) -> Placement {
        match (self.merge, self.replace) {
            (true, _) => Placement::Merge,
            (_, true) => Placement::Replace,
            _ => Placement::New,
        }
    }

    /// Settings with these rules.
    pub fn options(&self, resources: &ResourceArgs) -> MigrateOptions {
        MigrateOptions {
            compress: self.compress,
            placement: self.placement(),
            strict: self.strict,
            ..course(resources)
        }
    }
}

/// How blobs come into the target.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub struct LinkArgs {
    /// Give blobs that stay as they are a second name (a hard link) instead of a copy: what is later written into a
    /// file of the old store in place, as v0.5 did, then also changes the new one
    #[arg(long)]
    pub link: bool,
}

/// Values of `--durability`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// For many objects at once, before the checkpoint that speaks of them
    Group,
    /// For each object as it is written
    #[value(alias = "object")]
    Each,
    /// Not at all
    None,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::Group => Self::Group,
            DurabilityArg::Each => Self::Each,
            DurabilityArg::None => Self::None,
        }
    }
}

/// Settings of a verb whose rules are fixed or do not matter.
pub fn course(resources: &ResourceArgs) -> MigrateOptions {
    let options = MigrateOptions::default();
    MigrateOptions { run: resources.applied_to(options.run), ..options }
}

/// What the view of a run on a source of unknown size needs to know.
pub fn scope(options: &MigrateOptions) -> Scope {
    Scope { records_noun: RECORDS_NOUN, source_bytes: None, budget_bytes: options.run.memory_budget_bytes }
}
