//! Arguments that the commands of content-addressed stores share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cas::Key;
use crate::cas::format::encoding::Compress;
use crate::cas::options::{Linking, MigrateOptions, Placement};
use crate::cas::paths::TargetPaths;
use crate::cas::state::BlobMethods;
use crate::cas::store::CasStore;
use crate::cli::arguments::ResourceArgs;
use crate::cli::table::Table;
use crate::migration::{Durability, Error};
use crate::observe::Scope;

/// The name of the records of a store.
pub const RECORDS_NOUN: &str = "objects";

/// The store.
#[derive(Args)]
pub struct StoreArgs {
    /// Directory of a v2 store, which contains objects/ and index.ndjson
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
}

impl StoreArgs {
    /// Opens the store for reading.
    pub fn open(&self) -> Result<CasStore, Error> {
        CasStore::open(&self.store)
    }
}

/// The store and the object.
#[derive(Args)]
pub struct ObjectArgs {
    #[command(flatten)]
    pub store: StoreArgs,
    /// The object's key: 64 lowercase hex digits
    #[arg(value_name = "KEY", value_parser = key)]
    pub key: Key,
}

impl ObjectArgs {
    /// Returns the error for an object that the store does not have.
    pub fn absent(&self) -> anyhow::Error {
        anyhow::anyhow!("no object {} in {}", self.key, self.store.store.display())
    }
}

fn key(text: &str) -> Result<Key, &'static str> {
    Key::parse(text.as_bytes()).ok_or("a key has 64 lowercase hex digits")
}

/// The source and the target of a migration.
#[derive(Args)]
pub struct SourceTargetArgs {
    /// Root of the old store: the directory that contains objects/, or the objects themselves
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// Path of the v2 store; the state of the run is kept next to it, in DIR.migration
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
}

/// The migration, by its target.
#[derive(Args)]
pub struct TargetArgs {
    /// Path of the v2 store, as given to `haul cas migrate --target`
    #[arg(value_name = "TARGET")]
    target: PathBuf,
}

impl TargetArgs {
    /// Returns the paths of the store and its state.
    pub fn paths(&self) -> Result<TargetPaths, Error> {
        TargetPaths::of_store(&self.target)
    }
}

/// The options that decide the result of a migration.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// How to encode blobs in the target: as-stored, identity, zstd or zstd:LEVEL
    #[arg(long, value_name = "HOW", default_value_t)]
    pub compress: Compress,
    /// Add to the v2 store at the target
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,
    /// Replace the store at the target, and keep the old one for a rollback
    #[arg(long)]
    pub replace: bool,
    /// Publish nothing if an object is refused
    #[arg(long)]
    pub strict: bool,
    /// Accept a source without objects
    #[arg(long)]
    pub allow_empty: bool,
}

impl ResultArgs {
    /// Returns what to do with what is at the target.
    pub fn placement(&self) -> Placement {
        match (self.merge, self.replace) {
            (true, _) => Placement::Merge,
            (_, true) => Placement::Replace,
            _ => Placement::New,
        }
    }

    /// Returns the settings with these rules.
    pub fn options(&self, resources: &ResourceArgs) -> MigrateOptions {
        MigrateOptions {
            compress: self.compress,
            placement: self.placement(),
            strict: self.strict,
            allow_empty: self.allow_empty,
            ..resource_options(resources)
        }
    }
}

/// How to put blobs into the target.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub struct LinkArgs {
    /// Hard-link blobs that do not change instead of copying them: auto copies what cannot be linked (sharing blocks
    /// where that works), always fails there; what later writes into a file of the old store in place, as v0.5 did,
    /// then changes the new store too
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "auto", hide_possible_values = false)]
    link: Option<LinkArg>,
}

/// Values of `--link`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LinkArg {
    /// What cannot be linked is copied.
    #[value(help = None::<&str>)]
    Auto,
    /// Everything is linked, or the run fails.
    #[value(help = None::<&str>)]
    Always,
}

impl LinkArgs {
    /// Returns what to link.
    pub fn linking(&self) -> Linking {
        match self.link {
            None => Linking::Never,
            Some(LinkArg::Auto) => Linking::Auto,
            Some(LinkArg::Always) => Linking::Always,
        }
    }
}

/// Writes how many blobs came into the target in which way, if links were wanted.
pub fn write_blob_methods(table: &mut Table, linking: Linking, blobs: &BlobMethods, copied: &str) {
    if linking.is_wanted() {
        table.nested(|table| {
            table.count("linked", blobs.linked);
            if blobs.cloned > 0 {
                table.count("copied, sharing blocks", blobs.cloned);
            }
            table.count(copied, blobs.copied);
        });
    }
}

/// Values of `--durability`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// For many objects at once, before the checkpoint that covers them
    Group,
    /// For each object when it is written
    #[value(alias = "object")]
    Each,
    /// Never
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

/// Returns the settings of a command whose rules are fixed or do not matter.
pub fn resource_options(resources: &ResourceArgs) -> MigrateOptions {
    let options = MigrateOptions::default();
    MigrateOptions { run: resources.applied_to(options.run), ..options }
}

/// Returns what the view of a run needs to know, if the size of the source is unknown.
pub fn scope(options: &MigrateOptions) -> Scope {
    Scope { budget_bytes: options.run.memory_budget_bytes, ..Scope::of(RECORDS_NOUN) }
}
