//! A whole migration: from the plan to the published store, resumable at every point.

pub mod convert;
pub mod dry_run;
pub mod estimate;
pub mod plan;
pub mod steps;
pub mod writer;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use self::plan::{Plan, check_directory, plan};
use self::steps::SpaceJob;
use super::current_store::live_store;
use super::log::reader::Cursor;
use super::log::source::WalSource;
use super::options::{MigrateOptions, Start};
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::layout::SEGMENT_HEADER_BYTES;
use super::store::names::{MANIFEST, POINTER_TO_LOG, STORE_PREFIX, generation, store_name};
use crate::durable::{Disk, directory_bytes, remove_tree, replace_file};
use crate::migration::{
    Error, Findings, FindingsCount, HeldRun, Report, Stage, Step, advance, free_space_check, pointer, report_says,
    write_report,
};
use crate::pipeline::Control;
use crate::space::outcome::Counts;

/// How a migration ended without an error.
#[derive(Debug, Clone, Serialize)]
pub struct MigrationEnd {
    /// The stage that is reached.
    pub stage: Stage,
    /// Name of the store.
    pub store: String,
    /// Records framed.
    pub records: u64,
    /// Outcomes of all records.
    pub counts: Counts,
    /// True if nothing had to be done.
    pub already_done: bool,
    /// True if an earlier run was continued.
    pub resumed: bool,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// Damaged bytes that were left out.
    pub damaged_bytes: u64,
}

/// Migrates the space: resumes an earlier run of the same plan or begins one, and takes it to its goal.
pub fn migrate(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    check_directory(paths.root())?;
    let source = Arc::new(WalSource::open(&paths.log(), options.reader)?);
    let plan = plan(paths, &source, options)?;
    let held = HeldRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let session = Session { disk, paths, options, plan: &plan, held: &held };
    let (state, resumed) = session.begin_or_resume()?;
    let goal = if options.publish { Stage::Published } else { Stage::Verified };
    session.carry_out(source, state, goal, resumed, control)
}

/// One attempt at a migration, under the lock.
pub(super) struct Session<'a> {
    pub disk: Arc<dyn Disk>,
    pub paths: &'a SpacePaths,
    pub options: &'a MigrateOptions,
    pub plan: &'a Plan,
    pub held: &'a HeldRun,
}

impl Session<'_> {
    /// Takes a run from where it is to `goal`, and writes the report.
    pub fn carry_out(
        &self,
        source: Arc<WalSource>,
        state: RunState,
        goal: Stage,
        resumed: bool,
        control: &Control<'_>,
    ) -> Result<MigrationEnd, Error> {
        let run_id = state.run_id.clone();
        if state.stage >= goal {
            let (path, outcome) = (self.paths.run_directory().report_path(), state.stage.to_string());
            if !report_says(&*self.disk, &path, &run_id, &outcome)? {
                self.report(&state, outcome, Instant::now())?;
            }
            return Ok(self.end(&state, true, resumed, false));
        }
        self.note(&state, if resumed { "resumed" } else { "started" })?;
        let started = Instant::now();
        let mut job = SpaceJob {
            disk: self.disk.clone(),
            paths: self.paths,
            source,
            options: self.options,
            control: *control,
            checkpoint: self.held.checkpoint.clone(),
            state,
        };
        let result = advance(&mut job, goal, &self.held.journal, &run_id);
        let outcome = match &result {
            Ok(Step::Done) => job.state.stage.to_string(),
            Ok(Step::Stopped) => "stopped".into(),
            Err(Error::Findings { .. }) => "failed: findings".into(),
            Err(_) => "failed".into(),
        };
        // A report that cannot be written, as on a full disk, must not hide why the run failed.
        let reported = self.report(&job.state, outcome, started);
        match result {
            Ok(step) => {
                reported?;
                Ok(self.end(&job.state, false, resumed, step == Step::Stopped))
            }
            Err(error @ Error::Findings { .. }) => {
                reported?;
                self.discard(&job.state.store)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The state to go on from, and whether it is that of an earlier run.
    fn begin_or_resume(&self) -> Result<(RunState, bool), Error> {
        if self.options.start == Start::Restart {
            self.restart()?;
            return Ok((self.fresh()?, false));
        }
        match self.held.checkpoint.load::<RunState>(&*self.disk)? {
            Some(state) => self.resume(state).map(|state| (state, true)),
            None if self.options.start == Start::Resume => Err(Error::Usage {
                what: "there is no earlier run to resume".into(),
                next: "leave out --resume".into(),
            }),
            None => Ok((self.fresh()?, false)),
        }
    }

    /// Checks that an earlier run belongs to the plan and brings its stage up to the pointer.
    pub fn resume(&self, mut state: RunState) -> Result<RunState, Error> {
        if state.plan_digest != self.plan.digest_bytes {
            return Err(Error::State {
                path: self.held.checkpoint.path(),
                what: "the checkpoint belongs to another plan: source files or policies differ".into(),
                next: format!("use the settings of that run ({}), or start over with --restart", state.settings),
                damaged: false,
            });
        }
        let unpublished = || Ok::<_, Error>(live_store(&*self.disk, self.paths)?.as_ref() != Some(&state.store));
        if state.stage == Stage::RolledBack || state.stage == Stage::Published && unpublished()? {
            // The store is still there; it is verified again before it is published again.
            state.stage = Stage::Sealed;
        }
        Ok(state)
    }

    /// A new run: nothing staged is left over from one that had no checkpoint yet.
    fn fresh(&self) -> Result<RunState, Error> {
        remove_tree(&*self.disk, &self.paths.staging())?;
        self.remove_remnants()?;
        free_space_check(&*self.disk, self.paths.root(), self.plan.space_needed_bytes)?;
        let text = serde_json::to_vec_pretty(self.plan).expect("plain data always serialises");
        replace_file(&*self.disk, &self.paths.run_directory().plan_path(), &text)?;
        Ok(RunState {
            plan_digest: self.plan.digest_bytes,
            run_id: uuid::Uuid::now_v7().to_string(),
            store: store_name(self.next_generation()?),
            settings: self.options.text(),
            stage: Stage::Running,
            cursor: Cursor::default(),
            last_sequence: None,
            segment: 0,
            segment_bytes: SEGMENT_HEADER_BYTES,
            findings_bytes: 0,
            fatal_findings: 0,
            records: 0,
            node_rows: 0,
            counts: Counts::default(),
            source: Default::default(),
        })
    }

    fn next_generation(&self) -> Result<u32, Error> {
        let newest = self.stores()?.iter().filter_map(|name| generation(name)).max();
        Ok(newest.unwrap_or(0) + 1)
    }

    /// Discards the state of the earlier run, readable or not, and its store unless that is live.
    ///
    /// The checkpoint goes first: after a crash within, none speaks of a store or staged files that are half removed.
    fn restart(&self) -> Result<(), Error> {
        let live = pointer::read(&*self.disk, self.paths.root())?;
        self.held.checkpoint.remove(&*self.disk)?;
        for name in self.stores()? {
            if live.as_deref() != Some(&name) {
                remove_tree(&*self.disk, &self.paths.store(&name))?;
            }
        }
        Ok(remove_tree(&*self.disk, &self.paths.scratch())?)
    }

    /// Removes what a crash within a restart left of stores: without a manifest they are none.
    fn remove_remnants(&self) -> Result<(), Error> {
        let live = pointer::read(&*self.disk, self.paths.root())?;
        for name in self.stores()? {
            let store = self.paths.store(&name);
            if live.as_deref() != Some(&name) && self.disk.kind(&store.join(MANIFEST))?.is_none() {
                remove_tree(&*self.disk, &store)?;
            }
        }
        Ok(())
    }

    /// Names of the stores of all generations.
    fn stores(&self) -> Result<Vec<String>, Error> {
        let entries = self.disk.list(self.paths.root())?;
        let names = entries.into_iter().filter_map(|entry| entry.name.into_string().ok());
        Ok(names.filter(|name| generation(name).is_some()).collect())
    }

    /// After findings under a policy `fail`: the next run may choose other policies.
    fn discard(&self, store: &str) -> Result<(), Error> {
        debug_assert!(store.starts_with(STORE_PREFIX));
        self.held.checkpoint.remove(&*self.disk)?;
        remove_tree(&*self.disk, &self.paths.staging())?;
        Ok(remove_tree(&*self.disk, &self.paths.scratch())?)
    }

    fn note(&self, state: &RunState, event: &str) -> Result<(), Error> {
        let detail = json!({ "plan": self.plan.digest, "settings": self.options.text() });
        self.held.note(Some(&state.run_id), event, detail)
    }

    fn end(&self, state: &RunState, already_done: bool, resumed: bool, stopped: bool) -> MigrationEnd {
        MigrationEnd {
            stage: state.stage,
            store: state.store.clone(),
            records: state.records,
            counts: state.counts,
            already_done,
            resumed,
            stopped,
            damaged_bytes: state.source.damaged,
        }
    }

    fn report(&self, state: &RunState, outcome: String, started: Instant) -> Result<(), Error> {
        let findings = Findings::new(self.paths.run_directory().findings_path(), state.findings_bytes);
        let findings_count = FindingsCount::of(&*self.disk, &findings)?;
        let store = self.paths.store(&state.store);
        let target = if state.stage >= Stage::Sealed { store } else { self.paths.staging() };
        let report = Report {
            run_id: state.run_id.clone(),
            noun: "space".into(),
            outcome,
            source: self.plan.source.clone(),
            target: target.display().to_string(),
            records_read: state.records,
            counts: state.counts,
            source_bytes: state.source,
            target_bytes: directory_bytes(&*self.disk, &target).unwrap_or(0),
            duration_ms: started.elapsed().as_millis() as u64,
            findings_count,
            policy: serde_json::to_value(self.options.policies).expect("plain data always serialises"),
            details: json!({
                "stage": state.stage,
                "live": pointer::read(&*self.disk, self.paths.root())?.unwrap_or_else(|| POINTER_TO_LOG.to_owned()),
                "not_read": self.plan.others,
                "linked": self.plan.linked,
            }),
        };
        write_report(&*self.disk, &self.paths.run_directory().report_path(), &report, &findings)
    }
}
