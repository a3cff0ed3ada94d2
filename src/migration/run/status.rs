//! Where a run stands, as far as every store tells it in the same way. Reads only.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::state::{Durability, RunState};
use crate::durable::Disk;
use crate::migration::checkpoint::{CheckpointFile, Decode, Kind};
use crate::migration::stage::Stage;
use crate::migration::{Error, JournalEntry, RunDirectory, journal};

/// Entries of the journal that are shown.
const JOURNAL_ENTRIES_SHOWN: usize = 10;

/// What the checkpoint tells of the last run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStatus<R, C, D> {
    /// Id of the run.
    pub run_id: String,
    /// How far it has come.
    pub stage: Stage,
    /// Records read so far.
    pub records: u64,
    /// Outcomes that are decided.
    pub counts: C,
    /// Least that was done to make durable what is written so far.
    pub durability: Durability,
    /// What decides its result.
    pub rules: R,
    /// What only this kind of store tells.
    #[serde(flatten)]
    pub details: D,
}

/// Where a run stands: the part of a status that every store has.
#[derive(Debug, Clone, Serialize)]
pub struct RunStanding<R, C, D> {
    /// The last run; `None` if there was none, or its checkpoint cannot be read.
    pub run: Option<RunStatus<R, C, D>>,
    /// Why the checkpoint of the last run cannot be read.
    pub checkpoint_problem: Option<String>,
    /// How long ago the checkpoint was written.
    pub checkpoint_age_ms: Option<u64>,
    /// Who holds the lock.
    pub lock_holder: Option<String>,
    /// The last changes of state, oldest first.
    pub journal: Vec<JournalEntry>,
    /// What to do about the checkpoint.
    #[serde(skip)]
    remedy: Option<String>,
}

impl<R: Clone, C: Copy, D> RunStanding<R, C, D> {
    /// Reads where the run in this directory stands. A checkpoint that cannot be read is shown and is no error.
    /// `details` is what only this kind of store tells.
    pub fn read<P>(
        disk: &dyn Disk,
        directory: &RunDirectory,
        kind: Kind,
        details: impl FnOnce(&RunState<R, P, C>) -> D,
    ) -> Result<Self, Error>
    where
        RunState<R, P, C>: Decode<()>,
    {
        let checkpoint = CheckpointFile::new(directory.path(), kind);
        let (state, problem) = match checkpoint.load::<RunState<R, P, C>>(disk) {
            Ok(state) => (state, None),
            Err(error) => (None, Some(error)),
        };
        Ok(Self {
            run: state.map(|state| RunStatus {
                details: details(&state),
                run_id: state.run_id,
                stage: state.stage,
                records: state.records,
                counts: state.counts,
                durability: state.durability,
                rules: state.rules,
            }),
            checkpoint_problem: problem.as_ref().map(Error::to_string),
            checkpoint_age_ms: age_ms(&directory.checkpoint_path()),
            lock_holder: directory.lock_holder(),
            journal: journal::last(disk, directory.path(), JOURNAL_ENTRIES_SHOWN)?,
            remedy: problem.and_then(|error| error.next_step()),
        })
    }

    /// Returns what comes before anything else: to wait for another run, or to mend the checkpoint.
    pub fn next_step(&self) -> Option<String> {
        let wait = self.lock_holder.as_ref().map(|owner| format!("wait for the run of {owner}"));
        wait.or_else(|| self.remedy.clone())
    }
}

fn age_ms(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    u64::try_from(SystemTime::now().duration_since(modified).ok()?.as_millis()).ok()
}
