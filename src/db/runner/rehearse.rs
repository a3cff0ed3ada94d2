//! Runs migrations on a database that keeps nothing of them.

use super::Runner;
use super::batched::Extent;
use super::migrate::MigrateRequest;
use super::run_summary::RunSummary;
use super::task::Task;
use crate::db::script::Direction;
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

/// The result of a rehearsal.
#[derive(Debug, Clone)]
pub struct RehearsalSummary {
    /// What succeeded and what failed.
    pub end: RunSummary,
    /// Labels of the migrations that were left out: a section without a transaction cannot be rolled back.
    pub not_exercised: Vec<String>,
    /// Labels of the migrations whose batches ran for one page only.
    pub first_pages_only: Vec<String>,
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
            let tasks = wanted.filter_map(|pending| migrations.get(&pending.version)).map(Task::up);
            let (left_out, tasks): (Vec<_>, Vec<_>) = tasks.partition(Task::runs_without_transaction);
            let mut first_pages_only = Vec::new();
            let mut end = RunSummary::new(plan.applied.len());
            control.phase(Phase::Run, Expected::records(tasks.len() as u64), || {
                for task in tasks {
                    end.stopped |= control.stop.is_requested();
                    if end.stopped {
                        break;
                    }
                    let task_end = if task.has_batches() {
                        let cursor = plan.cursor(&task.migration.version, Direction::Up);
                        first_pages_only.push(task.migration.label());
                        runner.run_in_batches(task, cursor, Extent::FirstPage, control)?
                    } else {
                        runner.run_in_transaction(task, None, None)?.0
                    };
                    if !end.add(task_end, control) {
                        break;
                    }
                }
                Ok::<_, Error>(())
            })?;
            let not_exercised = left_out.iter().map(|task| task.migration.label()).collect();
            Ok(RehearsalSummary { end, not_exercised, first_pages_only })
        })
    }
}
