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
    /// The last run; `None` if there was none.
    pub run: Option<LastRun>,
    /// Who holds the lock now.
    pub lock_holder: Option<String>,
    /// The end of the journal, oldest first.
    pub journal: Vec<JournalEntry>,
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

/// Reads the state of the tree at `root`. Writes nothing.
pub fn status(disk: &dyn Disk, root: &Path) -> Result<Status, Error> {
    let directory = run_directory(root);
    let state = CheckpointFile::new(directory.path(), CHECKPOINT_KIND).load::<RunState>(disk)?;
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
    Ok(Status { run, lock_holder: directory.lock_holder(), journal })
}
