//! One life cycle for every migration: lock, check, plan, begin or continue, step by step to the goal, report.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::lifecycle::{Check, Migration, Places, RunPlan, Standing, StateOf, Step, Summary};
use super::preflight::{last_run, preflight, standing};
use super::report::about::{environment, haul_version, settings, with_events};
use super::report::parts::{AboutRun, Peaks, Settings};
use super::run::expectation::{Expectation, Whole};
use super::run::locked::LockedRun;
use super::run::options::{RunOptions, Start};
use super::run::state::{Durability, RunState};
use super::stage::Stage;
use super::text::escaped_json;
use super::watch::AttemptWatch;
use super::{Error, Findings, FindingsCount, Report, RunDirectory, clock, counted, exit, report_says, write_report};
use crate::durable::{Disk, GroupSync, replace_file, with_modes};
use crate::migration::plan::escape_name;
use crate::pipeline::{Control, Ended, Event, RunStart};

/// How a run ended without an error.
pub struct Finished<M: Migration> {
    /// Where it stands.
    pub state: StateOf<M>,
    /// True if nothing had to be done.
    pub already_done: bool,
    /// True if an earlier run was continued.
    pub resumed: bool,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// Why more is done for durability than the operator asked for.
    pub durability_reason: Option<String>,
}

impl<M: Migration> Finished<M> {
    /// Returns the same for the caller, with what only this kind of store tells.
    pub fn with<D>(self, details: D) -> MigrationEnd<M::Counts, D> {
        let Self { state, already_done, resumed, stopped, durability_reason } = self;
        MigrationEnd {
            run_id: state.run_id,
            stage: state.stage,
            records: state.records,
            counts: state.counts,
            durability: state.durability,
            durability_reason,
            already_done,
            resumed,
            stopped,
            details,
        }
    }
}

/// How a migration ended without an error.
#[derive(Debug, Clone, Serialize)]
pub struct MigrationEnd<C, D> {
    /// Id of the run.
    pub run_id: String,
    /// Stage that is reached.
    pub stage: Stage,
    /// Records read: everything found.
    pub records: u64,
    /// Outcomes of all records.
    pub counts: C,
    /// Least that was done to make durable what the run has written.
    pub durability: Durability,
    /// Why that is more than the operator asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability_reason: Option<String>,
    /// True if nothing had to be done.
    pub already_done: bool,
    /// True if an earlier run was continued.
    pub resumed: bool,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// What only this kind of store tells.
    #[serde(flatten)]
    pub details: D,
}

/// One attempt at a migration, under the lock.
pub struct Session<'a> {
    cx: Context<'a>,
    lock: &'a LockedRun,
    goal: Stage,
    watch: &'a AttemptWatch<'a>,
    /// When the checkpoint of an earlier attempt was written.
    last_checkpoint: Option<Timestamp>,
    expectation: OnceCell<Expectation>,
}

/// Takes a migration from where it is to `goal`: continues the run in the checkpoint, or begins one.
pub fn run<M: Migration>(
    migration: &mut M,
    disk: &Arc<dyn Disk>,
    directory: &RunDirectory,
    goal: Stage,
    options: &RunOptions,
    control: &Control<'_>,
) -> Result<Finished<M>, Error> {
    options.check_owner()?;
    let disk = &with_modes(disk, options.modes(migration.modes()?));
    migration.preflight(&Context::unlocked(disk, directory, M::KIND, options, control), Check::Places)?;
    let lock = LockedRun::create(disk, directory, M::KIND)?;
    let disk = &lock.disk;
    let watch = AttemptWatch::start(control);
    let control = &watch.control();
    let session = Session::new(&lock, disk, directory, goal, options, control, &watch);
    let result = session.attempt(migration);
    let swept = migration.sweep(&session.cx);
    let mut end = result.map_err(|error| lock.reason_of(error))?;
    end.durability_reason = session.why_each(migration)?;
    swept.map(|()| end)
}

impl<'a> Session<'a> {
    /// Returns a session that holds this lock. `control` is that of the watch.
    pub fn new(
        lock: &'a LockedRun,
        disk: &'a Arc<dyn Disk>,
        directory: &'a RunDirectory,
        goal: Stage,
        options: &'a RunOptions,
        control: &'a Control<'a>,
        watch: &'a AttemptWatch<'a>,
    ) -> Self {
        let checkpoint = lock.checkpoint.clone();
        let last_checkpoint = if disk.is_system() { modified_at(&directory.checkpoint_path()) } else { None };
        let cx = Context { disk, directory, options, control, checkpoint, lock: Some(lock) };
        Self { cx, lock, goal, watch, last_checkpoint, expectation: OnceCell::new() }
    }

    fn attempt<M: Migration>(&self, migration: &mut M) -> Result<Finished<M>, Error> {
        let cx = &self.cx;
        let last = last_run::<M>(cx)?;
        let is_restart = cx.options.start == Start::Restart;
        if is_restart {
            migration.end_publication(cx, last.as_ref())?;
        }
        let standing = standing(cx, migration, last.as_ref())?;
        let continued = last.as_ref().filter(|_| standing == Standing::Continues);
        let make_room = |migration: &mut M| {
            if is_restart {
                migration.restart(cx)?;
            }
            migration.clear(cx)
        };
        let plan = match standing {
            Standing::Stopped => None,
            Standing::Continues | Standing::Over => preflight(cx, migration, continued, make_room)?,
        };
        match (plan, last) {
            (None, last) => Ok(stopped_before(migration, last.filter(|_| standing != Standing::Over))),
            (Some(plan), Some(mut state)) if standing == Standing::Continues => {
                self.keep_plan::<M>(&mut state, &plan)?;
                self.resume(migration, state, &plan)
            }
            (Some(plan), last) => {
                let state = self.begin(migration, &plan, last.as_ref())?;
                self.carry_out(migration, state, &plan, false)
            }
        }
    }

    fn begin<M: Migration>(
        &self,
        migration: &mut M,
        plan: &M::Plan,
        last: Option<&StateOf<M>>,
    ) -> Result<StateOf<M>, Error> {
        #[derive(Serialize)]
        struct Kept<'a, P> {
            run_id: &'a str,
            #[serde(flatten)]
            plan: &'a P,
        }
        let disk = &**self.cx.disk;
        let durability = self.durability(migration)?;
        let mut state = StateOf::<M>::new(plan.digest(), clock::new_run_id()?, migration.rules(), durability);
        let kept = Kept { run_id: &state.run_id, plan };
        let text = serde_json::to_string_pretty(&kept).expect("plain data always serialises");
        replace_file(disk, &self.cx.directory.plan_path(), escaped_json(&text).as_bytes())?;
        migration.begin(&self.cx, &mut state, last)?;
        // What is found before the first record is moved is of this attempt.
        state.attempts = self.watch.begin(state.attempts, 0, None);
        self.cx.checkpoint.store(disk, &state)?;
        Ok(state)
    }

    /// Takes a plan over for a run, if it is that of the run or the source is proved to have the same bytes. False: it
    /// is neither.
    pub fn take_plan<M: Migration>(
        &self,
        migration: &mut M,
        state: &mut StateOf<M>,
        plan: &M::Plan,
    ) -> Result<bool, Error> {
        let is_same = state.plan_digest == plan.digest() || migration.proves_source(&self.cx, state)?;
        if is_same {
            self.keep_plan::<M>(state, plan)?;
        }
        Ok(is_same)
    }

    /// Makes a plan that was checked the plan of the run, so that it is not proved again.
    fn keep_plan<M: Migration>(&self, state: &mut StateOf<M>, plan: &M::Plan) -> Result<(), Error> {
        if state.plan_digest != plan.digest() {
            state.plan_digest = plan.digest();
            self.cx.checkpoint.store(&**self.cx.disk, state)?;
        }
        Ok(())
    }

    /// Continues a run of the same plan.
    pub fn resume<M: Migration>(
        &self,
        migration: &mut M,
        mut state: StateOf<M>,
        plan: &M::Plan,
    ) -> Result<Finished<M>, Error> {
        migration.settle(&self.cx, &mut state)?;
        if state.stage < self.goal {
            let durability = self.durability(migration)?;
            if state.durability == Durability::None
                && durability != Durability::None
                && migration.sync_behind(&self.cx)?
            {
                state.durability = durability;
            }
            // What is guaranteed of the whole is what is guaranteed of its weakest part.
            state.durability = state.durability.min(durability);
            state.attempts = self.watch.begin(state.attempts, state.records, self.last_checkpoint);
        }
        self.carry_out(migration, state, plan, true)
    }

    /// Returns what is done on every file system that is written to: the least, if that differs.
    fn durability<M: Migration>(&self, migration: &M) -> Result<Durability, Error> {
        let asked = migration.durability();
        let group_syncs = self.group_syncs(migration)?;
        for group_sync in group_syncs.iter().filter(|here| asked.with(here) != asked) {
            self.cx.control.note(format!("{group_sync}: each file is synced by itself"));
        }
        Ok(group_syncs.iter().map(|here| asked.with(here)).min().unwrap_or(asked))
    }

    fn group_syncs<M: Migration>(&self, migration: &M) -> Result<Vec<GroupSync>, Error> {
        let group_sync = |directory: PathBuf| Ok(self.cx.disk.file_system(&directory)?.group_sync());
        migration.synced_as_a_whole(&self.cx).into_iter().map(group_sync).collect()
    }

    /// Returns why each file is synced by itself although the operator asked for groups.
    fn why_each<M: Migration>(&self, migration: &M) -> Result<Option<String>, Error> {
        let asked = migration.durability();
        let first = self.group_syncs(migration)?.into_iter().find(|here| asked.with(here) != asked);
        Ok(first.map(|group_sync| group_sync.to_string()))
    }

    /// Tells the observer that the run begins and how it ends, whatever its end.
    fn carry_out<M: Migration>(
        &self,
        migration: &mut M,
        state: StateOf<M>,
        plan: &M::Plan,
        resumed: bool,
    ) -> Result<Finished<M>, Error> {
        let start = self.run_start(migration, &state, plan, resumed);
        self.cx.control.observer.observe(&Event::RunStarted(Box::new(start)));
        let result = self.take_to_goal(migration, state, resumed);
        let (outcome, exit_code) = match &result {
            Ok(finished) => end_of(migration, &finished.state, finished.stopped),
            Err(error) => ("failed".to_owned(), error.exit_code()),
        };
        self.cx.control.observer.observe(&Event::RunEnded { outcome, exit_code });
        result
    }

    fn run_start<M: Migration>(&self, migration: &M, state: &StateOf<M>, plan: &M::Plan, is_resumed: bool) -> RunStart {
        let options = self.cx.options;
        let Places { source, target } = migration.places(state);
        let (records_before, source_bytes_before) = migration.migrated(state);
        RunStart {
            run_id: state.run_id.clone(),
            kind: M::NOUN,
            source: escape_name(source.as_os_str()),
            target: escape_name(target.as_os_str()),
            directory: Some(self.cx.directory.path().to_path_buf()),
            is_resumed,
            records_before,
            source_bytes_before,
            records_planned: plan.records(),
            source_bytes_planned: plan.source_bytes(),
            parallel_workers: options.parallel_workers.get() as u64,
            budget_bytes: options.memory_budget_bytes,
            rate_limit: options.rate_limit.map(|limit| u64::from(limit.get())),
            forecast: self.expectation(state, plan, M::NOUN).figures(),
        }
    }

    fn expectation<R, P, C>(&self, state: &RunState<R, P, C>, plan: &impl RunPlan, kind: &'static str) -> &Expectation {
        self.expectation.get_or_init(|| Expectation::of(&self.cx, state.durability, plan, kind))
    }

    fn take_to_goal<M: Migration>(
        &self,
        migration: &mut M,
        mut state: StateOf<M>,
        resumed: bool,
    ) -> Result<Finished<M>, Error> {
        let run_id = state.run_id.clone();
        self.lock.name_run(&run_id)?;
        if state.stage >= self.goal {
            let (path, outcome) = (self.cx.directory.report_path(), state.stage.to_string());
            // A run that died between its last stage and its report has done its work all the same.
            if !report_says(&**self.cx.disk, &path, &run_id, &outcome)? {
                self.report_or_note(migration, &state, outcome, Instant::now(), None)?;
            }
            return Ok(Finished { state, already_done: true, resumed, stopped: false, durability_reason: None });
        }
        let plan = blake3::Hash::from_bytes(state.plan_digest).to_hex();
        let detail = json!({ "plan": plan.as_str(), "settings": format!("{} {}", state.rules, self.cx.options) });
        self.lock.note(Some(&run_id), if resumed { "resumed" } else { "started" }, detail)?;
        let started = Instant::now();
        let result = self.advance(migration, &mut state);
        let outcome = match &result {
            Ok(Ended::Complete) => state.stage.to_string(),
            Ok(Ended::Stopped) => "stopped".into(),
            Err(Error::Findings { .. }) => "failed: findings".into(),
            Err(_) => "failed".into(),
        };
        let is_kept = result.is_ok() && state.stage >= self.goal;
        if !is_kept {
            self.keep_end(migration, &mut state, &result);
        }
        let is_whole = is_kept && !resumed && state.records > 0;
        let whole = is_whole.then(|| self.whole(migration, &state));
        // A report that cannot be written, as on a full disk, must not hide why the run failed.
        let reported = self.report_or_note(migration, &state, outcome, started, whole.as_ref());
        match result {
            Ok(ended) => {
                reported?;
                self.remember(whole.as_ref());
                Ok(Finished {
                    state,
                    already_done: false,
                    resumed,
                    stopped: ended == Ended::Stopped,
                    durability_reason: None,
                })
            }
            Err(error @ Error::Findings { .. }) => {
                reported?;
                // The next run may choose other rules.
                migration.discard(&self.cx)?;
                migration.clear(&self.cx)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the run to the goal, or until a stop. Every stage that is reached is in the journal, and so is every failure.
    fn advance<M: Migration>(&self, migration: &mut M, state: &mut StateOf<M>) -> Result<Ended, Error> {
        let run_id = state.run_id.clone();
        let note = |event: &str, detail| self.lock.note(Some(&run_id), event, detail);
        while state.stage < self.goal {
            let from = state.stage;
            match self.step(migration, state) {
                Ok(Step::Reached(stage)) => {
                    assert!(stage > from, "a step leads to a later stage");
                    note("stage-reached", json!({ "stage": stage }))?;
                }
                Ok(Step::Paused) => {
                    note("paused", json!({ "stage": from }))?;
                    return Ok(Ended::Complete);
                }
                // Work deep inside of a step ends with the error of a stop.
                Ok(Step::Stopped) | Err(Error::Stopped { .. }) => {
                    note("stopped", json!({ "stage": from }))?;
                    return Ok(Ended::Stopped);
                }
                Err(error) => {
                    // The failure itself matters more than a journal that cannot take it, as on a full disk.
                    let _ = note("failed", json!({ "stage": from, "error": error.to_string() }));
                    return Err(error);
                }
            }
        }
        Ok(Ended::Complete)
    }

    fn step<M: Migration>(&self, migration: &mut M, state: &mut StateOf<M>) -> Result<Step, Error> {
        let phase = state.stage.next_phase().expect("a goal is a stage that a step leads to");
        let expected = migration.expected(state);
        self.cx.control.phase(phase, expected, || {
            let step = migration.step(&self.cx, state)?;
            if let Step::Reached(stage) = step {
                state.stage = stage;
                let end = (stage >= self.goal).then(|| end_of(migration, state, false));
                state.attempts = self.watch.attempts(state.records, end);
                self.cx.checkpoint.store(&**self.cx.disk, state)?;
            }
            Ok(step)
        })
    }

    /// Returns what is to be remembered of a run that went from its beginning to its goal.
    fn whole<M: Migration>(&self, migration: &M, state: &StateOf<M>) -> Whole {
        let Places { target, .. } = migration.places(state);
        let (_, source_bytes) = migration.migrated(state);
        Whole::new(self.expectation.get(), self.watch, M::NOUN, &target, (state.records, source_bytes))
    }

    /// Adds a run to the history. That it cannot be written is said and is no error.
    fn remember(&self, whole: Option<&Whole>) {
        let Some(whole) = whole else { return };
        if let Err(error) = self.cx.options.history.remember(&whole.past) {
            self.cx.control.note(format!("the run cannot be added to the history: {error}"));
        }
    }

    /// Puts how this attempt has ended into the checkpoint, if the run has one. What else it holds stays as it is: the
    /// state in memory may be older.
    fn keep_end<M: Migration>(&self, migration: &M, state: &mut StateOf<M>, result: &Result<Ended, Error>) {
        let end = match result {
            Ok(ended) => end_of(migration, state, *ended == Ended::Stopped),
            Err(error) => ("failed".to_owned(), error.exit_code()),
        };
        let disk = &**self.cx.disk;
        let kept = self.cx.checkpoint.load::<StateOf<M>>(disk).ok().flatten();
        // A state that was refused stays as it was found.
        let is_refused = matches!(result, Err(Error::State { .. }));
        let kept = kept.filter(|kept| kept.run_id == state.run_id && !is_refused);
        let records = kept.as_ref().map_or(state.records, |kept| kept.records);
        state.attempts = self.watch.attempts(records, Some(end));
        if let Some(kept) = kept {
            // Without it, the attempt counts as one that was killed.
            let _ = self.cx.checkpoint.store(disk, &StateOf::<M> { attempts: state.attempts.clone(), ..kept });
        }
    }

    /// Writes the report. That the disk does not take it is said and is no error: what the run has done is done.
    fn report_or_note<M: Migration>(
        &self,
        migration: &M,
        state: &StateOf<M>,
        outcome: String,
        started: Instant,
        whole: Option<&Whole>,
    ) -> Result<(), Error> {
        match self.report(migration, state, outcome, started, whole) {
            Err(Error::Disk(error)) if !self.lock.is_lost() => {
                self.cx.control.note(format!("the report cannot be written: {error}"));
                Ok(())
            }
            reported => reported,
        }
    }

    fn report<M: Migration>(
        &self,
        migration: &M,
        state: &StateOf<M>,
        outcome: String,
        started: Instant,
        whole: Option<&Whole>,
    ) -> Result<(), Error> {
        let disk = &**self.cx.disk;
        let findings = Findings::new(self.cx.directory.findings_path(), state.findings_bytes);
        let findings_count = FindingsCount::of(disk, &findings)?;
        let summary = migration.summary(&self.cx, state)?;
        let about =
            AboutRun { grade: whole.and_then(|whole| whole.grade.clone()), ..self.about(migration, state, &summary) };
        let written = about.written.iter().map(|(name, bytes)| (name.clone(), *bytes));
        let told = counted(&state.counts, written, &findings_count);
        self.cx.control.observer.observe(&Event::Counted(Box::new(told)));
        let Summary { source, target, source_bytes, mut details, .. } = summary;
        details["stage"] = json!(state.stage);
        details["durability"] = json!(state.durability);
        if let Some(why) = self.why_each(migration)? {
            details["durability_reason"] = json!(why);
        }
        let report = Report {
            run_id: state.run_id.clone(),
            noun: M::NOUN.into(),
            outcome,
            source,
            target,
            records_read: state.records,
            counts: state.counts,
            source_bytes,
            target_bytes: about.written.values().sum(),
            duration_ms: started.elapsed().as_millis() as u64,
            findings_count,
            policy: serde_json::to_value(&state.rules).expect("plain data always serialises"),
            details,
            about,
        };
        write_report(disk, &self.cx.directory.report_path(), &report, &findings)
    }

    fn about<M: Migration>(&self, migration: &M, state: &StateOf<M>, summary: &Summary) -> AboutRun {
        let Places { source, target } = migration.places(state);
        let about = AboutRun {
            haul: haul_version(),
            attempts: state.attempts.rows().to_vec(),
            settings: Settings {
                reader: summary.reader.clone(),
                verify: summary.verify.clone(),
                durability: state.durability.to_string(),
                ..settings(self.cx.options)
            },
            environment: environment(&**self.cx.disk, &source, &target),
            peaks: Peaks { staging_bytes: summary.staging_bytes, ..Peaks::default() },
            written: summary.written.clone(),
            digests: summary.digests.clone(),
            next: summary.next.clone(),
            estimate: self.expectation.get().and_then(Expectation::figures),
            ..AboutRun::default()
        };
        with_events(about, &self.watch.tally, self.watch.timeline.points())
    }
}

/// Returns how a run without an error has ended, and the exit code of a program that does nothing else.
fn end_of<M: Migration>(migration: &M, state: &StateOf<M>, stopped: bool) -> (String, u8) {
    match (stopped, migration.leaves_out(state)) {
        (true, _) => ("stopped".to_owned(), exit::TEMPORARY),
        (false, true) => (state.stage.to_string(), exit::REFUSED_RECORDS),
        (false, false) => (state.stage.to_string(), exit::OK),
    }
}

fn modified_at(path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(std::fs::metadata(path).ok()?.modified().ok()?).ok()
}

/// The end of an attempt that was stopped before there was anything to continue.
fn stopped_before<M: Migration>(migration: &M, earlier: Option<StateOf<M>>) -> Finished<M> {
    let resumed = earlier.is_some();
    let state =
        earlier.unwrap_or_else(|| StateOf::<M>::new([0; 32], String::new(), migration.rules(), migration.durability()));
    Finished { state, already_done: false, resumed, stopped: true, durability_reason: None }
}
