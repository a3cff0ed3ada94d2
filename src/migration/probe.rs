//! What a kind of store supplies so that a migration is measured on a part of its records before it begins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::lifecycle::Places;
use super::{Error, RunDirectory};
use crate::pipeline::Control;

/// An amount of records of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Records.
    pub records: u64,
    /// Their bytes in the source.
    pub source_bytes: u64,
    /// Their bytes, with more for each record: as many as can be migrated in the time that a record without bytes takes.
    /// The time of a migration grows with it, whether records are small or large.
    pub cost_bytes: u64,
}

/// Records that were drawn at random.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Drawn {
    /// How many.
    pub amount: Amount,
    /// Those of them that a run would refuse; 0 where that was not looked at.
    pub refused: u64,
    /// How long it took one thread to read them, and to convert them if that was asked for.
    #[serde(skip)]
    pub took: Duration,
    /// Which part of their bytes was in the page cache before, from 0 to 1; `None` if that is not known.
    pub cached_share: Option<f64>,
}

/// What a migration needs on the file system of its target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Needs {
    /// A directory of that file system which exists.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Bytes that it takes at most, in whole blocks of files and directories.
    pub space_bytes: u64,
    /// Bytes that it takes after `clean`.
    pub space_after_clean_bytes: u64,
    /// Files and directories that it takes at most.
    pub inodes: u64,
}

/// A migration that can be measured on a part of its records.
pub trait Probe {
    /// Returns everything that the migration goes through.
    fn whole(&self) -> Amount;

    /// Returns what it needs.
    fn needs(&self) -> Result<Needs, Error>;

    /// Returns where its records come from and where they go.
    fn places(&self) -> Places;

    /// Returns where its state is kept.
    fn run_directory(&self) -> RunDirectory;

    /// Returns the directory that samples are made in: a name next to the target that `clean` knows for an estimate's.
    fn scratch(&self) -> PathBuf;

    /// Reads and converts about `records` records that `seed` draws at random from the whole source. Writes nothing.
    fn read(&self, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error>;

    /// Copies about `records` records that `seed` draws at random from the whole source into `scratch`, an empty directory, as a
    /// store that [`run`](Self::run) migrates. The same seed draws the same records.
    fn sample(&self, scratch: &Path, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error>;

    /// Migrates what [`sample`](Self::sample) has put into `scratch` to a target in there: as the run would, with its reader,
    /// workers, budget, depth of verification and syncs, but without its limit, and with a checkpoint at least every
    /// `commit_records` records.
    fn run(&self, scratch: &Path, commit_records: u64, control: &Control<'_>) -> Result<(), Error>;
}
