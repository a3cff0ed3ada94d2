//! The checks of a migration, in their order. Both a run and its dry run make them.

use std::path::PathBuf;

use super::plan::planned_source;
use super::publish::merge_preflight::check_before_merge;
use super::publish::staged_check::check_map_whole;
use super::publish::{check_target, is_live};
use super::steps::CasMigration;
use crate::cas::options::{Placement, ReadBack};
use crate::cas::paths::{TargetPaths, check_apart, check_not_mounted, check_objects_near, check_outside_of_runs};
use crate::cas::state::RunState;
use crate::cas::verify::run::{verify_held, verify_in_memory};
use crate::cas::verify::{VerifyEnd, VerifyRequest};
use crate::durable::{Disk, EntryKind, NewOwner};
use crate::migration::plan::escape_name;
use crate::migration::{Check, Context, Error, Finding, LastRun, Sample, Severity, Stage};
use crate::pipeline::Ended;

/// Fails if the place of the run directory has something that haul has not made: a run removes files in it.
fn check_run_directory(disk: &dyn Disk, paths: &TargetPaths) -> Result<(), Error> {
    let directory = paths.run_directory();
    if disk.kind(directory.path())? != Some(EntryKind::Directory) {
        return Ok(());
    }
    let names: Vec<_> = disk.list(directory.path())?.into_iter().map(|entry| entry.name).collect();
    let of_haul =
        [directory.lock_path(), directory.journal_path(), directory.checkpoint_path(), directory.estimate_path()];
    let is_of_haul = names.iter().any(|name| of_haul.iter().any(|path| path.file_name() == Some(name)));
    if names.is_empty() || is_of_haul {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{} has files, and none of them is haul's", directory.path().display()),
        next: "move it away, or choose another target".into(),
    })
}

impl CasMigration<'_> {
    /// Returns a note about each part of the store at the target whose owner what is added cannot get.
    pub(super) fn notes_on_owners(&self) -> Vec<Finding> {
        if self.options.placement == Placement::New || !self.options.run.owner.is_empty() {
            return Vec::new();
        }
        let note = |(path, owner): (PathBuf, NewOwner)| Finding {
            severity: Severity::Note,
            file: escape_name(path.as_os_str()),
            offset: 0,
            length: 0,
            reason: format!("what is written there cannot get its owner: this user may not set {}", owner.text()),
            id: None,
            sequence: None,
            related: None,
        };
        self.paths.owners_not_kept().into_iter().map(note).collect()
    }

    /// Makes the checks that belong to this point of the run.
    pub(super) fn check(&self, cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        match check {
            Check::Places => {
                check_apart(self.root.path(), &self.root.directories(), self.paths)?;
                check_outside_of_runs(self.root.path(), self.paths)?;
                check_not_mounted(self.paths)?;
                check_run_directory(&**cx.disk, self.paths)?;
            }
            Check::Target => {
                check_target(&**cx.disk, self.paths, self.options.placement)?;
                if self.options.placement == Placement::Merge && cx.disk.is_system() {
                    check_objects_near(self.paths)?;
                }
                self.is_second_pass.set(self.follows_a_run_of_this_source(cx)?);
                if self.options.placement == Placement::Merge && self.options.verify_merged_into {
                    return check_before_merge(&**cx.disk, self.paths, || self.verify_target(cx));
                }
            }
            Check::Continued(state) if state.stage == Stage::RolledBack => {
                return Err(Error::State {
                    path: cx.checkpoint.path(),
                    what: "that run was rolled back, and the store that it had published is removed".into(),
                    next: "migrate again with --restart".into(),
                    damaged: false,
                    source: None,
                });
            }
            Check::Continued(state) if self.is_target_gone(cx, state)? => {
                return Err(Error::State {
                    path: self.paths.target().to_path_buf(),
                    what: "the store that the run published is not there: it was moved, renamed or removed".into(),
                    next: format!(
                        "move it back, or rename {} as well; to build it again: the same command with --restart",
                        self.paths.run_directory().path().display()
                    ),
                    damaged: false,
                    source: None,
                });
            }
            Check::Continued(state) if state.stage == Stage::Published => {
                check_map_whole(&**cx.disk, self.paths, state)?
            }
            Check::Continued(_) => {}
        }
        Ok(Ended::Complete)
    }

    /// Returns true for a merge into the store that the last run has published from the same source, unless everything is
    /// to be read.
    fn follows_a_run_of_this_source(&self, cx: &Context<'_>) -> Result<bool, Error> {
        let is_asked_for = self.options.placement == Placement::Merge && self.options.read_back == ReadBack::Index;
        if !is_asked_for || !cx.disk.is_system() {
            return Ok(false);
        }
        let LastRun::Known(last) = LastRun::<RunState>::load(&**cx.disk, &cx.checkpoint)? else { return Ok(false) };
        if last.stage != Stage::Published || !self.paths.has_map(&**cx.disk, &last.run_id)? {
            return Ok(false);
        }
        // Without its plan, the source of a run is not known.
        let source = planned_source(&**cx.disk, cx.directory, &last.plan_digest).ok();
        let of_this = |source: PathBuf| source.canonicalize().ok() == self.root.path().canonicalize().ok();
        Ok(source.is_some_and(of_this))
    }

    /// Verifies the store that is merged into: its layout and its index and, unless an earlier run of this source has made
    /// it, every object. A dry run sorts in memory, because it must not write.
    fn verify_target(&self, cx: &Context<'_>) -> Result<VerifyEnd, Error> {
        let target = self.paths.target();
        let no_object = self.is_second_pass.get().then_some(Sample { records: 0, seed: 0 });
        let request = VerifyRequest { sample: no_object, ..VerifyRequest::WHOLE };
        match cx.lock {
            Some(_) => verify_held(cx.disk, self.paths, target, &request, self.options, cx.control),
            None => verify_in_memory(target, &request, self.options, cx.control),
        }
    }

    /// Returns true if nothing is left of the published store. An index that changed is fine, because a later merge or
    /// put writes to it.
    fn is_target_gone(&self, cx: &Context<'_>, state: &RunState) -> Result<bool, Error> {
        Ok(state.stage == Stage::Published
            && !is_live(&**cx.disk, self.paths, state, cx.control.stop)?
            && cx.disk.kind(self.paths.target())?.is_none())
    }
}
