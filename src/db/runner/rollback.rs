//! Rolls migrations back, newest first, and stops at the first failure.

use super::Runner;
use super::hooks::RunFrame;
use super::migrate::Goes;
use super::plan::Plan;
use super::run_summary::{Detail, RunSummary};
use super::section::task::{Task, TaskResult};
use super::section::transaction::Started;
use super::single_transaction::require_one_transaction;
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{AppliedRow, LogEntry, Outcome};
use crate::db::version::Version;
use crate::migration::{Error, now_text};
use crate::pipeline::{Control, Expected, Phase};

/// How far to roll back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RollbackTo {
    /// Until this version is the newest applied one; 0 for all.
    Version(Version),
    /// This many migrations, by order of application.
    Steps(u64),
}

/// What to roll back.
#[derive(Debug, Clone)]
pub struct RollbackRequest {
    /// How far.
    pub to: RollbackTo,
    /// True to ignore changed files, and to only remove the ledger row of a migration without a Down section.
    pub force: bool,
    /// True to roll all of them back or none.
    pub single_transaction: bool,
}

impl RollbackRequest {
    /// Returns the rows to roll back, newest first. Fails before anything runs if the plan does not allow it.
    pub fn select<'a>(&self, plan: &'a Plan, migrations: &Migrations) -> Result<Vec<&'a AppliedRow>, Error> {
        if !self.force {
            plan.require_unchanged()?;
        }
        let kept = match &self.to {
            // 0 is the state before all migrations, also if a file has that number.
            RollbackTo::Version(version) if version.is_zero() => 0,
            RollbackTo::Version(version) => 1 + position(plan, version)?,
            RollbackTo::Steps(steps) => {
                plan.applied.len().saturating_sub(usize::try_from(*steps).unwrap_or(usize::MAX))
            }
        };
        let rows: Vec<_> = plan.applied[kept..].iter().rev().collect();
        let has_down = |row: &&&AppliedRow| migrations.get(&row.version).is_some_and(|found| found.down.is_some());
        match rows.iter().find(|row| !has_down(row)) {
            Some(row) if !self.force => Err(Error::Usage {
                what: format!("{} has no Down section: it cannot be rolled back", row.name),
                next: "undo it by hand and add --force, which removes its row from the ledger".into(),
            }),
            _ => {
                let sections = rows.iter().filter_map(|row| migrations.get(&row.version)?.down.as_ref());
                if let Some(fault) = sections.filter_map(|down| down.fault.clone()).next() {
                    return Err(fault.into());
                }
                if self.single_transaction {
                    let down =
                        |row: &&AppliedRow| Some((row.name.clone(), migrations.get(&row.version)?.down.as_ref()?));
                    require_one_transaction(migrations.dialect(), rows.iter().filter_map(down))?;
                }
                Ok(rows)
            }
        }
    }
}

fn down_tasks<'a>(rows: &[&AppliedRow], migrations: &'a Migrations) -> Vec<Task<'a>> {
    rows.iter().filter_map(|row| migrations.get(&row.version).and_then(Task::down)).collect()
}

fn position(plan: &Plan, version: &Version) -> Result<usize, Error> {
    plan.applied.iter().position(|row| row.version == *version).ok_or_else(|| Error::Usage {
        what: format!("version {version} is not applied"),
        next: "`haul db status` lists the applied ones; `--to 0` rolls all of them back".into(),
    })
}

impl Runner {
    /// Rolls migrations back, each in its own transaction.
    pub fn rollback(&mut self, request: &RollbackRequest, control: &Control<'_>) -> Result<RunSummary, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let rows = request.select(&plan, &migrations)?;
            let tasks = down_tasks(&rows, &migrations);
            let backup = if rows.is_empty() { None } else { runner.back_up(&plan, &tasks, true, control)? };
            let mut end = RunSummary::new(0);
            let single_transaction = request.single_transaction;
            let frame = RunFrame { direction: Direction::Down, tasks: &tasks, single_transaction };
            control.phase(Phase::Rollback, Expected::records(rows.len() as u64), || {
                runner.in_frame(&frame, control, &mut end, |runner, started, end| {
                    runner.revert_all(&plan, &rows, started, control, end)
                })
            })?;
            let done = usize::try_from(end.applied).unwrap_or(usize::MAX);
            end.pending = rows.iter().skip(done).map(|row| row.name.clone()).collect();
            let backup = runner.settle_backups(backup, &end, control)?;
            Ok(RunSummary { backup, ..end })
        })
    }

    /// Rolls the newest migration back and applies it again. Does nothing if no migration is applied.
    pub fn redo(&mut self, control: &Control<'_>) -> Result<RunSummary, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let request = RollbackRequest { to: RollbackTo::Steps(1), force: false, single_transaction: false };
            let rows = request.select(&plan, &migrations)?;
            let mut again = rows.iter().filter_map(|row| migrations.get(&row.version));
            again.try_for_each(Migration::require_sound)?;
            let mut tasks = down_tasks(&rows, &migrations);
            tasks.extend(rows.iter().filter_map(|row| migrations.get(&row.version)).map(Task::up));
            let backup = if rows.is_empty() { None } else { runner.back_up(&plan, &tasks, true, control)? };
            let migration = rows.first().and_then(|row| migrations.get(&row.version));
            let mut end = RunSummary::new(0);
            let tasks: Vec<_> = migration.and_then(Task::down).into_iter().collect();
            let frame = RunFrame { direction: Direction::Up, tasks: &tasks, single_transaction: false };
            runner.in_frame(&frame, control, &mut end, |runner, _, end| {
                runner.revert_all(&plan, &rows, None, control, end)?;
                match migration.filter(|_| end.failure.is_none() && !end.stopped) {
                    Some(migration) => {
                        let plan = runner.plan()?;
                        runner.apply_all(&plan, &[Task::up(migration)], None, control, end)
                    }
                    None => Ok(()),
                }
            })?;
            if end.applied == 0 {
                end.pending = rows.iter().map(|row| row.name.clone()).collect();
            }
            end.backup = runner.settle_backups(backup, &end, control)?;
            Ok(end)
        })
    }

    fn revert_all(
        &mut self,
        plan: &Plan,
        rows: &[&AppliedRow],
        mut started: Option<Started>,
        control: &Control<'_>,
        end: &mut RunSummary,
    ) -> Result<(), Error> {
        let migrations = self.migrations.clone();
        for row in rows {
            if control.stop.is_requested() {
                end.stopped = true;
                break;
            }
            let goes = match migrations.get(&row.version).and_then(Task::down) {
                Some(task) => self.run_task(task, plan, (started.take(), None), control, end)?,
                None => {
                    let forgotten = self.forget(row)?;
                    end.add(forgotten, control);
                    Goes::On(None)
                }
            };
            if matches!(goes, Goes::NoFurther) {
                break;
            }
        }
        Ok(())
    }

    /// Removes the ledger row of a migration without a Down section.
    fn forget(&mut self, row: &AppliedRow) -> Result<TaskResult, Error> {
        let now = now_text();
        let entry = LogEntry {
            attempt: None,
            version: row.version.digits().to_owned(),
            name: row.name.clone(),
            direction: Some(Direction::Down),
            outcome: Outcome::Forgotten,
            started_at: now.clone(),
            finished_at: Some(now),
            duration_ms: Some(0),
            statement: None,
            checksum: Some(row.checksum.clone()),
            error: None,
        };
        let forget = self.state_transaction(|state| {
            state.delete_applied(&row.version)?;
            state.append(&entry)
        });
        forget.map_err(|error| self.error(error))?;
        Ok(TaskResult::Done(Detail {
            name: row.name.clone(),
            status: "forgotten",
            duration_ms: 0,
            pages: None,
            error: None,
            notices: Vec::new(),
            attempt: None,
        }))
    }
}
