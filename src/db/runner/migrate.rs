//! Applies the pending migrations, lowest version first, and stops at the first failure.

use std::sync::Arc;

use super::Runner;
use super::hooks::{Moment, RunFrame};
use super::plan::{PendingMigration, Plan, earlier_attempt};
use super::run_summary::RunSummary;
use super::section::batched::Extent;
use super::section::task::{Task, TaskResult};
use super::section::transaction::Started;
use super::single_transaction::require_one_transaction;
use crate::db::hooks::HookTime;
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{Outcome, StateReader};
use crate::db::version::Version;
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

const STOPPED: &str = "stopped on request";

/// What to apply.
#[derive(Debug, Clone, Default)]
pub struct MigrateRequest {
    /// The highest version; `None` for all.
    pub to: Option<Version>,
    /// True to apply versions below the highest applied one too.
    pub allow_out_of_order: bool,
    /// True to begin in a database in which another runner has recorded what it applied.
    pub allow_other_ledger: bool,
    /// True to keep all migrations of the run or none of them.
    pub single_transaction: bool,
}

impl MigrateRequest {
    /// Checks that the plan allows this request: the version exists, no applied file was changed or is missing, and the
    /// order is kept.
    pub fn check(&self, plan: &Plan, migrations: &Migrations) -> Result<(), Error> {
        self.check_version(migrations)?;
        plan.require_unchanged()?;
        if !self.allow_other_ledger {
            plan.require_own_database()?;
        }
        if !self.allow_out_of_order {
            plan.require_order(self.to.as_ref())?;
        }
        // What is applied has run, here or with another tool; only what is to run must be fit for it.
        let wanted = || plan.pending.iter().filter(|pending| self.takes(&pending.version));
        let migration = |pending: &PendingMigration| migrations.get(&pending.version);
        let mut wanted_files = wanted().filter_map(migration).chain(self.files(plan, migrations));
        wanted_files.try_for_each(|migration| Ok::<_, Error>(migration.require_sound()?))?;
        if !self.single_transaction {
            return Ok(());
        }
        let all = wanted().filter_map(migration).chain(self.files(plan, migrations));
        let sections = all.map(|migration| (migration.label(), &migration.up));
        require_one_transaction(migrations.dialect(), sections)
    }

    /// Returns the repeatable migrations that the request includes. They belong to the state after the highest version.
    pub fn files<'a>(&self, plan: &Plan, migrations: &'a Migrations) -> Vec<&'a Migration> {
        if self.to.is_some() {
            return Vec::new();
        }
        let pending = plan.pending_files();
        let is_pending = |file: &&Migration| pending.iter().any(|state| state.name == file.label());
        migrations.files().iter().filter(is_pending).collect()
    }

    /// Fails if there is no such version, whatever the state of the database.
    pub fn check_version(&self, migrations: &Migrations) -> Result<(), Error> {
        match self.to.as_ref().filter(|to| migrations.get(to).is_none()) {
            Some(to) => Err(Error::Usage {
                what: format!("there is no migration with version {to}"),
                next: "`haul db status` lists the versions".into(),
            }),
            None => Ok(()),
        }
    }

    /// Returns true if the request includes this version.
    pub fn takes(&self, version: &Version) -> bool {
        self.to.as_ref().is_none_or(|to| version <= to)
    }
}

impl Runner {
    /// Applies the pending migrations. A migration that fails is not an error of this call; the summary reports it.
    pub fn migrate(&mut self, request: &MigrateRequest, control: &Control<'_>) -> Result<RunSummary, Error> {
        let migrations = self.migrations.clone();
        // A refused first run must not leave haul's tables behind.
        if !StateReader::new(&mut *self.database, &self.options.tables).exists().map_err(|error| self.error(error))? {
            let plan = self.plan()?;
            request.check(&plan, &migrations)?;
            note_other_tables(&plan, control);
        }
        self.locked(control, |runner| {
            let mut plan = runner.plan()?;
            request.check(&plan, &migrations)?;
            if runner.record_squashed(&plan, control)? {
                plan = runner.plan()?;
            }
            note_files(&plan, &migrations, control);
            let wanted: Vec<_> = plan.pending.iter().filter(|pending| request.takes(&pending.version)).collect();
            let files = request.files(&plan, &migrations);
            let destroys_data =
                wanted.iter().any(|pending| !pending.destructive.is_empty()) || runner.destroys_data(&files);
            let versioned = wanted.iter().filter_map(|pending| migrations.get(&pending.version));
            let tasks: Vec<_> = versioned.chain(files.iter().copied()).map(Task::up).collect();
            let backup = if tasks.is_empty() { None } else { runner.back_up(&plan, &tasks, destroys_data, control)? };
            if !files.is_empty() {
                runner.state(|state| state.create_files())?;
            }
            let end = runner.apply(&plan, &migrations, request, control)?;
            let backup = runner.settle_backups(backup, &end, control)?;
            Ok(RunSummary { backup, ..end })
        })
    }

    fn apply(
        &mut self,
        plan: &Plan,
        migrations: &Arc<Migrations>,
        request: &MigrateRequest,
        control: &Control<'_>,
    ) -> Result<RunSummary, Error> {
        let (wanted, later): (Vec<_>, Vec<_>) =
            plan.pending.iter().partition(|pending| request.takes(&pending.version));
        let versioned = wanted.iter().filter_map(|pending| migrations.get(&pending.version));
        let tasks: Vec<_> = versioned.chain(request.files(plan, migrations)).map(Task::up).collect();
        let mut end = RunSummary::new(plan.applied.len());
        let frame =
            RunFrame { direction: Direction::Up, tasks: &tasks, single_transaction: request.single_transaction };
        control.phase(Phase::Run, Expected::records(tasks.len() as u64), || {
            self.in_frame(&frame, control, &mut end, |runner, started, end| {
                runner.apply_all(plan, &tasks, started, control, end)
            })
        })?;
        let left = tasks.iter().skip(usize::try_from(end.applied).unwrap_or(usize::MAX));
        end.pending = left.map(|task| task.migration.label()).collect();
        end.pending.extend(later.iter().map(|pending| pending.name.clone()));
        if request.to.is_some() {
            end.pending.extend(plan.pending_files().iter().map(|file| file.name.clone()));
        }
        Ok(end)
    }

    pub(super) fn apply_all(
        &mut self,
        plan: &Plan,
        tasks: &[Task<'_>],
        mut started: Option<Started>,
        control: &Control<'_>,
        end: &mut RunSummary,
    ) -> Result<(), Error> {
        for (index, task) in tasks.iter().copied().enumerate() {
            if control.stop.is_requested() {
                end.stopped = true;
                return started.map_or(Ok(()), |started| self.cancel_started(task, started, STOPPED));
            }
            note_earlier(task.migration, plan, control);
            let next = tasks.get(index + 1).copied();
            let Goes::On(next) = self.run_task(task, plan, (started.take(), next), control, end)? else { break };
            started = next;
        }
        Ok(())
    }

    /// Runs the hooks before a section, the section, and the hooks after it. `started` is its row in the log if there is
    /// one already; the row of `next` may be written with this section.
    pub(super) fn run_task(
        &mut self,
        task: Task<'_>,
        plan: &Plan,
        (started, next): (Option<Started>, Option<Task<'_>>),
        control: &Control<'_>,
        end: &mut RunSummary,
    ) -> Result<Goes, Error> {
        if !self.run_hooks(&Moment::each(HookTime::BeforeEach, &task, "pending"), control, end) {
            if let Some(started) = started {
                self.cancel_started(task, started, if end.stopped { STOPPED } else { "a hook failed" })?;
            }
            return Ok(Goes::NoFurther);
        }
        self.prepare(task)?;
        let version = &task.migration.version;
        let mut next_started = None;
        let mut result = if task.runs_without_transaction() {
            self.run_without_transaction(task, plan.newest.get(version.digits()))?
        } else if task.has_batches() {
            self.run_in_batches(task, plan.cursor(version, task.direction), Extent::All, control)?
        } else {
            let (result, started) = self.run_in_transaction(task, started, next.filter(Task::is_one_transaction))?;
            next_started = started;
            result
        };
        self.keep_notices(task.migration, result.detail_mut(), control);
        if !end.add(result, control) {
            return Ok(Goes::NoFurther);
        }
        let moment = Moment::each(HookTime::AfterEach, &task, task.done_text());
        if !self.run_hooks(&moment, control, end) {
            if let Some((next, started)) = next.zip(next_started) {
                self.cancel_started(next, started, if end.stopped { STOPPED } else { "a hook failed" })?;
            }
            return Ok(Goes::NoFurther);
        }
        Ok(Goes::On(next_started))
    }
}

/// What comes after a section.
pub(super) enum Goes {
    /// The next section, with its row in the log if that was written already.
    On(Option<Started>),
    /// The end of the run.
    NoFurther,
}

impl RunSummary {
    pub(super) fn new(skipped: usize) -> Self {
        Self {
            applied: 0,
            skipped: skipped as u64,
            failed: 0,
            pending: Vec::new(),
            details: Vec::new(),
            failure: None,
            stopped: false,
            backup: None,
        }
    }

    /// Counts a migration. Returns false if the run ends with it.
    pub(super) fn add(&mut self, end: TaskResult, control: &Control<'_>) -> bool {
        match end {
            TaskResult::Done(detail) => {
                self.applied += 1;
                self.details.push(detail);
                control.progress(1, 0);
                true
            }
            TaskResult::Failed(detail, failure) => {
                self.failed += 1;
                self.details.push(detail);
                self.failure = Some(failure);
                false
            }
            TaskResult::Stopped(detail) => {
                self.stopped = true;
                self.details.push(detail);
                false
            }
        }
    }
}

/// Says at the first run that there are tables which migrations of these files may already have made.
fn note_other_tables(plan: &Plan, control: &Control<'_>) {
    const SHOWN_MAX: usize = 3;
    let tables = &plan.others.tables;
    if tables.is_empty() {
        return;
    }
    let shown = tables[..tables.len().min(SHOWN_MAX)].join(", ");
    let more = match tables.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "nothing is applied yet, and the database has tables: {shown}{more}; if these files made them, `haul db baseline \
         VERSION` records that"
    );
    control.note(text);
}

/// Reports applied files in which a comment looks like a section marker: both parts may have
/// been applied.
fn note_files(plan: &Plan, migrations: &Migrations, control: &Control<'_>) {
    let applied = plan.applied.iter().filter_map(|row| migrations.get(&row.version)?.fault());
    let markers: Vec<_> = applied.filter(|fault| fault.is_about_marker()).collect();
    if let Some(first) = markers.first() {
        let count = markers.len();
        control.note(format!("{first}; it is applied: look whether its parts ran together ({count} in all)"));
    }
}

/// Reports that an earlier attempt did not end and that this is another one.
fn note_earlier(migration: &Migration, plan: &Plan, control: &Control<'_>) {
    let row = plan.newest.get(&migration.log_version());
    if row.and_then(|row| row.known_outcome()) == Some(Outcome::Started) {
        let text = row.and_then(earlier_attempt).unwrap_or_default();
        control.note(format!("{}: {text}; trying again", migration.label()));
    }
}
