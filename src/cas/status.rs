//! The state of a target and of its last run. Nothing is changed or created.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::algorithm_counts::AlgorithmCounts;
use super::map::{earlier_maps, reverse_path};
use super::migrate::plan::planned_source;
use super::migrate::publish::is_live;
use super::options::CasRules;
use super::outcome::Counts;
use super::paths::{INDEX_NAME, TargetPaths};
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, EntryKind};
use crate::migration::plan::escape_name;
use crate::migration::{Error, RunStanding, Stage, serialize_path};
use crate::pipeline::StopToken;

/// The state of a target.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The path of the target.
    pub target: String,
    /// What is at this path.
    pub holds: Holds,
    /// True if the target has the index that the run has sealed. `None` if the run has sealed none, or if the index
    /// cannot be read.
    pub is_as_sealed: Option<bool>,
    /// Why the index cannot be read.
    pub target_problem: Option<String>,
    /// The state of the last run.
    #[serde(flatten)]
    pub state: State,
    /// The files and directories of migrations next to the target.
    pub kept: Vec<Kept>,
    /// What to do next.
    pub next: String,
}

/// What is at the path of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// An empty directory.
    EmptyDirectory,
    /// A directory with an index: a v2 store, or something that looks like one.
    Store,
    /// A directory without an index.
    Directory,
    /// A file, a symbolic link or a device.
    NoDirectory,
}

/// The state of the last run of an object store.
pub type State = RunStanding<CasRules, Counts, RunDetails>;

/// The details in the checkpoint of an object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// The source, if the plan can be read.
    pub source: Option<String>,
    /// Objects that were handled.
    pub objects: u64,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of the blobs that the target takes.
    pub stored_bytes: u64,
}

/// A file or directory of a migration next to the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its path.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// A description for people.
    pub what: &'static str,
    /// Its length if it is a file.
    pub bytes: Option<u64>,
}

/// Fails if there is neither a target nor a run to it.
pub fn check_known(disk: &dyn Disk, paths: &TargetPaths) -> Result<(), Error> {
    if disk.kind(paths.target())?.is_some() || disk.kind(paths.run_directory().path())?.is_some() {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("there is neither a store nor a migration at {}", paths.target().display()),
        next: "give the path of a store, or the target of a migration".into(),
    })
}

/// Reads the state of a target. A part that cannot be read is reported in the result and is not an error.
///
/// # Errors
/// That of [`check_known`].
pub fn status(disk: Arc<dyn Disk>, paths: &TargetPaths) -> Result<Status, Error> {
    let disk = &*disk;
    check_known(disk, paths)?;
    let run_directory = paths.run_directory();
    let holds = holds(disk, paths.target())?;
    let mut is_live_now = None;
    let state = RunStanding::read(disk, &run_directory, CHECKPOINT_KIND, |state: &RunState| {
        is_live_now = state.progress.index.map(|_| is_live(disk, paths, state, &StopToken::new()));
        details(disk, paths, state)
    })?;
    let (is_as_sealed, target_problem) = match is_live_now.transpose() {
        Ok(is_live) => (is_live, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut status = Status {
        target: paths.target().display().to_string(),
        holds,
        is_as_sealed,
        target_problem,
        state,
        kept: kept(disk, paths)?,
        next: String::new(),
    };
    status.next = status.next_step();
    Ok(status)
}

fn details(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> RunDetails {
    let progress = &state.progress;
    let source = planned_source(disk, &paths.run_directory(), &state.plan_digest).ok();
    RunDetails {
        source: source.map(|source| escape_name(source.as_os_str())),
        objects: progress.objects,
        generations: progress.generations.into(),
        source_bytes: progress.source_bytes,
        stored_bytes: progress.stored_bytes,
    }
}

fn holds(disk: &dyn Disk, target: &Path) -> Result<Holds, Error> {
    Ok(match disk.kind(target)? {
        None => Holds::Nothing,
        Some(EntryKind::File | EntryKind::Other) => Holds::NoDirectory,
        Some(EntryKind::Directory) if disk.kind(&target.join(INDEX_NAME))?.is_some() => Holds::Store,
        Some(EntryKind::Directory) if disk.list(target)?.is_empty() => Holds::EmptyDirectory,
        Some(EntryKind::Directory) => Holds::Directory,
    })
}

/// Lists the files and directories next to the target. Stores are not measured, because they may have millions of
/// files.
fn kept(disk: &dyn Disk, paths: &TargetPaths) -> Result<Vec<Kept>, Error> {
    let parts = [
        (paths.map(), "the map from old keys to new ones"),
        (reverse_path(&paths.map()), "the index of the map by new keys"),
        (paths.staging(), "the staged store"),
        (paths.replaced(), "the store that was replaced"),
        (paths.withdrawn(), "the store that a rollback removed"),
        (paths.object_log(), "the log of migrated objects"),
        (paths.index_before(), "the index from before the merge"),
        (paths.incoming(), "blobs in transfer"),
        (paths.scratch(), "scratch files"),
        (paths.verification(), "the resume point of a verification"),
    ];
    let earlier = earlier_maps(disk, &paths.map())?.into_iter().map(|path| (path, "the map of an earlier migration"));
    let mut found = Vec::new();
    for (path, what) in parts.into_iter().chain(earlier) {
        let bytes = match disk.kind(&path)? {
            None => continue,
            Some(EntryKind::File) => Some(disk.open_for_read(&path)?.len()?),
            Some(EntryKind::Directory | EntryKind::Other) => None,
        };
        found.push(Kept { path, what, bytes });
    }
    Ok(found)
}

impl Status {
    fn next_step(&self) -> String {
        if let Some(next) = self.state.next_step() {
            return next;
        }
        let text = match (self.state.run.as_ref().map(|run| run.stage), self.holds, self.is_as_sealed) {
            (None, Holds::Store, _) => "nothing: there is a store, and no migration to it",
            (None, ..) => "run `haul cas migrate`",
            (Some(Stage::Published), _, Some(true)) => {
                "nothing: the store is published; `haul cas rollback` restores what was there before"
            }
            (Some(Stage::Published), Holds::Nothing, _) => {
                "the store is missing from the target: `haul cas migrate --restart` builds it again"
            }
            (Some(Stage::Published), ..) => "nothing: the store is published, and was changed afterwards",
            (Some(Stage::RolledBack), ..) => "run `haul cas migrate --restart` to migrate again",
            (Some(_), ..) => "run the same `haul cas migrate` again to continue",
        };
        text.into()
    }
}
