//! Rolls a published run back, after proving that its source is what was migrated.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::migrate::plan::planned_source;
use super::migrate::publish::has_begun;
use super::migrate::publish::unpublish::{Standing, Withdrawal};
use super::migrate::rehash_source::{Proof, prove};
use super::options::{MigrateOptions, Placement};
use super::paths::TargetPaths;
use super::source::SourceRoot;
use super::source::inventory::InventoryBuilder;
use super::source::walk::walk;
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, create_directory_durable, remove_tree};
use crate::migration::{Error, LockedRun, Stage, journal};
use crate::pipeline::Control;

/// The journal's name for a rollback.
const EVENT: &str = "rolled-back";
/// Entries of the journal in which a rollback that was made is looked for.
const ENTRIES_SEARCHED: usize = 100;

/// How a rollback ended without an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackEnd {
    /// How the target had been placed.
    pub placement: Placement,
    /// True if the run was rolled back already.
    pub already_rolled_back: bool,
    /// Objects of the source that were read and are what was migrated.
    pub source_objects: u64,
    /// Bytes of them.
    pub source_bytes: u64,
    /// True if it was asked to stop; then nothing is changed.
    pub stopped: bool,
}

/// Withdraws what the run at `paths` has published, and puts back what was there before. Changes nothing if the source
/// is not what was migrated or, unless `force` is given, the target not what was published. Runs any number of times, also
/// after a crash in itself.
///
/// # Errors
/// [`Error::Usage`] if nothing was published, what stood there before is gone, or the target has changed;
/// [`Error::Verification`] if the source is gone or is not what was migrated; [`Error::State`] if the checkpoint
/// cannot be read.
pub fn rollback(
    disk: Arc<dyn Disk>,
    paths: &TargetPaths,
    options: &MigrateOptions,
    force: bool,
    control: &Control<'_>,
) -> Result<RollbackEnd, Error> {
    let held = LockedRun::open(&disk, &paths.run_directory(), CHECKPOINT_KIND)?.ok_or_else(|| nothing(paths))?;
    let state = held.checkpoint.load::<RunState>(&*disk)?.ok_or_else(|| nothing(paths))?;
    let file_system = disk.file_system(paths.run_directory().path())?;
    let withdrawal = Withdrawal { disk: &*disk, paths, state: &state, file_system: &*file_system };
    Rollback { disk: &disk, held: &held, withdrawal, options, force, control }.run()
}

/// A rollback, under the lock.
struct Rollback<'a> {
    disk: &'a Arc<dyn Disk>,
    held: &'a LockedRun,
    withdrawal: Withdrawal<'a>,
    options: &'a MigrateOptions,
    force: bool,
    control: &'a Control<'a>,
}

impl Rollback<'_> {
    fn run(&self) -> Result<RollbackEnd, Error> {
        let Withdrawal { paths, state, .. } = self.withdrawal;
        let placement = state.rules.placement;
        let nothing_read = Proof { objects: 0, bytes: 0, chain: state.progress.source_chain };
        if state.stage == Stage::RolledBack {
            self.settle(&nothing_read)?;
            return Ok(self.end(&nothing_read, true, false));
        }
        if state.stage != Stage::Published {
            if !has_begun(&**self.disk, paths, state)? {
                return Err(nothing(paths));
            }
            // The exchange was made, and the run died before it could say so.
            if placement == Placement::Replace {
                self.withdrawal.exchange().settle()?;
            }
        }
        self.withdrawal.check_possible()?;
        self.check_target()?;
        let Some(proof) = self.prove()? else { return Ok(self.end(&nothing_read, false, true)) };
        self.withdrawal.make()?;
        self.held.checkpoint.store(&**self.disk, &RunState { stage: Stage::RolledBack, ..state.clone() })?;
        self.settle(&proof)?;
        Ok(self.end(&proof, false, false))
    }

    fn check_target(&self) -> Result<(), Error> {
        if self.force || self.withdrawal.standing()? != Standing::Changed {
            return Ok(());
        }
        Err(Error::Usage {
            what: format!(
                "{} is not what the run published: it was written to since",
                self.withdrawal.paths.target().display()
            ),
            next: "keep what was put there since, then add --force".into(),
        })
    }

    /// What the source is now, if that is what was migrated. `Ok(None)`: stopped.
    fn prove(&self) -> Result<Option<Proof>, Error> {
        let Withdrawal { paths, state, .. } = self.withdrawal;
        let source = planned_source(&**self.disk, &paths.run_directory(), &state.plan_digest)?;
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

    fn read_source(&self, source: &Path, scratch: &Path) -> Result<Option<Proof>, Error> {
        if !source.is_dir() {
            return Err(not_what_was_migrated(source, "it is gone"));
        }
        let root = SourceRoot::open(source)?;
        remove_tree(&**self.disk, scratch)?;
        let sort_directory = scratch.join("inventory");
        create_directory_durable(&**self.disk, &sort_directory)?;
        let builder = InventoryBuilder::new(self.disk.clone(), sort_directory, self.options.sort_memory_bytes());
        let workers = self.options.run.parallel_workers.get();
        let Some(walked) = walk(&root, builder, workers, self.control, |_| Ok(()))? else { return Ok(None) };
        match prove(&root, walked, self.options, self.control) {
            Err(Error::SourceChanged { path, what }) => Err(not_what_was_migrated(&path, &what)),
            proof => proof,
        }
    }

    /// Brings journal and leftovers up to the checkpoint, which calls the run rolled back.
    fn settle(&self, proof: &Proof) -> Result<(), Error> {
        let Withdrawal { paths, state, .. } = self.withdrawal;
        // The attempt that stored the checkpoint may have died before it was durable.
        self.disk.sync_directory(paths.run_directory().path())?;
        let entries = journal::last(&**self.disk, paths.run_directory().path(), ENTRIES_SEARCHED)?;
        if !entries.iter().any(|entry| entry.event == EVENT && entry.run_id == state.run_id) {
            let detail = json!({
                "placement": state.rules.placement,
                "source_objects": proof.objects,
                "source_bytes": proof.bytes,
                "forced": self.force,
            });
            self.held.note(Some(&state.run_id), EVENT, detail)?;
        }
        self.withdrawal.discard()
    }

    fn end(&self, proof: &Proof, already_rolled_back: bool, stopped: bool) -> RollbackEnd {
        RollbackEnd {
            placement: self.withdrawal.state.rules.placement,
            already_rolled_back,
            source_objects: proof.objects,
            source_bytes: proof.bytes,
            stopped,
        }
    }
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
        next: "find out who changed the source before choosing which store to use".into(),
        source: None,
    }
}
