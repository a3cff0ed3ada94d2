//! Where a space stands, without changing or creating anything.

use std::sync::Arc;

use serde::Serialize;

use super::current_store::live_store;
use super::only_copy::{OnlyCopy, only_copy};
use super::options::SpaceRules;
use super::outcome::Counts;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, Progress, RunState};
use super::store::names::{POINTER_TO_LOG, generation};
use super::store::whole::{check_files, foreign_part};
use crate::durable::{Disk, directory_bytes};
use crate::migration::units::count_text;
use crate::migration::{Error, RunStanding, Stage};

/// Where a space stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The space directory.
    pub space: String,
    /// What readers take: `wal` or the name of a store; `None` if the pointer cannot be read.
    pub live: Option<String>,
    /// Why the pointer cannot be read or leads nowhere, or what the log that it names has lost.
    pub pointer_problem: Option<String>,
    #[serde(skip)]
    pointer_remedy: Option<String>,
    /// The stores that are there, oldest first.
    pub stores: Vec<StoreStatus>,
    /// Bytes of the store that is being made.
    pub staging_bytes: u64,
    /// Where the last run stands.
    #[serde(flatten)]
    pub state: State,
    /// What to do next.
    pub next: String,
}

/// Where the last run of a space stands.
pub type State = RunStanding<SpaceRules, Counts, RunDetails>;

/// What only the checkpoint of a space tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// Name of its store.
    pub store: String,
    /// Number of the log file from which it continues.
    pub cursor_file: u32,
    /// Offset in it.
    pub cursor_offset: u64,
    /// Findings under a policy `fail` so far.
    pub fatal_findings: u64,
}

/// A store next to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreStatus {
    /// Its name.
    pub name: String,
    /// True if readers take it.
    pub live: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// Live nodes, if its manifest can be read and all of its files are there.
    pub nodes: Option<u64>,
    /// What is wrong with it: a file that is missing, or one that is not of a store.
    pub problem: Option<String>,
}

/// Looks at a space. What cannot be read is said and is no error; a directory that cannot be listed is one.
pub fn status(disk: Arc<dyn Disk>, paths: &SpacePaths) -> Result<Status, Error> {
    let (live, pointer_error) = match live_store(&*disk, paths) {
        Ok(store) => (Some(store.unwrap_or_else(|| POINTER_TO_LOG.to_owned())), None),
        Err(error) => (None, Some(error)),
    };
    // Readers of an empty log find nothing, and no error.
    let lost = if pointer_error.is_none() && live.as_deref() == Some(POINTER_TO_LOG) {
        only_copy(&*disk, paths)?
    } else {
        None
    };
    let mut status = Status {
        space: paths.root().display().to_string(),
        stores: stores(&*disk, paths, live.as_deref())?,
        live,
        pointer_problem: pointer_error.as_ref().map(Error::to_string).or(lost.as_ref().map(lost_text)),
        pointer_remedy: pointer_error.and_then(|error| error.next_step()).or(lost.as_ref().map(OnlyCopy::next)),
        staging_bytes: directory_bytes(&*disk, &paths.staging())?,
        state: RunStanding::read(&*disk, &paths.run_directory(), CHECKPOINT_KIND, details)?,
        next: String::new(),
    };
    status.next = status.next_step();
    Ok(status)
}

fn lost_text(lost: &OnlyCopy) -> String {
    format!("the log is live, but {}; {} holds {} nodes", lost.problem, lost.store, count_text(lost.nodes))
}

fn details(state: &RunState) -> RunDetails {
    let Progress { store, cursor, fatal_findings, .. } = &state.progress;
    RunDetails {
        store: store.to_string(),
        cursor_file: cursor.file,
        cursor_offset: cursor.offset,
        fatal_findings: *fatal_findings,
    }
}

fn stores(disk: &dyn Disk, paths: &SpacePaths, live: Option<&str>) -> Result<Vec<StoreStatus>, Error> {
    let mut found = Vec::new();
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        let directory = paths.store(name);
        let (nodes, problem) = match (check_files(disk, &directory), foreign_part(disk, &directory)?) {
            (Ok(manifest), why) => (Some(manifest.nodes), why.map(|why| format!("it {why}"))),
            (Err(error), _) => (None, Some(error.to_string())),
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
        // Readers come first: without the pointer they read nothing.
        if let Some(remedy) = &self.pointer_remedy {
            return remedy.clone();
        }
        if let Some(next) = self.state.next_step() {
            return next;
        }
        let live = self.live.as_deref();
        match &self.state.run {
            None if live == Some(POINTER_TO_LOG) => "run `haul space migrate`".into(),
            None => "nothing: the store is live; `haul space rollback` goes back to the log".into(),
            Some(run) => self.next_step_of(run.stage, &run.details.store),
        }
    }

    fn next_step_of(&self, stage: Stage, store: &str) -> String {
        let is_live = self.live.as_deref() == Some(store);
        let is_whole = self.stores.iter().any(|found| found.name == store && found.nodes.is_some());
        if stage >= Stage::Sealed && !is_whole {
            return format!("put {store} back from a copy, or run `haul space migrate --restart`");
        }
        match stage {
            Stage::Running | Stage::Moved => "run `haul space migrate` to resume".into(),
            _ if is_live => "nothing: the store is live; `haul space rollback` goes back to the log".into(),
            Stage::Sealed | Stage::Verified => "run `haul space publish`".into(),
            Stage::Published | Stage::RolledBack => {
                "the log is live: `haul space publish` takes the store again, `haul space clean` removes it".into()
            }
        }
    }
}
