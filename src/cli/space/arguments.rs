//! Arguments that the commands of a space share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::cli::arguments::{ResourceArgs, one_of};
use crate::durable::ReaderKind;
use crate::migration::{Error, RunOptions};
use crate::observe::Scope;
use crate::space::data_directory::spaces;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::policy::{
    Collisions, Corruption, Deletes, Duplicates, OutOfRange, Policies, TornTail, Undecodable, Updates,
};
use crate::space::verify::Depth;

/// The name of the records of a space.
pub const RECORDS_NOUN: &str = "nodes";

/// The space, by position or by name.
#[derive(Args)]
pub struct SpaceArgs {
    /// Name of the space, or path of its directory
    #[arg(value_name = "SPACE", required_unless_present = "named")]
    positional: Option<String>,
    /// Name of the space, or path of its directory
    #[arg(long = "space", id = "named", value_name = "SPACE", conflicts_with = "positional")]
    named: Option<String>,
    #[command(flatten)]
    data: DataArgs,
}

/// The space, by position or by name, or all spaces of the data directory.
#[derive(Args)]
pub struct SpacesArgs {
    /// Name of the space, or path of its directory
    #[arg(value_name = "SPACE", required_unless_present_any = ["named", "all"])]
    positional: Option<String>,
    /// Name of the space, or path of its directory
    #[arg(long = "space", id = "named", value_name = "SPACE", conflicts_with = "positional")]
    named: Option<String>,
    /// Every space of the data directory, one after the other; the trouble of one stops no other
    #[arg(long, conflicts_with_all = ["positional", "named"])]
    pub all: bool,
    #[command(flatten)]
    data: DataArgs,
}

/// The space, by name only, for commands with another positional argument.
#[derive(Args)]
pub struct NamedSpaceArgs {
    /// Name of the space, or path of its directory
    #[arg(long, value_name = "SPACE")]
    space: String,
    #[command(flatten)]
    data: DataArgs,
}

/// The directory of the spaces.
#[derive(Args)]
pub struct DataArgs {
    /// Directory of the spaces
    #[arg(long, value_name = "DIR", env = "ENGRAM_DATA_DIR", hide_env_values = true, default_value = DATA_DIR)]
    #[arg(value_parser = OsStringValueParser::new().map(data_dir))]
    pub data_dir: PathBuf,
}

/// The directory of the spaces, unless one is named.
const DATA_DIR: &str = "./engram-data";

/// An empty value is none: that is how files for containers leave a variable that nobody set.
fn data_dir(value: OsString) -> PathBuf {
    if value.is_empty() { DATA_DIR.into() } else { value.into() }
}

/// What is known about the engine.
#[derive(Args)]
pub struct EngineArgs {
    /// Go on although a process has files of the space open for writing: no engine writes memories to it
    #[arg(long)]
    pub engine_stopped: bool,
}

/// What is known about the log.
#[derive(Args)]
pub struct EmptyArgs {
    /// Accept a log without records, also where one is expected
    #[arg(long)]
    pub allow_empty: bool,
}

impl SpaceArgs {
    /// Finds the space.
    pub fn locate(&self) -> Result<SpacePaths, Error> {
        self.data.locate(self.named.as_deref().or(self.positional.as_deref()))
    }
}

impl SpacesArgs {
    /// Finds all spaces of the data directory.
    pub fn every(&self) -> Result<(&Path, Vec<SpacePaths>), Error> {
        Ok((&self.data.data_dir, spaces(&self.data.data_dir)?))
    }

    /// Finds the one space.
    pub fn locate(&self) -> Result<SpacePaths, Error> {
        self.data.locate(self.named.as_deref().or(self.positional.as_deref()))
    }
}

impl DataArgs {
    fn locate(&self, space: Option<&str>) -> Result<SpacePaths, Error> {
        SpacePaths::locate(space.unwrap_or_default(), &self.data_dir)
    }
}

impl NamedSpaceArgs {
    /// Finds the space.
    pub fn locate(&self) -> Result<SpacePaths, Error> {
        SpacePaths::locate(&self.space, &self.data.data_dir)
    }
}

/// The rules for damaged, ambiguous and lossy records. They decide the result.
#[derive(Args)]
#[command(next_help_heading = "Policies")]
pub struct PolicyArgs {
    /// Damaged bytes and records that fail their checksum
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Corruption>(Corruption::ALL))]
    corruption: Corruption,
    /// A last record that was cut short, or zeros after it
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<TornTail>(TornTail::ALL))]
    torn_tail: TornTail,
    /// Records that are whole but do not decode
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Undecodable>(Undecodable::ALL))]
    undecodable: Undecodable,
    /// Records with a value that Engram refuses
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<OutOfRange>(OutOfRange::ALL))]
    out_of_range: OutOfRange,
    /// Which record wins if an id was stored several times
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Duplicates>(Duplicates::ALL))]
    duplicates: Duplicates,
    /// Records of deletions
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Deletes>(Deletes::ALL))]
    deletes: Deletes,
    /// Records of updated memories
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Updates>(Updates::ALL))]
    updates: Updates,
    /// Different ids that map to the same node id
    #[arg(long, value_name = "RULE", default_value_t, value_parser = one_of::<Collisions>(Collisions::ALL))]
    collisions: Collisions,
}

impl PolicyArgs {
    /// Returns the rules.
    pub fn policies(&self) -> Policies {
        Policies {
            corruption: self.corruption,
            torn_tail: self.torn_tail,
            undecodable: self.undecodable,
            out_of_range: self.out_of_range,
            duplicates: self.duplicates,
            deletes: self.deletes,
            updates: self.updates,
            collisions: self.collisions,
        }
    }
}

/// How to read the log.
#[derive(Args)]
#[command(next_help_heading = "Tuning")]
pub struct ReaderArgs {
    /// How to read the source; auto maps files on local file systems
    #[arg(long, value_name = "HOW", default_value_t = ReaderKind::Auto, value_parser = one_of::<ReaderKind>(&["auto", "mmap", "pread"]))]
    pub reader: ReaderKind,
}

impl ReaderArgs {
    /// Returns the settings of a command whose rules are fixed or do not matter.
    pub fn options(&self, resources: &ResourceArgs) -> MigrateOptions {
        MigrateOptions { reader: self.reader, ..resource_options(resources) }
    }
}

/// Returns the settings of a command that takes the rules. The size of batches stays at its default.
pub fn options(policies: &PolicyArgs, resources: &ResourceArgs, reader: &ReaderArgs) -> MigrateOptions {
    MigrateOptions { policies: policies.policies(), ..reader.options(resources) }
}

/// Returns the settings of a command that has no options for the rules or the reader.
pub fn resource_options(resources: &ResourceArgs) -> MigrateOptions {
    let run = resources.applied_to(RunOptions::default());
    MigrateOptions { reader: ReaderKind::Auto, run, ..MigrateOptions::default() }
}

/// Values of `--verify`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadBack {
    Quick,
    Blocks,
    Full,
}

impl From<ReadBack> for Depth {
    fn from(depth: ReadBack) -> Self {
        match depth {
            ReadBack::Quick => Self::Quick,
            ReadBack::Blocks => Self::Blocks,
            ReadBack::Full => Self::Full,
        }
    }
}

/// Returns what the view of a run needs to know, if the size of the source is unknown.
pub fn scope(options: &MigrateOptions) -> Scope {
    Scope { budget_bytes: options.run.memory_budget_bytes, ..Scope::of(RECORDS_NOUN) }
}
