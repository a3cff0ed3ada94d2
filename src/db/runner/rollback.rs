//! Rolls migrations back, newest first, and stops at the first failure.

use super::Runner;
use super::batched::Extent;
use super::plan::Plan;
use super::run_summary::{Detail, RunSummary};
use super::task::{Task, TaskResult};
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
                match sections.filter_map(|down| down.fault.clone()).next() {
                    Some(fault) => Err(fault.into()),
                    None => Ok(rows),
                }
            }
        }
    }
}

fn down_tasks<'a>(rows: &[&AppliedRow], migrations: &'a Migrations) -> Vec<Task<'a>> {
    let task = |migration: &'a Migration| {
        Some(Task { migration, section: migration.down.as_ref()?, direction: Direction::Down })
    };
    rows.iter().filter_map(|row| migrations.get(&row.version).and_then(task)).collect()
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
            let end = control.phase(Phase::Rollback, Expected::records(rows.len() as u64), || {
                runner.revert_all(&plan, &rows, control)
            })?;
            let backup = runner.settle_backups(backup, &end, control)?;
            Ok(RunSummary { backup, ..end })
        })
    }

    /// Rolls the newest migration back and applies it again. Does nothing if no migration is applied.
    pub fn redo(&mut self, control: &Control<'_>) -> Result<RunSummary, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let request = RollbackRequest { to: RollbackTo::Steps(1), force: false };
            let rows = request.select(&plan, &migrations)?;
            let mut again = rows.iter().filter_map(|row| migrations.get(&row.version));
            again.try_for_each(Migration::require_sound)?;
            let mut tasks = down_tasks(&rows, &migrations);
            tasks.extend(rows.iter().filter_map(|row| migrations.get(&row.version)).map(Task::up));
            let backup = if rows.is_empty() { None } else { runner.back_up(&plan, &tasks, true, control)? };
            let mut end = runner.revert_all(&plan, &rows, control)?;
            end.backup = runner.settle_backups(backup, &end, control)?;
            let migration = rows.first().and_then(|row| migrations.get(&row.version));
            if let Some(migration) = migration.filter(|_| end.failure.is_none() && !end.stopped) {
                let plan = runner.plan()?;
                runner.apply_all(&plan, &[Task::up(migration)], control, &mut end)?;
            }
            Ok(end)
        })
    }

    fn revert_all(&mut self, plan: &Plan, rows: &[&AppliedRow], control: &Control<'_>) -> Result<RunSummary, Error> {
        let mut end = RunSummary::new(0);
        let mut left = rows.iter();
        for row in left.by_ref() {
            if control.stop.is_requested() {
                end.stopped = true;
                end.pending.push(row.name.clone());
                break;
            }
            let mut task_end = self.revert(plan, row, control)?;
            self.keep_notices(&row.version, task_end.detail_mut(), control);
            if !end.add(task_end, control) {
                end.pending.push(row.name.clone());
                break;
            }
        }
        end.pending.extend(left.map(|row| row.name.clone()));
        Ok(end)
    }

    fn revert(&mut self, plan: &Plan, row: &AppliedRow, control: &Control<'_>) -> Result<TaskResult, Error> {
        let migrations = self.migrations.clone();
        let found = migrations.get(&row.version);
        let Some((migration, section)) = found.and_then(|found| Some((found, found.down.as_ref()?))) else {
            return self.forget(row);
        };
        let task = Task { migration, section, direction: Direction::Down };
        self.prepare(task)?;
        if task.runs_without_transaction() {
            return self.run_without_transaction(task, plan.newest.get(row.version.digits()));
        }
        if task.has_batches() {
            return self.run_in_batches(task, plan.cursor(&row.version, Direction::Down), Extent::All, control);
        }
        self.run_in_transaction(task, None, None).map(|(end, _)| end)
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
