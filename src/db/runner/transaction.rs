//! A section in one transaction with its row of the ledger.

use super::Runner;
use super::end::{Failure, Kept};
use super::task::{Attempt, Task, TaskEnd};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::state::{LogEntry, Outcome};
use crate::migration::Error;

/// A row "started" that is in the log already.
pub(super) struct Started {
    pub id: i64,
    pub at: String,
}

/// Where a section stopped, and why.
struct Stop {
    index: Option<usize>,
    error: EngineError,
    is_in_commit: bool,
    /// True if the limit was passed when nothing ran that could be cancelled.
    is_late: bool,
}

impl Stop {
    /// At no statement.
    fn outside(error: EngineError) -> Self {
        Self { index: None, error, is_in_commit: false, is_late: false }
    }
}

impl Runner {
    /// Runs a section in a transaction. The row that begins the attempt at `next` is written along with it, so that a
    /// series of migrations costs one commit each.
    pub(super) fn in_transaction(
        &mut self,
        task: Task<'_>,
        started: Option<Started>,
        next: Option<Task<'_>>,
    ) -> Result<(TaskEnd, Option<Started>), Error> {
        let started = match started {
            Some(started) => started,
            None => self.start(task)?,
        };
        let attempt = Attempt::new(started.id, started.at);
        let limits = task.limits(self.options.timeout);
        let result = self.database.arm(&limits, &self.stop).map_err(Stop::outside);
        let result = result.and_then(|()| self.section(task, &attempt, next));
        let is_late = self.database.disarm();
        match result {
            Ok(next) => Ok((task.done(&attempt), next)),
            Err(stop) => {
                let error = task.explain(stop.error, is_late || stop.is_late, limits.timeout, &self.stop);
                let stop = Stop { error, ..stop };
                let end = match stop.error.kind {
                    EngineErrorKind::Stopped => self.withdraw(task, &attempt, stop.index)?,
                    _ => self.undo(task, &attempt, stop),
                };
                Ok((end, None))
            }
        }
    }

    /// Writes the row that begins an attempt.
    pub(super) fn start(&mut self, task: Task<'_>) -> Result<Started, Error> {
        let entry = task.started();
        Ok(Started { id: self.append(&entry)?, at: entry.started_at })
    }

    fn section(&mut self, task: Task<'_>, attempt: &Attempt, next: Option<Task<'_>>) -> Result<Option<Started>, Stop> {
        self.database.begin().map_err(Stop::outside)?;
        for (index, (_, statement)) in task.section.statements().enumerate() {
            let at = |error| Stop { index: Some(index), ..Stop::outside(error) };
            if self.stop.is_requested() {
                return Err(at(EngineError::new(EngineErrorKind::Stopped, "stopped on request")));
            }
            self.database.run(statement).map_err(at)?;
        }
        self.database.check_before_commit().map_err(Stop::outside)?;
        if self.database.disarm() {
            let error = EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit");
            return Err(Stop { is_late: true, ..Stop::outside(error) });
        }
        let owner = self.options.owner.clone();
        let next = self.try_state(|state| {
            task.record_success(state, attempt, &owner)?;
            let entry = next.map(|next| next.started());
            let id = entry.as_ref().map(|entry| state.append(entry)).transpose()?;
            Ok(id.zip(entry).map(|(id, entry)| Started { id, at: entry.started_at }))
        });
        let next = next.map_err(Stop::outside)?;
        self.database.commit().map_err(|error| Stop { is_in_commit: true, ..Stop::outside(error) })?;
        Ok(next)
    }

    /// Rolls back and writes down what happened, as far as the connection still lets it.
    fn undo(&mut self, task: Task<'_>, attempt: &Attempt, stop: Stop) -> TaskEnd {
        let is_unknown = stop.error.kind == EngineErrorKind::TransactionLost
            || (stop.is_in_commit && stop.error.kind == EngineErrorKind::Disconnected);
        let kept = if is_unknown { Kept::Unknown } else { Kept::Nothing };
        let failure = Failure::new(&task.place(self.database.dialect(), stop.index), &stop.error, kept);
        let statement = stop.index.and_then(|index| i64::try_from(index + 1).ok());
        let entry = LogEntry { statement, error: Some(failure.what()), ..task.row(attempt, Outcome::Failed) };
        // A lost connection leaves "started" in the log, which the next run explains.
        let _ = self.database.rollback().and_then(|()| self.try_state(|state| state.append(&entry)));
        task.failed(attempt, failure)
    }

    /// Rolls back on request.
    fn withdraw(&mut self, task: Task<'_>, attempt: &Attempt, index: Option<usize>) -> Result<TaskEnd, Error> {
        self.database.rollback().map_err(|error| self.error(error))?;
        let statement = index.and_then(|index| i64::try_from(index + 1).ok());
        let error = Some("stopped on request; nothing of it stayed".to_owned());
        self.append(&LogEntry { statement, error, ..task.row(attempt, Outcome::Stopped) })?;
        Ok(task.stopped(attempt))
    }

    /// Ends an attempt that began and is not made: the run was asked to stop.
    pub(super) fn call_off(&mut self, task: Task<'_>, started: Started) -> Result<(), Error> {
        let attempt = Attempt::new(started.id, started.at);
        let error = Some("stopped on request before its first statement".to_owned());
        self.append(&LogEntry { error, ..task.row(&attempt, Outcome::Stopped) }).map(drop)
    }
}
