//! Applies the pending migrations, lowest version first, and stops at the first failure.

use std::sync::Arc;

use super::Runner;
use super::batched::Extent;
use super::plan::Plan;
use super::run_summary::RunSummary;
use super::task::{Task, TaskResult};
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{Outcome, StateReader};
use crate::db::version::Version;
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

/// What to apply.
#[derive(Debug, Clone, Default)]
pub struct MigrateRequest {
    /// The highest version; `None` for all.
    pub to: Option<Version>,
    /// True to apply versions below the highest applied one too.
    pub allow_out_of_order: bool,
    /// True to begin in a database in which another runner has recorded what it applied.
    pub allow_other_ledger: bool,
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
        let wanted = plan.pending.iter().filter(|pending| self.takes(&pending.version));
        wanted
            .filter_map(|pending| migrations.get(&pending.version))
            .try_for_each(|migration| Ok(migration.require_sound()?))
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
            let plan = runner.plan()?;
            request.check(&plan, &migrations)?;
            note_files(&plan, &migrations, control);
            let wanted: Vec<_> = plan.pending.iter().filter(|pending| request.takes(&pending.version)).collect();
            let backup = runner.back_up_before(&wanted, control)?;
            let end = runner.apply(&plan, &migrations, request, control)?;
            let backup = runner.drop_needless_backup(backup, &end, control)?;
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
        let tasks: Vec<_> =
            wanted.iter().filter_map(|pending| migrations.get(&pending.version)).map(Task::up).collect();
        let mut end = RunSummary::new(plan.applied.len());
        control.phase(Phase::Run, Expected::records(tasks.len() as u64), || {
            self.apply_all(plan, &tasks, control, &mut end)
        })?;
        let left = tasks.iter().skip(usize::try_from(end.applied).unwrap_or(usize::MAX));
        end.pending = left.map(|task| task.migration.label()).collect();
        end.pending.extend(later.iter().map(|pending| pending.name.clone()));
        Ok(end)
    }

    pub(super) fn apply_all(
        &mut self,
        plan: &Plan,
        tasks: &[Task<'_>],
        control: &Control<'_>,
        end: &mut RunSummary,
    ) -> Result<(), Error> {
        let mut started = None;
        for (index, task) in tasks.iter().copied().enumerate() {
            if control.stop.is_requested() {
                end.stopped = true;
                return started.map_or(Ok(()), |started| self.cancel_started(task, started));
            }
            self.prepare(task)?;
            let earlier = plan.newest.get(task.migration.version.digits());
            note_earlier(task.migration, plan, control);
            let task_end = if task.runs_without_transaction() {
                self.run_without_transaction(task, earlier)?
            } else if task.has_batches() {
                let cursor = plan.cursor(&task.migration.version, Direction::Up);
                self.run_in_batches(task, cursor, Extent::All, control)?
            } else {
                let next = tasks.get(index + 1).copied().filter(Task::is_one_transaction);
                let (task_end, next) = self.run_in_transaction(task, started.take(), next)?;
                started = next;
                task_end
            };
            self.show_notices(&task.migration.label(), control);
            if !end.add(task_end, control) {
                break;
            }
        }
        Ok(())
    }
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

/// Reports files that are not run, and applied files in which a comment looks like a section marker: both parts may have
/// been applied.
fn note_files(plan: &Plan, migrations: &Migrations, control: &Control<'_>) {
    if let Some(first) = migrations.left_out().first() {
        let count = migrations.left_out().len();
        control.note(format!("{}: repeatable migrations are not run ({count} in all)", first.display()));
    }
    let applied = plan.applied.iter().filter_map(|row| migrations.get(&row.version)?.fault());
    let markers: Vec<_> = applied.filter(|fault| fault.is_about_marker()).collect();
    if let Some(first) = markers.first() {
        let count = markers.len();
        control.note(format!("{first}; it is applied: look whether its parts ran together ({count} in all)"));
    }
}

/// Reports that an earlier attempt did not end and that this is another one.
fn note_earlier(migration: &Migration, plan: &Plan, control: &Control<'_>) {
    let row = plan.newest.get(migration.version.digits());
    if row.and_then(|row| row.known_outcome()) == Some(Outcome::Started) {
        let pending = plan.pending.iter().find(|pending| pending.version == migration.version);
        let text = pending.and_then(|pending| pending.earlier_attempt.clone()).unwrap_or_default();
        control.note(format!("{}: {text}; trying again", migration.label()));
    }
}
