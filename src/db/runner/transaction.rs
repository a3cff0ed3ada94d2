//! Runs a section in one transaction together with its ledger row.

use super::Runner;
use super::run_summary::{Failure, Kept};
use super::task::{Attempt, Task, TaskResult};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::hooks::HookTime;
use crate::db::state::{LogEntry, Outcome};
use crate::migration::Error;

/// A row "started" that is already in the log.
pub(super) struct Started {
    pub id: i64,
    pub at: String,
}

/// The error at which a section stopped.
struct SectionError {
    index: Option<usize>,
    error: EngineError,
    is_in_commit: bool,
    /// True if the time limit passed while no statement ran that could be cancelled.
    is_late: bool,
}

impl SectionError {
    /// Creates an error outside of the statements.
    fn outside(error: EngineError) -> Self {
        Self { index: None, error, is_in_commit: false, is_late: false }
    }
}

impl Runner {
    /// Runs a section in a transaction. The log row that starts `next` is written in the same transaction, so that a
    /// series of migrations costs one commit each.
    pub(super) fn run_in_transaction(
        &mut self,
        task: Task<'_>,
        started: Option<Started>,
        next: Option<Task<'_>>,
    ) -> Result<(TaskResult, Option<Started>), Error> {
        let started = match started {
            Some(started) => started,
            None => self.start(task)?,
        };
        let attempt = Attempt::new(started.id, started.at);
        let limits = task.limits(self.options.timeout);
        let result = self.database.arm(&limits, &self.stop).map_err(SectionError::outside);
        let result = result.and_then(|()| self.run_section(task, &attempt, next));
        let is_late = self.database.disarm();
        match result {
            Ok(next) => Ok((task.done(&attempt), next)),
            Err(stop) => {
                let error = task.explain(stop.error, is_late || stop.is_late, limits.timeout, &self.stop);
                let stop = SectionError { error, ..stop };
                let end = match stop.error.kind {
                    EngineErrorKind::Stopped => self.roll_back_on_request(task, &attempt, stop.index)?,
                    _ => self.roll_back_after_failure(task, &attempt, stop),
                };
                Ok((end, None))
            }
        }
    }

    /// Writes the log row that starts an attempt.
    pub(super) fn start(&mut self, task: Task<'_>) -> Result<Started, Error> {
        let entry = task.started();
        Ok(Started { id: self.append(&entry)?, at: entry.started_at })
    }

    fn run_section(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        next: Option<Task<'_>>,
    ) -> Result<Option<Started>, SectionError> {
        if !self.is_joined {
            self.database.begin().map_err(SectionError::outside)?;
        }
        self.run_hooks_inside(HookTime::BeforeEach).map_err(SectionError::outside)?;
        for index in 0..task.section.len() {
            let at = |error| SectionError { index: Some(index), ..SectionError::outside(error) };
            // The engine cancels only a running statement, so a request between two of them is checked here.
            if self.stop.is_requested() {
                return Err(at(EngineError::new(EngineErrorKind::Stopped, "stopped on request")));
            }
            self.run_and_check_build(task.section, index).map_err(at)?;
        }
        if self.is_joined || self.options.hooks.have_sql(HookTime::AfterEach) {
            self.database.end_part().map_err(SectionError::outside)?;
        }
        self.run_hooks_inside(HookTime::AfterEach).map_err(SectionError::outside)?;
        if !self.is_joined {
            self.database.check_before_commit().map_err(SectionError::outside)?;
        }
        // The time limit ends before haul's own statements, which a late cancellation would otherwise hit.
        if self.database.disarm() {
            let error = EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit");
            return Err(SectionError { is_late: true, ..SectionError::outside(error) });
        }
        let owner = self.options.owner.clone();
        let is_joined = self.is_joined;
        let next = self.try_state(|state| {
            let mut changes = task.success_changes(state, attempt, &owner).to_vec();
            let entry = next.map(|next| next.started());
            changes.extend(entry.iter().map(|entry| state.logged(entry)));
            let id = match is_joined {
                true => changes.iter().try_fold(None, |_, change| state.make(change).map(Some))?,
                false => state.commit_with(&changes)?.last().copied(),
            };
            Ok(id.zip(entry).map(|(id, entry)| Started { id, at: entry.started_at }))
        });
        next.map_err(|error| SectionError { is_in_commit: !is_joined, ..SectionError::outside(error) })
    }

    /// Rolls back and logs the failure, as far as the connection still allows it.
    fn roll_back_after_failure(&mut self, task: Task<'_>, attempt: &Attempt, stop: SectionError) -> TaskResult {
        let is_unknown = stop.error.kind == EngineErrorKind::TransactionLost
            || (stop.is_in_commit && stop.error.kind == EngineErrorKind::Disconnected);
        let kept = if is_unknown { Kept::Unknown } else { Kept::Nothing };
        let failure = Failure::new(&task.place(self.database.dialect(), stop.index), &stop.error, kept);
        let statement = stop.index.and_then(|index| i64::try_from(index + 1).ok());
        let entry = LogEntry { statement, error: Some(failure.what()), ..task.row(attempt, Outcome::Failed) };
        // A lost connection leaves "started" in the log, which the next run reports.
        let _ = self.database.rollback().and_then(|()| self.append_after_rollback(entry));
        task.failed(attempt, failure)
    }

    /// Rolls back because the run was asked to stop.
    fn roll_back_on_request(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        index: Option<usize>,
    ) -> Result<TaskResult, Error> {
        self.database.rollback().map_err(|error| self.error(error))?;
        let statement = index.and_then(|index| i64::try_from(index + 1).ok());
        let error = Some("stopped on request; it was rolled back".to_owned());
        let entry = LogEntry { statement, error, ..task.row(attempt, Outcome::Stopped) };
        self.append_after_rollback(entry).map_err(|error| self.error(error))?;
        Ok(task.stopped(attempt))
    }

    /// Ends a started attempt before its first statement.
    pub(super) fn cancel_started(&mut self, task: Task<'_>, started: Started, why: &str) -> Result<(), Error> {
        if self.is_joined {
            // Its row goes with the transaction of the run.
            return Ok(());
        }
        let attempt = Attempt::new(started.id, started.at);
        let error = Some(format!("{why} before its first statement"));
        self.append(&LogEntry { error, ..task.row(&attempt, Outcome::Stopped) }).map(drop)
    }
}
