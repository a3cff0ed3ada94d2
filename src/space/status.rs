//! Where a space stands, without changing or creating anything.

use std::sync::Arc;

use serde::Serialize;

use super::current_store::live_store;
use super::log::reader::Cursor;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::manifest::Manifest;
use super::store::names::{POINTER_TO_LOG, generation};
use crate::durable::{Disk, directory_bytes};
use crate::migration::{CheckpointFile, Error, JournalEntry, Stage, journal};
use crate::space::outcome::Counts;

const JOURNAL_ENTRIES_SHOWN: usize = 10;

/// Where a space stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The space directory.
    pub space: String,
    /// What readers take: `wal` or the name of a store; `None` if the pointer cannot be read.
    pub live: Option<String>,
    /// Why the pointer cannot be read.
    pub pointer_problem: Option<String>,
    /// The last run.
    pub run: Option<RunStatus>,
    /// Why the checkpoint of the last run cannot be read.
    pub checkpoint_problem: Option<String>,
    /// Who holds the lock.
    pub lock_holder: Option<String>,
    /// The stores that are there, oldest first.
    pub stores: Vec<StoreStatus>,
    /// Bytes of the store that is being made.
    pub staging_bytes: u64,
    /// The last changes of state, oldest first.
    pub journal: Vec<JournalEntry>,
    /// What to do next.
    pub next: String,
}

/// What the checkpoint says of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// Which run.
    pub run_id: String,
    /// How far it has come.
    pub stage: Stage,
    /// Its store.
    pub store: String,
    /// Records so far.
    pub records: u64,
    /// Number of the log file where it goes on.
    pub cursor_file: u32,
    /// Offset in it.
    pub cursor_offset: u64,
    /// Outcomes that are decided.
    pub counts: Counts,
    /// Findings under a policy `fail` so far.
    pub fatal_findings: u64,
    /// Its settings.
    pub settings: String,
}

/// A store beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreStatus {
    /// Its name.
    pub name: String,
    /// True if readers take it.
    pub live: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// Live nodes, if its manifest can be read.
    pub nodes: Option<u64>,
    /// Why its manifest cannot be read.
    pub problem: Option<String>,
}

impl From<RunState> for RunStatus {
    fn from(state: RunState) -> Self {
        let Cursor { file, offset, .. } = state.cursor;
        Self {
            run_id: state.run_id,
            stage: state.stage,
            store: state.store,
            records: state.records,
            cursor_file: file,
            cursor_offset: offset,
            counts: state.counts,
            fatal_findings: state.fatal_findings,
            settings: state.settings,
        }
    }
}

/// Looks at a space. What cannot be read is said and is no error; a directory that cannot be listed is one.
pub fn status(disk: Arc<dyn Disk>, paths: &SpacePaths) -> Result<Status, Error> {
    let run_directory = paths.run_directory();
    let (live, pointer_problem) = match live_store(&*disk, paths) {
        Ok(store) => (Some(store.unwrap_or_else(|| POINTER_TO_LOG.to_owned())), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let checkpoint = CheckpointFile::new(run_directory.path(), CHECKPOINT_KIND);
    let (run, checkpoint_problem) = match checkpoint.load::<RunState>(&*disk) {
        Ok(state) => (state.map(RunStatus::from), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut status = Status {
        space: paths.root().display().to_string(),
        stores: stores(&*disk, paths, live.as_deref())?,
        live,
        pointer_problem,
        run,
        checkpoint_problem,
        lock_holder: run_directory.lock_holder(),
        staging_bytes: directory_bytes(&*disk, &paths.staging())?,
        journal: journal::last(&*disk, run_directory.path(), JOURNAL_ENTRIES_SHOWN)?,
        next: String::new(),
    };
    status.next = status.next_step();
    Ok(status)
}

fn stores(disk: &dyn Disk, paths: &SpacePaths, live: Option<&str>) -> Result<Vec<StoreStatus>, Error> {
    let mut found = Vec::new();
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        let directory = paths.store(name);
        let (nodes, problem) = match Manifest::read(disk, &directory) {
            Ok(manifest) => (Some(manifest.nodes), None),
            Err(error) => (None, Some(error.to_string())),
        };
        found.push(StoreStatus {
            name: name.to_owned(),
            live: live == Some(name),
            bytes: directory_bytes(disk, &directory)?,
            nodes,
            problem,
        });
    }
    Ok(found)
}

impl Status {
    fn next_step(&self) -> String {
        if let Some(owner) = &self.lock_holder {
            return format!("wait for the run of {owner}");
        }
        if self.pointer_problem.is_some() {
            return "put the name of the store to read, or `wal`, into CURRENT".into();
        }
        if self.checkpoint_problem.is_some() {
            return "start over with `haul space migrate --restart`; the log is untouched".into();
        }
        let live = self.live.as_deref();
        match &self.run {
            None if live == Some(POINTER_TO_LOG) => "run `haul space migrate`".into(),
            None => "nothing: the store is live; `haul space rollback` goes back to the log".into(),
            Some(run) => self.next_step_of(run),
        }
    }

    fn next_step_of(&self, run: &RunStatus) -> String {
        let is_live = self.live.as_deref() == Some(run.store.as_str());
        match run.stage {
            Stage::Running | Stage::Moved => "run `haul space migrate` to resume".into(),
            _ if is_live => "nothing: the store is live; `haul space rollback` goes back to the log".into(),
            Stage::Sealed | Stage::Verified => "run `haul space publish`".into(),
            Stage::Published | Stage::RolledBack => {
                "the log is live: `haul space publish` takes the store again, `haul space clean` removes it".into()
            }
        }
    }
}
