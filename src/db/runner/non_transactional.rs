//! Runs a section without a transaction: one statement at a time, each recorded in the log before it runs.
//!
//! Before each statement the log gets a row "running" with its number, which also says that those before it are done.
//! An error of the engine leaves "failed" with the statement at which the next run continues. A process that dies
//! leaves "running": whether that statement took effect is unknown, so an operator must decide.

use super::Runner;
use super::run_summary::{Failure, Kept};
use super::task::{Attempt, Task, TaskResult};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::classify::{Keywords, TransactionControl};
use crate::db::script::{Direction, SessionLog, StatementsDigest};
use crate::db::state::{LogEntry, LogRow, Outcome};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Stands in the log for the digest of the statements before, if these have set for their session what a run that
/// continues cannot set again.
const SESSION_LOST: &str = "session";

/// The progress of a section.
struct Progress {
    /// The current statement.
    index: usize,
    /// The statement that opened the section's own transaction, if one is open. Everything from there on is committed
    /// or rolled back together.
    opened_at: Option<usize>,
    digest: StatementsDigest,
    /// What the statements so far have set for the session.
    session: SessionLog,
    /// True while haul's own statements run, whose errors are not those of the current statement.
    is_own: bool,
}

impl Progress {
    /// Returns the statement to continue with if this one fails.
    fn resume_at(&self) -> usize {
        self.opened_at.unwrap_or(self.index)
    }
}

impl Runner {
    /// Runs a section statement by statement, starting where the earlier attempt `earlier` stopped.
    pub(super) fn run_without_transaction(
        &mut self,
        task: Task<'_>,
        earlier: Option<&LogRow>,
    ) -> Result<TaskResult, Error> {
        let first = resume_at(task, earlier)?;
        let started = self.start(task)?;
        let attempt = Attempt::new(started.id, started.at);
        let limits = task.limits_without_transaction(self.database.dialect(), &self.options);
        let session = SessionLog::before(self.database.dialect(), task.section, first);
        let digest = StatementsDigest::default();
        let mut progress = Progress { index: first, opened_at: None, digest, session, is_own: false };
        task.section.written_statements().take(first).for_each(|(_, statement)| progress.digest.push(&statement));
        // The section gets a stop token of its own, so that a request never cancels a running statement.
        let result = match self.database.arm(&limits, &StopToken::new()) {
            Ok(()) => self
                .set_session(task, &progress.session.all())
                .and_then(|()| self.run_statements(task, &attempt, &mut progress)),
            Err(error) => Err(error),
        };
        let is_late = self.database.disarm();
        let result = result.and_then(|is_whole| {
            if is_whole {
                self.finish_statements(task, &attempt, &mut progress)?;
            }
            Ok(is_whole)
        });
        match result {
            Ok(true) => Ok(task.done(&attempt)),
            Ok(false) => self.stop_before_statement(task, &attempt, &progress),
            Err(error) => {
                let error = task.explain(error, is_late, limits.timeout, &StopToken::new());
                Ok(self.fail_at_statement(task, &attempt, &progress, &error))
            }
        }
    }

    /// Returns false if it was asked to stop before the end. The request does not cancel a running statement: one that
    /// takes effect step by step, such as the concurrent build of an index, would be left half done.
    fn run_statements(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        progress: &mut Progress,
    ) -> Result<bool, EngineError> {
        let is_last = |index: usize| index + 1 >= task.section.len();
        let mut state = self.session_state()?;
        let mut unchecked = progress.index;
        while progress.index < task.section.len() {
            if self.stop.is_requested() && progress.opened_at.is_none() {
                return Ok(false);
            }
            let (_, statement) = task.section.statement(progress.index);
            if progress.opened_at.is_none() {
                self.log_statement(task, attempt, progress)?;
            }
            self.run_and_check_build(task.section, progress.index)?;
            progress.session.push(self.database.dialect(), progress.index, statement);
            match Keywords::of(self.database.dialect(), statement).transaction_control(self.database.dialect()) {
                Some(TransactionControl::Opens) => progress.opened_at = progress.opened_at.or(Some(progress.index)),
                Some(TransactionControl::Ends) => progress.opened_at = None,
                Some(TransactionControl::Within) | None => {}
            }
            // Within a transaction of the section, a query would come before its SET TRANSACTION.
            if progress.opened_at.is_none() && !is_last(progress.index) {
                self.require_known_settings(task, unchecked..progress.index + 1, &mut state)?;
                unchecked = progress.index + 1;
            }
            progress.digest.push(&task.section.written_statement(progress.index).1);
            progress.index += 1;
        }
        Ok(true)
    }

    /// Logs that the current statement runs, after checking that the run still has its lock.
    fn log_statement(&mut self, task: Task<'_>, attempt: &Attempt, progress: &mut Progress) -> Result<(), EngineError> {
        let entry = progress_row(task, attempt, progress, Outcome::Running);
        progress.is_own = true;
        self.require_lock()?;
        self.try_state_in_session(task, &progress.session, |state| state.append(&entry))?;
        progress.is_own = false;
        Ok(())
    }

    /// Logs the statement at which the next run continues.
    fn stop_before_statement(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        progress: &Progress,
    ) -> Result<TaskResult, Error> {
        let number = progress.index + 1;
        let error = Some(format!("stopped on request before statement {number}; the next run continues there"));
        self.database.reset_settings().map_err(|error| self.error(error))?;
        self.append(&LogEntry { error, ..progress_row(task, attempt, progress, Outcome::Stopped) })?;
        Ok(task.stopped(attempt))
    }

    fn finish_statements(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        progress: &mut Progress,
    ) -> Result<(), EngineError> {
        progress.is_own = true;
        self.require_complete_builds(task)?;
        if progress.opened_at.is_some() {
            let what = "the section leaves a transaction open, which was rolled back";
            return Err(EngineError::new(EngineErrorKind::Statement, what).with_hint("end it with COMMIT"));
        }
        self.database.reset()?;
        let owner = self.options.owner.clone();
        self.state_transaction(|state| task.record_success(state, attempt, &owner))
    }

    fn fail_at_statement(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        progress: &Progress,
        error: &EngineError,
    ) -> TaskResult {
        let kept = match error.kind {
            EngineErrorKind::Disconnected => Kept::Unknown,
            EngineErrorKind::UnknownSetting => Kept::StatementsUpToIt,
            _ => Kept::StatementsBefore,
        };
        let index = Some(progress.index).filter(|index| *index < task.section.len() && !progress.is_own);
        let failure = Failure::new(&task.place(self.database.dialect(), index), error, kept);
        let row = match error.kind {
            EngineErrorKind::UnknownSetting => LogEntry {
                statement: i64::try_from(progress.index + 2).ok(),
                checksum: Some(SESSION_LOST.into()),
                ..task.row(attempt, Outcome::Failed)
            },
            _ => failure_row(task, attempt, progress),
        };
        let entry = LogEntry { error: Some(failure.what()), ..row };
        // A lost connection leaves "running" in the log, which is all that is known.
        let _ = self.database.rollback().and_then(|()| self.try_state(|state| state.append(&entry)));
        task.failed(attempt, failure)
    }
}

/// Returns a log row with the statement that was reached; those before it are done.
fn progress_row(task: Task<'_>, attempt: &Attempt, progress: &Progress, outcome: Outcome) -> LogEntry {
    let statement = i64::try_from(progress.index + 1).ok();
    LogEntry { statement, checksum: Some(progress.digest.text()), ..task.row(attempt, outcome) }
}

/// Returns the log row of a failed statement. If the section has opened a transaction, the row names its first
/// statement, because all of it was rolled back.
fn failure_row(task: Task<'_>, attempt: &Attempt, progress: &Progress) -> LogEntry {
    let index = progress.resume_at();
    LogEntry {
        statement: i64::try_from(index + 1).ok(),
        checksum: Some(task.section.digest_before(index)),
        ..task.row(attempt, Outcome::Failed)
    }
}

/// Returns the statement to continue with.
fn resume_at(task: Task<'_>, earlier: Option<&LogRow>) -> Result<usize, Error> {
    let direction = if task.direction == Direction::Up { "up" } else { "down" };
    let Some(row) = earlier.filter(|row| row.direction == direction) else { return Ok(0) };
    let statement = row.statement.and_then(|statement| usize::try_from(statement).ok()).filter(|number| *number > 0);
    match (row.known_outcome(), statement, &row.checksum) {
        (Some(Outcome::Running), Some(number), _) => Err(unknown_effect(task, number, row)),
        (Some(Outcome::Failed), Some(number), Some(digest)) if digest == SESSION_LOST => {
            Err(session_lost(task, number, row))
        }
        (Some(Outcome::Failed | Outcome::Stopped | Outcome::Settled), Some(number), Some(digest)) => {
            let index = number - 1;
            if index <= task.section.len() && task.section.digest_before(index) == *digest {
                return Ok(index);
            }
            Err(Error::Verification {
                what: format!(
                    "{}: the {index} statements that took effect before were changed",
                    task.migration.label()
                ),
                next: format!(
                    "restore them, or record the state of the database with `haul db resolve --version {}`",
                    task.migration.version
                ),
                source: None,
            })
        }
        _ => Ok(0),
    }
}

fn session_lost(task: Task<'_>, number: usize, row: &LogRow) -> Error {
    let (label, version) = (task.migration.label(), &task.migration.version);
    let why = row.error.as_deref().unwrap_or_default();
    Error::Database {
        what: format!("{label}: statement {number} would run without what those before it have set: {why}"),
        next: format!(
            "write that setting as SET before this statement; then `haul db resolve --version {version} --from-statement \
             {number}` continues there"
        ),
        temporary: false,
        source: None,
    }
}

fn unknown_effect(task: Task<'_>, number: usize, row: &LogRow) -> Error {
    let version = &task.migration.version;
    let place = match number <= task.section.len() {
        true => format!("{}:{}", task.section.file.display(), task.section.statement(number - 1).0),
        false => task.section.file.display().to_string(),
    };
    Error::Database {
        what: format!(
            "{place}: it is not known whether statement {number} of {} took effect: the run of {} did not end",
            task.migration.label(),
            row.owner
        ),
        next: format!(
            "inspect the database; then `haul db resolve --version {version} --from-statement {number}` runs it again, \
             `--from-statement {}` continues after it, and without either all of {version} counts as done",
            number + 1
        ),
        temporary: false,
        source: None,
    }
}
