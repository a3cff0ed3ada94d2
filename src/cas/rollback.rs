//! Rolls back a published run, after a check that its source is unchanged.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::migrate::object_log::LoggedObjects;
use super::migrate::plan::planned_source;
use super::migrate::publish::has_begun;
use super::migrate::publish::unpublish::{LeftInPlace, TargetState, Unpublish};
use super::migrate::rehash_source::{SourceDigest, rehash_source};
use super::options::{MigrateOptions, Placement};
use super::outcome::{Outcome, RefusalReason};
use super::paths::TargetPaths;
use super::source::SourceRoot;
use super::source::inventory::InventoryBuilder;
use super::source::left_out::LeftOut;
use super::source::walk::{OtherName, walk_except};
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, create_directory_durable, is_source_directory, remove_tree, synced_by_file_if_needed};
use crate::migration::{Error, Findings, LockedRun, Stage, journal};
use crate::pipeline::Control;

/// The journal's name for a rollback.
const EVENT: &str = "rolled-back";
/// The number of journal entries that are searched for an earlier rollback.
const ENTRIES_SEARCHED: usize = 100;

/// How a rollback ended without an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackEnd {
    /// How the store had taken its place.
    pub placement: Placement,
    /// True if the run was rolled back before this call.
    pub already_rolled_back: bool,
    /// Objects of the source that were read and are unchanged.
    pub source_objects: u64,
    /// Bytes of these objects.
    pub source_bytes: u64,
    /// Files of a merge that could not be removed.
    pub left: LeftInPlace,
    /// True if the rollback was asked to stop. Then it changed nothing.
    pub stopped: bool,
}

/// What a rollback is asked to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct RollbackRequest<'a> {
    /// Whether to roll back even if the target was changed since.
    pub force: bool,
    /// Where the source is, if it was moved since or its plan is lost.
    pub source: Option<&'a Path>,
}

/// Removes what the run at `paths` has published, and restores what was there before. Changes nothing if the source is
/// not what was migrated or, unless that is forced, if the target is not what was published. Can be called again after
/// it has succeeded or crashed.
///
/// # Errors
/// [`Error::Usage`] if nothing was published, what was there before is gone, or the target has changed;
/// [`Error::Verification`] if the source is gone or is not what was migrated; [`Error::State`] if the checkpoint
/// cannot be read.
pub fn rollback(
    disk: Arc<dyn Disk>,
    paths: &TargetPaths,
    options: &MigrateOptions,
    request: &RollbackRequest<'_>,
    control: &Control<'_>,
) -> Result<RollbackEnd, Error> {
    let disk = synced_by_file_if_needed(disk, paths.run_directory().path())?;
    let held = LockedRun::open(&disk, &paths.run_directory(), CHECKPOINT_KIND)?.ok_or_else(|| nothing(paths))?;
    let disk = held.disk.clone();
    let state = held.checkpoint.load::<RunState>(&*disk)?.ok_or_else(|| nothing(paths))?;
    let file_system = disk.file_system(paths.run_directory().path())?;
    let unpublish = Unpublish { disk: &*disk, paths, state: &state, file_system: &*file_system, stop: control.stop };
    Rollback { disk: &disk, held: &held, unpublish, options, request, control }.run()
}

/// A rollback that has the lock.
struct Rollback<'a> {
    disk: &'a Arc<dyn Disk>,
    held: &'a LockedRun,
    unpublish: Unpublish<'a>,
    options: &'a MigrateOptions,
    request: &'a RollbackRequest<'a>,
    control: &'a Control<'a>,
}

impl Rollback<'_> {
    /// Rolls back. A stop may come within each step, and the next attempt goes on from what that one left.
    fn run(&self) -> Result<RollbackEnd, Error> {
        let chain = self.unpublish.state.progress.source_chain;
        let nothing_read = SourceDigest { objects: 0, bytes: 0, chain };
        match self.attempt(&nothing_read) {
            Err(Error::Stopped { .. }) => Ok(self.end(&nothing_read, false, true)),
            end => end,
        }
    }

    fn attempt(&self, nothing_read: &SourceDigest) -> Result<RollbackEnd, Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        let placement = state.rules.placement;
        if state.stage == Stage::RolledBack {
            self.settle(nothing_read)?;
            return Ok(self.end(nothing_read, true, false));
        }
        if state.stage != Stage::Published {
            if !has_begun(&**self.disk, paths, state, self.control.stop)? {
                return Err(nothing(paths));
            }
            // The exchange was made, but the run crashed before its checkpoint said so.
            if placement == Placement::Replace {
                self.unpublish.swap().finish()?;
            }
        }
        self.unpublish.check_possible()?;
        self.check_target()?;
        let Some(proof) = self.rehash_source()? else { return Ok(self.end(nothing_read, false, true)) };
        let left = self.unpublish.make()?;
        self.held.checkpoint.store(&**self.disk, &RunState { stage: Stage::RolledBack, ..state.clone() })?;
        self.settle(&proof)?;
        Ok(RollbackEnd { left, ..self.end(&proof, false, false) })
    }

    fn check_target(&self) -> Result<(), Error> {
        let state = self.unpublish.target_state()?;
        if self.request.force {
            return Ok(());
        }
        if state == TargetState::Unpublished && self.is_moved()? {
            return Err(Error::Usage {
                what: format!(
                    "the store is not at {}: it was moved, renamed or removed since it was published",
                    self.unpublish.paths.target().display()
                ),
                next: "move it back, or add --force to call the run rolled back".into(),
            });
        }
        if state != TargetState::Changed {
            return Ok(());
        }
        Err(Error::Usage {
            what: format!(
                "{} is not what the run published: it was changed afterwards",
                self.unpublish.paths.target().display()
            ),
            next: "save what was added since, then add --force".into(),
        })
    }

    /// Returns true if a new store is neither where it was published nor where a rollback puts it.
    fn is_moved(&self) -> Result<bool, Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        let is_absent = |path: &Path| Ok::<_, Error>(self.disk.kind(path)?.is_none());
        Ok(state.rules.placement == Placement::New && is_absent(paths.target())? && is_absent(&paths.withdrawn())?)
    }

    /// Reads the source and returns its digest if it is what was migrated. `Ok(None)`: stopped.
    fn rehash_source(&self) -> Result<Option<SourceDigest>, Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        let source = match self.request.source {
            Some(source) => source.to_path_buf(),
            None => planned_source(&**self.disk, &paths.run_directory(), &state.plan_digest)?,
        };
        let scratch = paths.scratch();
        let proof = self.read_source(&source, &scratch);
        remove_tree(&**self.disk, &scratch)?;
        let Some(proof) = proof? else { return Ok(None) };
        if (proof.chain, proof.objects) == (state.progress.source_chain, state.progress.objects) {
            return Ok(Some(proof));
        }
        Err(not_what_was_migrated(
            &source,
            &match proof.objects {
                objects if objects == state.progress.objects => {
                    "the bytes or the names of its objects differ".to_owned()
                }
                objects => format!("it had {} objects and has {objects}", state.progress.objects),
            },
        ))
    }

    fn read_source(&self, source: &Path, scratch: &Path) -> Result<Option<SourceDigest>, Error> {
        if !is_source_directory(source)? {
            return Err(not_what_was_migrated(source, "it is missing"));
        }
        let root = SourceRoot::open(source)?;
        let left_out = self.left_out(&root)?;
        remove_tree(&**self.disk, scratch)?;
        let sort_directory = scratch.join("inventory");
        create_directory_durable(&**self.disk, &sort_directory)?;
        let builder = InventoryBuilder::new(self.disk.clone(), sort_directory, self.options.sort_memory_bytes());
        let builder = builder.stopped_by(self.control.stop);
        // What cannot be read now, and could then, may be whole.
        let on_other = |other: OtherName| match other.outcome {
            Outcome::Refused(RefusalReason::Unreadable) if !left_out.has_name(&other.finding, &root) => {
                Err(unreadable(other.finding.reason))
            }
            _ => Ok(()),
        };
        let workers = self.options.run.parallel_workers.get();
        let Some(walked) = walk_except(&root, &left_out, builder, workers, self.control, on_other)? else {
            return Ok(None);
        };
        match rehash_source(&root, &left_out, self.logged()?, walked, self.options, self.control) {
            Err(Error::SourceChanged { path, what }) => Err(not_what_was_migrated(&path, &what)),
            proof => proof,
        }
    }

    /// Returns the outcomes of the run's objects, if it has not read some of them again.
    fn logged(&self) -> Result<Option<LoggedObjects>, Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        let is_needed = state.progress.more.not_read_again > 0;
        let open = || LoggedObjects::open(&**self.disk, &paths.object_log(), state.progress.objects);
        is_needed.then(open).transpose()
    }

    /// Returns what the run could not read, as its findings name it.
    fn left_out(&self, root: &SourceRoot) -> Result<LeftOut, Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        if state.counts.refused_unreadable + state.counts.refused_changed == 0 {
            return Ok(LeftOut::default());
        }
        let findings = Findings::new(paths.run_directory().findings_path(), state.findings_bytes);
        LeftOut::of_findings(&**self.disk, &findings, root)
    }

    /// Completes the journal and removes leftovers, after the checkpoint says that the run is rolled back.
    fn settle(&self, proof: &SourceDigest) -> Result<(), Error> {
        let Unpublish { paths, state, .. } = self.unpublish;
        // The attempt that stored the checkpoint may have crashed before the file was durable.
        self.disk.sync_directory(paths.run_directory().path())?;
        let entries = journal::last(&**self.disk, paths.run_directory().path(), ENTRIES_SEARCHED)?;
        if !entries.iter().any(|entry| entry.event == EVENT && entry.run_id == state.run_id) {
            let detail = json!({
                "placement": state.rules.placement,
                "source_objects": proof.objects,
                "source_bytes": proof.bytes,
                "forced": self.request.force,
            });
            self.held.note(Some(&state.run_id), EVENT, detail)?;
        }
        self.unpublish.discard()
    }

    fn end(&self, proof: &SourceDigest, already_rolled_back: bool, stopped: bool) -> RollbackEnd {
        RollbackEnd {
            placement: self.unpublish.state.rules.placement,
            already_rolled_back,
            source_objects: proof.objects,
            source_bytes: proof.bytes,
            left: LeftInPlace::default(),
            stopped,
        }
    }
}

fn unreadable(what: String) -> Error {
    Error::Usage { what, next: "give this user access to that path, then run the same command again".into() }
}

fn nothing(paths: &TargetPaths) -> Error {
    Error::Usage {
        what: format!("no migration to {} was published", paths.target().display()),
        next: "give the target of a migration; `haul cas status` shows where it stands".into(),
    }
}

fn not_what_was_migrated(path: &Path, why: &str) -> Error {
    Error::Verification {
        what: format!("{} is not what was migrated: {why}; nothing was changed", path.display()),
        next: "find out why the source changed before you choose which store to use".into(),
        source: None,
    }
}
