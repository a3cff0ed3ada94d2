//! Arguments that the commands of content-addressed stores share.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};

use crate::cas::format::encoding::Compress;
use crate::cas::format::key_text::{Candidates, KeyText};
use crate::cas::map::{KeyMap, map_of_store};
use crate::cas::options::{Linking, MigrateOptions, Placement, ReadBack};
use crate::cas::paths::TargetPaths;
use crate::cas::state::BlobMethods;
use crate::cas::store::CasStore;
use crate::cas::{Algorithm, Key};
use crate::cli::arguments::ResourceArgs;
use crate::cli::command_line::cas_command;
use crate::cli::place::{Place, PlaceKind};
use crate::cli::table::Table;
use crate::migration::{Durability, Error, shell_word};
use crate::observe::Scope;

/// The name of the records of a store.
pub const RECORDS_NOUN: &str = "objects";

/// The store, by position only, for commands with another positional argument.
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
    /// The object's key, or its first digits; with --map also an old key, as sha256:DIGITS where that is ambiguous
    #[arg(value_name = "KEY")]
    key: KeyText,
    /// The map of the migration, which leads from old keys to those of the store
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
}

impl ObjectArgs {
    /// Returns the key that is meant, whether the store has it or not.
    pub fn find(&self, store: &CasStore) -> Result<Key, Error> {
        if let Some(key) = self.by_map()? {
            return Ok(key);
        }
        if self.key.algorithm.is_some_and(|algorithm| algorithm != Algorithm::Cas) {
            return Err(match &self.map {
                Some(map) => self.absent(&format!("the map {} has no old key", map.display())),
                None => Error::Usage {
                    what: format!("{} is an old key, and the store has only new ones", self.key),
                    next: "name the map of the migration with --map, such as STORE.migration/key-map.tsv".into(),
                },
            });
        }
        match self.key.whole() {
            Some(key) => Ok(key),
            None => self.key.only(&store.find(&self.key)?)?.ok_or_else(|| self.absent("no key begins with")),
        }
    }

    /// Returns the new key of an old one.
    fn by_map(&self) -> Result<Option<Key>, Error> {
        let Some(path) = &self.map else { return Ok(None) };
        let (mut old, mut rows) = (Candidates::default(), Vec::new());
        KeyMap::open(path)?.for_each_old(&self.key, |row| {
            old.add(row.old_key);
            rows.push(*row);
            !old.is_full() && rows.len() < ROWS_MAX
        })?;
        self.key.only(&old)?;
        let Some(first) = rows.first() else { return Ok(None) };
        if rows.iter().all(|row| row.new_key == first.new_key) {
            return Ok(Some(first.new_key));
        }
        let made: Vec<_> = rows.iter().map(|row| format!("{}:{}", row.old_algorithm, row.old_key)).collect();
        Err(Error::Usage {
            what: format!("objects of several generations have that key: {}", made.join(", ")),
            next: "name the algorithm in front of the key".into(),
        })
    }

    /// Returns the error for an object that the store does not have.
    pub fn not_there(&self, key: Key) -> anyhow::Error {
        let store = &self.store.store;
        let of_old = map_of_store(store).filter(|map| {
            self.map.is_none()
                && KeyMap::open(map).is_ok_and(|map| map.find_old(key).is_ok_and(|rows| !rows.is_empty()))
        });
        match of_old {
            Some(map) => anyhow::anyhow!(
                "no object {key} in {}; it is an old key: add --map {}",
                store.display(),
                shell_word(map)
            ),
            None => anyhow::anyhow!("no object {key} in {}", store.display()),
        }
    }

    fn absent(&self, what: &str) -> Error {
        Error::Usage {
            what: format!("{what} {}", self.key),
            next: format!("list the keys with {}", cas_command("ls", &self.store.store)),
        }
    }
}

/// Most rows of one old key that are looked at: it has one for each algorithm.
const ROWS_MAX: usize = 16;

/// The source and the target of a migration, by option or by position.
pub struct SourceTargetArgs {
    pub source: PathBuf,
    pub target: PathBuf,
}

/// The words of [`SourceTargetArgs`].
#[derive(Args)]
struct SourceTargetWords {
    /// Root of the old store: the directory that contains objects/, or the objects themselves
    #[arg(long, value_name = "DIR", required_unless_present = "old", requires = "target")]
    source: Option<PathBuf>,
    /// Path of the v2 store; the state of the run is kept next to it, in DIR.migration
    #[arg(long, value_name = "DIR", required_unless_present = "old", requires = "source")]
    target: Option<PathBuf>,
    /// The same as --source
    #[arg(value_name = "OLD", conflicts_with_all = ["source", "target"], requires = "new")]
    old: Option<PathBuf>,
    /// The same as --target
    #[arg(value_name = "NEW")]
    new: Option<PathBuf>,
}

impl FromArgMatches for SourceTargetArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let words = SourceTargetWords::from_arg_matches(matches)?;
        let given = |option: Option<PathBuf>, word| option.or(word).expect("one of them is required");
        Ok(Self { source: given(words.source, words.old), target: given(words.target, words.new) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SourceTargetArgs {
    fn augment_args(command: Command) -> Command {
        SourceTargetWords::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        SourceTargetWords::augment_args_for_update(command)
    }
}

/// What a v2 store is.
pub struct V2Store;

impl PlaceKind for V2Store {
    const VALUE_NAME: &'static str = "STORE";
    const OPTION: &'static str = "store";
    const HELP: &'static str = "Directory of a v2 store, which contains objects/ and index.ndjson";
}

/// What the target of a migration is.
struct Target;

impl PlaceKind for Target {
    const VALUE_NAME: &'static str = "TARGET";
    const OPTION: &'static str = "target";
    const HELP: &'static str = "Path of the v2 store, as given to `haul cas migrate --target`";
}

/// The migration, by its target.
#[derive(Args)]
pub struct TargetArgs {
    #[command(flatten)]
    target: Place<Target>,
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

/// Values of `--verify`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadBackArg {
    /// The index
    Index,
    /// Every object as well
    Full,
}

impl From<ReadBackArg> for ReadBack {
    fn from(depth: ReadBackArg) -> Self {
        match depth {
            ReadBackArg::Index => Self::Index,
            ReadBackArg::Full => Self::Full,
        }
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
