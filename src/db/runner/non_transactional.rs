//! A section without a transaction: one statement at a time, and the log knows which one was reached.
//!
//! Before each statement the log gets a row "running" with its number, which also says that those before it are done. An
//! error of the engine leaves "failed" with the statement that the next run goes on with. A process that dies leaves
//! "running": nobody knows whether that statement took effect, and an operator has to say.

use super::Runner;
use super::end::{Failure, Kept};
use super::task::{Attempt, Task, TaskEnd};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::classify::{TransactionControl, Words};
use crate::db::script::{Direction, StatementsDigest};
use crate::db::state::{LogEntry, LogRow, Outcome};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// How far a section got.
struct Progress {
    /// The statement that runs.
    index: usize,
    /// The statement that opened the section's own transaction, if one is open. All from there on comes or goes together.
    opened_at: Option<usize>,
    digest: StatementsDigest,
}

impl Progress {
    /// The statement to go on with if this one fails.
    fn resume_at(&self) -> usize {
        self.opened_at.unwrap_or(self.index)
    }
}

impl Runner {
    /// Runs a section statement by statement, from where an earlier attempt has left it according to `earlier`.
    pub(super) fn without_transaction(&mut self, task: Task<'_>, earlier: Option<&LogRow>) -> Result<TaskEnd, Error> {
        let first = resume_at(task, earlier)?;
        let started = self.start(task)?;
        let attempt = Attempt::new(started.id, started.at);
        let limits = task.limits(self.options.timeout);
        let mut progress = Progress { index: first, opened_at: None, digest: StatementsDigest::default() };
        task.section.statements().take(first).for_each(|(_, statement)| progress.digest.push(statement));
        let result = match self.database.arm(&limits, &StopToken::new()) {
            Ok(()) => self.steps(task, &attempt, &mut progress),
            Err(error) => Err(error),
        };
        let is_late = self.database.disarm();
        let result = result.and_then(|is_whole| {
            if is_whole {
                self.finish_steps(task, &attempt, &progress)?;
            }
            Ok(is_whole)
        });
        match result {
            Ok(true) => Ok(task.done(&attempt)),
            Ok(false) => self.interrupt(task, &attempt, &progress),
            Err(error) => {
                let error = task.explain(error, is_late, limits.timeout, &StopToken::new());
                Ok(self.halt(task, &attempt, &progress, &error))
            }
        }
    }

    /// False if it was asked to stop before the end. A statement is not cancelled for that: what takes effect bit by bit,
    /// such as an index that is built concurrently, would be left in the middle.
    fn steps(&mut self, task: Task<'_>, attempt: &Attempt, progress: &mut Progress) -> Result<bool, EngineError> {
        while progress.index < task.section.len() {
            if self.stop.is_requested() && progress.opened_at.is_none() {
                return Ok(false);
            }
            let (_, statement) = task.section.statement(progress.index);
            if progress.opened_at.is_none() {
                let entry = reached(task, attempt, progress, Outcome::Running);
                self.try_state(|state| state.append(&entry))?;
            }
            self.database.run(statement)?;
            match Words::of(self.database.dialect(), statement).transaction_control(self.database.dialect()) {
                Some(TransactionControl::Opens) => progress.opened_at = progress.opened_at.or(Some(progress.index)),
                Some(TransactionControl::Ends) => progress.opened_at = None,
                Some(TransactionControl::Within) | None => {}
            }
            progress.digest.push(statement);
            progress.index += 1;
        }
        Ok(true)
    }

    /// Says in the log where the next run goes on.
    fn interrupt(&mut self, task: Task<'_>, attempt: &Attempt, progress: &Progress) -> Result<TaskEnd, Error> {
        let number = progress.index + 1;
        let error = Some(format!("stopped on request before statement {number}; the next run goes on there"));
        self.append(&LogEntry { error, ..reached(task, attempt, progress, Outcome::Stopped) })?;
        Ok(task.stopped(attempt))
    }

    fn finish_steps(&mut self, task: Task<'_>, attempt: &Attempt, progress: &Progress) -> Result<(), EngineError> {
        if progress.opened_at.is_some() {
            let what = "the section leaves a transaction open, which was rolled back";
            return Err(EngineError::new(EngineErrorKind::Statement, what).with_hint("end it with COMMIT"));
        }
        self.database.reset()?;
        let owner = self.options.owner.clone();
        self.state_transaction(|state| task.record_success(state, attempt, &owner))
    }

    fn halt(&mut self, task: Task<'_>, attempt: &Attempt, progress: &Progress, error: &EngineError) -> TaskEnd {
        let kept = match error.kind {
            EngineErrorKind::Disconnected => Kept::Unknown,
            _ => Kept::StatementsBefore,
        };
        let index = Some(progress.index).filter(|index| *index < task.section.len());
        let failure = Failure::new(&task.place(self.database.dialect(), index), error, kept);
        let entry = LogEntry { error: Some(failure.what()), ..halted(task, attempt, progress) };
        // A lost connection leaves "running" in the log, which is what is known.
        let _ = self.database.rollback().and_then(|()| self.try_state(|state| state.append(&entry)));
        task.failed(attempt, failure)
    }
}

/// A row that says which statement is reached, and which ones are done.
fn reached(task: Task<'_>, attempt: &Attempt, progress: &Progress, outcome: Outcome) -> LogEntry {
    let statement = i64::try_from(progress.index + 1).ok();
    LogEntry { statement, checksum: Some(progress.digest.text()), ..task.row(attempt, outcome) }
}

/// The same for a statement that failed: an open transaction of the section takes its statements along.
fn halted(task: Task<'_>, attempt: &Attempt, progress: &Progress) -> LogEntry {
    let index = progress.resume_at();
    LogEntry {
        statement: i64::try_from(index + 1).ok(),
        checksum: Some(task.section.digest_before(index)),
        ..task.row(attempt, Outcome::Failed)
    }
}

/// The statement that a section goes on with.
fn resume_at(task: Task<'_>, earlier: Option<&LogRow>) -> Result<usize, Error> {
    let direction = if task.direction == Direction::Up { "up" } else { "down" };
    let Some(row) = earlier.filter(|row| row.direction == direction) else { return Ok(0) };
    let statement = row.statement.and_then(|statement| usize::try_from(statement).ok()).filter(|number| *number > 0);
    match (row.known_outcome(), statement, &row.checksum) {
        (Some(Outcome::Running), Some(number), _) => Err(unknown(task, number, row)),
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
                    "put them back as they were, or say how the database stands with `haul db resolve --version {}`",
                    task.migration.version
                ),
                source: None,
            })
        }
        _ => Ok(0),
    }
}

fn unknown(task: Task<'_>, number: usize, row: &LogRow) -> Error {
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
            "look at the database; then `haul db resolve --version {version} --from-statement {number}` runs it again, \
             `--from-statement {}` goes on behind it, and without either all of {version} counts as done",
            number + 1
        ),
        temporary: false,
        source: None,
    }
}
