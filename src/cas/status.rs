//! Where a target stands, without changing or creating anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::map::{earlier_maps, reverse_path};
use super::migrate::plan::planned_source;
use super::migrate::publish::is_live;
use super::migrate::{AlgorithmCounts, placement_of};
use super::options::Placement;
use super::outcome::Counts;
use super::paths::{INDEX_NAME, TargetPaths};
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, EntryKind};
use crate::migration::plan::escape_name;
use crate::migration::{CheckpointFile, Error, JournalEntry, Stage, journal, serialize_path};

const JOURNAL_ENTRIES_SHOWN: usize = 10;

/// Where a target stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The target.
    pub target: String,
    /// What stands there.
    pub holds: Holds,
    /// True if it has the index that the run has sealed; `None` if the run has sealed none, or it cannot be told.
    pub is_as_sealed: Option<bool>,
    /// Why it cannot be told.
    pub target_problem: Option<String>,
    /// The last run.
    pub run: Option<RunStatus>,
    /// Why the checkpoint of the last run, or the settings in it, cannot be read.
    pub checkpoint_problem: Option<String>,
    /// How long ago it was written.
    pub checkpoint_age_ms: Option<u64>,
    /// Who holds the lock.
    pub lock_holder: Option<String>,
    /// What lies beside the target.
    pub kept: Vec<Kept>,
    /// The last changes of state, oldest first.
    pub journal: Vec<JournalEntry>,
    /// What to do next.
    pub next: String,
}

/// What stands at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// An empty directory.
    EmptyDirectory,
    /// A directory with an index: a v2 store, or what looks like one.
    Store,
    /// A directory without an index.
    Directory,
    /// A file, a link or a device.
    NoDirectory,
}

/// What the checkpoint says of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// Which run.
    pub run_id: String,
    /// How far it has come.
    pub stage: Stage,
    /// The source, if the plan can be read.
    pub source: Option<String>,
    /// What it does to what stands at the target; `None` if its settings are not understood.
    pub placement: Option<Placement>,
    /// Everything found so far: objects, and names that are none.
    pub records: u64,
    /// Objects gone through.
    pub objects: u64,
    /// Outcomes of everything found so far.
    pub counts: Counts,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of blobs that the target takes.
    pub stored_bytes: u64,
    /// When what was written was made durable.
    pub durability: String,
    /// Its settings.
    pub settings: String,
}

/// Something that lies beside the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Where.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// What it is, for people.
    pub what: &'static str,
    /// Its length, if it is a file.
    pub bytes: Option<u64>,
}

/// Looks at a target. What cannot be read is said and is no error.
///
/// # Errors
/// [`Error::Usage`] if there is neither a target nor a run to it.
pub fn status(disk: Arc<dyn Disk>, paths: &TargetPaths) -> Result<Status, Error> {
    let disk = &*disk;
    let run_directory = paths.run_directory();
    let holds = holds(disk, paths.target())?;
    if holds == Holds::Nothing && disk.kind(run_directory.path())?.is_none() {
        return Err(Error::Usage {
            what: format!("there is neither a store nor a migration at {}", paths.target().display()),
            next: "give the path of a store, or the target of a migration".into(),
        });
    }
    let checkpoint = CheckpointFile::new(run_directory.path(), CHECKPOINT_KIND);
    let (state, mut checkpoint_problem) = match checkpoint.load::<RunState>(disk) {
        Ok(state) => (state, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let placement = state.as_ref().and_then(|state| match placement_of(&checkpoint, state) {
        Ok(placement) => Some(placement),
        Err(error) => {
            checkpoint_problem = Some(error.to_string());
            None
        }
    });
    let (is_as_sealed, target_problem) = match state.as_ref().filter(|state| state.index.is_some()) {
        None => (None, None),
        Some(state) => match is_live(disk, paths, state) {
            Ok(is_live) => (Some(is_live), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let mut status = Status {
        target: paths.target().display().to_string(),
        holds,
        is_as_sealed,
        target_problem,
        run: state.map(|state| RunStatus::new(disk, paths, state, placement)),
        checkpoint_problem,
        checkpoint_age_ms: age_ms(&run_directory.checkpoint_path()),
        lock_holder: run_directory.lock_holder(),
        kept: kept(disk, paths)?,
        journal: journal::last(disk, run_directory.path(), JOURNAL_ENTRIES_SHOWN)?,
        next: String::new(),
    };
    status.next = status.next_step();
    Ok(status)
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

fn age_ms(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    u64::try_from(SystemTime::now().duration_since(modified).ok()?.as_millis()).ok()
}

/// What lies beside the target, stores unmeasured: they may have millions of files.
fn kept(disk: &dyn Disk, paths: &TargetPaths) -> Result<Vec<Kept>, Error> {
    let parts = [
        (paths.map(), "the map from old keys to new ones"),
        (reverse_path(&paths.map()), "the index that leads back through it"),
        (paths.staging(), "the store that is being made"),
        (paths.replaced(), "the store that was replaced"),
        (paths.withdrawn(), "the store that a rollback took away"),
        (paths.moved(), "the log of what was moved"),
        (paths.index_before(), "the index from before the merge"),
        (paths.incoming(), "blobs on their way"),
        (paths.scratch(), "scratch files"),
        (paths.verification(), "the place of a verification"),
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

impl RunStatus {
    fn new(disk: &dyn Disk, paths: &TargetPaths, state: RunState, placement: Option<Placement>) -> Self {
        let source = planned_source(disk, &paths.run_directory(), &state.plan_digest).ok();
        Self {
            stage: state.stage,
            source: source.map(|source| escape_name(source.as_os_str())),
            placement,
            records: state.records,
            objects: state.objects,
            counts: state.counts,
            generations: state.generations.into(),
            source_bytes: state.source_bytes,
            stored_bytes: state.stored_bytes,
            run_id: state.run_id,
            durability: state.durability,
            settings: state.settings,
        }
    }
}

impl Status {
    fn next_step(&self) -> String {
        if let Some(owner) = &self.lock_holder {
            return format!("wait for the run of {owner}");
        }
        if self.checkpoint_problem.is_some() {
            return match self.run {
                Some(_) => Error::NEXT_FOR_SETTINGS.into(),
                None => "start over with `haul cas migrate --restart`; the source is untouched".into(),
            };
        }
        let text = match (self.run.as_ref().map(|run| run.stage), self.holds, self.is_as_sealed) {
            (None, Holds::Store, _) => "nothing: there is a store, and no migration to it",
            (None, ..) => "run `haul cas migrate`",
            (Some(Stage::Published), _, Some(true)) => {
                "nothing: the store is published; `haul cas rollback` takes it back"
            }
            (Some(Stage::Published), Holds::Nothing, _) => {
                "the store is gone from the target: `haul cas migrate --restart` makes it again"
            }
            (Some(Stage::Published), ..) => "nothing: the store is published, and was written to since",
            (Some(Stage::RolledBack), ..) => "run `haul cas migrate --restart` to migrate again",
            (Some(_), ..) => "run the same `haul cas migrate` again to go on",
        };
        text.into()
    }
}
