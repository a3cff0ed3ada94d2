//! Where a tree stands: its last run, and who holds the lock now.

use std::path::Path;

use serde::Serialize;

use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, RunState};
use super::outcome::Counts;
use super::run_options::ManifestRules;
use crate::durable::Disk;
use crate::migration::{Error, RunStanding, Stage};

/// Where a tree stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Where the last run stands.
    #[serde(flatten)]
    pub state: State,
    /// What to do next.
    pub next: String,
}

/// Where the last run of a tree stands.
pub type State = RunStanding<ManifestRules, Counts, RunDetails>;

/// What only the checkpoint of a tree tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// The instant of its history records.
    pub now: String,
}

/// Reads the state of the tree at `root`. Writes nothing. A checkpoint that cannot be read is shown and is no error.
pub fn status(disk: &dyn Disk, root: &Path) -> Result<Status, Error> {
    let details = |state: &RunState| RunDetails { now: state.progress.now().to_string() };
    let state = RunStanding::read(disk, &run_directory(root), CHECKPOINT_KIND, details)?;
    let next = next_step(&state);
    Ok(Status { state, next })
}

fn next_step(state: &State) -> String {
    if let Some(next) = state.next_step() {
        return next;
    }
    let text = match state.run.as_ref().map(|run| run.stage) {
        None => "run `haul manifest migrate`",
        Some(Stage::Published) => "nothing: the run is published; `haul manifest rollback` undoes it",
        Some(Stage::RolledBack) => "run `haul manifest migrate` to migrate again",
        Some(_) => "run the same `haul manifest migrate` again to continue",
    };
    text.into()
}
