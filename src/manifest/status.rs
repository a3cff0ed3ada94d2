//! Where a tree stands: its last run, and who is at it now.

use std::path::Path;

use serde::Serialize;

use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, RunState};
use super::outcome::Counts;
use crate::durable::Disk;
use crate::migration::{CheckpointFile, Error, JournalEntry, Stage, journal};

/// Entries of the journal that are shown.
const JOURNAL_SHOWN: usize = 5;

/// Where a tree stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The last run; `None` if there was none, or its checkpoint cannot be read.
    pub run: Option<LastRun>,
    /// Why the checkpoint of the last run cannot be read.
    pub checkpoint_problem: Option<String>,
    /// Who holds the lock now.
    pub lock_holder: Option<String>,
    /// The end of the journal, oldest first.
    pub journal: Vec<JournalEntry>,
    /// What to do next.
    pub next: String,
}

/// The last run of a tree, as of its last checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct LastRun {
    /// Which.
    pub run_id: String,
    /// True if it came to its end.
    pub is_finished: bool,
    /// The version that files are taken to.
    pub target_version: String,
    /// The instant of its history records.
    pub now: String,
    /// Its settings.
    pub settings: String,
    /// When what was written was made durable.
    pub durability: String,
    /// Everything found so far.
    pub records: u64,
    /// Outcomes of all of it.
    pub counts: Counts,
}

/// Reads the state of the tree at `root`. Writes nothing. A checkpoint that cannot be read is shown and is no error.
pub fn status(disk: &dyn Disk, root: &Path) -> Result<Status, Error> {
    let directory = run_directory(root);
    let (state, checkpoint_problem) =
        match CheckpointFile::new(directory.path(), CHECKPOINT_KIND).load::<RunState>(disk) {
            Ok(state) => (state, None),
            Err(error) => (None, Some(error.to_string())),
        };
    let run = state.map(|state| LastRun {
        is_finished: state.stage != Stage::Running,
        now: state.now().to_string(),
        run_id: state.run_id,
        target_version: state.target,
        settings: state.settings,
        durability: state.durability,
        records: state.records,
        counts: state.counts,
    });
    let journal = journal::last(disk, directory.path(), JOURNAL_SHOWN)?;
    let lock_holder = directory.lock_holder();
    let mut status = Status { run, checkpoint_problem, lock_holder, journal, next: String::new() };
    status.next = status.next_step();
    Ok(status)
}

impl Status {
    fn next_step(&self) -> String {
        if let Some(owner) = &self.lock_holder {
            return format!("wait for the run of {owner}");
        }
        let text = match (&self.checkpoint_problem, &self.run) {
            (Some(_), _) => {
                "start over with `haul manifest migrate --restart`; files that were replaced stay so, and the ledger names \
                 their backups"
            }
            (None, None) => "run `haul manifest migrate`",
            (None, Some(run)) if run.is_finished => "nothing: the run is finished; `haul manifest rollback` undoes it",
            (None, Some(_)) => "run the same `haul manifest migrate` again to go on",
        };
        text.into()
    }
}
