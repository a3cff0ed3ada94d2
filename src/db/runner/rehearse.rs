//! Runs migrations on a database that keeps nothing of them.

use serde::Serialize;

use super::Runner;
use super::hooks::RunFrame;
use super::migrate::MigrateRequest;
use super::plan::Plan;
use super::run_summary::RunSummary;
use super::section::batched::Extent;
use super::section::task::{Task, TaskResult};
use crate::db::dialect::Dialect;
use crate::db::script::Direction;
use crate::db::script::classify::Keywords;
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

/// The result of a rehearsal.
#[derive(Debug, Clone)]
pub struct RehearsalSummary {
    /// What succeeded and what failed.
    pub end: RunSummary,
    /// Labels of the migrations that were left out: a section without a transaction cannot be rolled back.
    pub not_exercised: Vec<String>,
    /// The migrations that failed in a way that says nothing about the run.
    pub unclear: Vec<Unclear>,
    /// Labels of the migrations whose batches ran for one page only.
    pub first_pages_only: Vec<String>,
}

/// A migration that failed in a rehearsal, and may succeed in the run.
#[derive(Debug, Clone, Serialize)]
pub struct Unclear {
    /// The label.
    pub name: String,
    /// The error.
    pub error: String,
    /// Why the error says nothing about the run.
    pub reason: &'static str,
}

/// Errors that PostgreSQL gives because the migrations of a rehearsal are one transaction: a value was added to an enum,
/// a table is in use, a statement does not run in a transaction.
const CODES_OF_ONE_TRANSACTION: [&str; 3] = ["SQLSTATE 55P04", "SQLSTATE 55006", "SQLSTATE 25001"];

impl RehearsalSummary {
    /// Adds the result of a migration. `runs_apart` is true if its run is a transaction of its own, unlike a rehearsal.
    fn add(&mut self, result: TaskResult, runs_apart: bool, control: &Control<'_>) {
        let TaskResult::Failed(_, failure) = &result else {
            self.end.add(result, control);
            return;
        };
        let is_of_one = failure.code.as_ref().is_some_and(|code| CODES_OF_ONE_TRANSACTION.contains(&code.as_str()));
        let reason = if !self.not_exercised.is_empty() {
            "a migration before it was left out"
        } else if !self.unclear.is_empty() {
            "a migration before it is unclear too"
        } else if runs_apart && is_of_one {
            "the migrations of a rehearsal are one transaction, those of a run are not"
        } else {
            self.end.add(result, control);
            return;
        };
        self.unclear.push(Unclear { name: failure.name.clone(), error: failure.what(), reason });
    }
}

impl Runner {
    /// Runs the pending migrations on a database of [`Target::rehearse`](crate::db::Target::rehearse), which keeps
    /// nothing of them.
    pub fn rehearse(&mut self, request: &MigrateRequest, control: &Control<'_>) -> Result<RehearsalSummary, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            request.check(&plan, &migrations)?;
            let wanted = plan.pending.iter().filter(|pending| request.takes(&pending.version));
            let versioned = wanted.filter_map(|pending| migrations.get(&pending.version));
            let files = request.files(&plan, &migrations);
            if !files.is_empty() {
                runner.state(|state| state.create_files())?;
            }
            let tasks = versioned.chain(files).map(Task::up);
            let tasks: Vec<_> = tasks.collect();
            let end = RunSummary::new(plan.applied.len());
            let (not_exercised, unclear, first_pages_only) = (Vec::new(), Vec::new(), Vec::new());
            let mut summary = RehearsalSummary { end, not_exercised, unclear, first_pages_only };
            let frame = RunFrame { direction: Direction::Up, tasks: &tasks, single_transaction: false };
            let mut outcome = RunSummary::new(0);
            control.phase(Phase::Run, Expected::records(tasks.len() as u64), || {
                runner.in_frame(&frame, control, &mut outcome, |runner, _, outcome| {
                    tasks
                        .iter()
                        .try_for_each(|task| runner.rehearse_one(*task, (request, &plan), &mut summary, control))?;
                    (outcome.failure, outcome.stopped) = (summary.end.failure.clone(), summary.end.stopped);
                    Ok(())
                })
            })?;
            (summary.end.failure, summary.end.stopped) = (outcome.failure, outcome.stopped);
            Ok(summary)
        })
    }

    fn rehearse_one(
        &mut self,
        task: Task<'_>,
        (request, plan): (&MigrateRequest, &Plan),
        summary: &mut RehearsalSummary,
        control: &Control<'_>,
    ) -> Result<(), Error> {
        summary.end.stopped |= control.stop.is_requested();
        if summary.end.stopped || summary.end.failure.is_some() {
            return Ok(());
        }
        let dialect = self.database.dialect();
        if task.runs_without_transaction() && !can_run_in_copy(task, dialect) {
            summary.not_exercised.push(task.migration.label());
            return Ok(());
        }
        self.prepare(task)?;
        let result = if task.runs_without_transaction() {
            self.run_without_transaction(task, plan.newest.get(task.migration.version.digits()))?
        } else if task.has_batches() {
            let cursor = plan.cursor(&task.migration.version, Direction::Up);
            summary.first_pages_only.push(task.migration.label());
            self.run_in_batches(task, cursor, Extent::FirstPage, control)?
        } else {
            self.run_in_transaction(task, None, None)?.0
        };
        let runs_apart = dialect == Dialect::Postgres && !request.single_transaction;
        summary.add(result, runs_apart, control);
        Ok(())
    }
}

/// Returns true if a section without a transaction can be rehearsed: in a copy of a SQLite database, unless it reaches
/// another file.
fn can_run_in_copy(task: Task<'_>, dialect: Dialect) -> bool {
    let reaches_out = |(_, statement): (u64, &str)| Keywords::of(dialect, statement).reaches_another_file();
    dialect == Dialect::Sqlite && !task.section.statements().any(reaches_out)
}
