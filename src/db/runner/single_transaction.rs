//! Runs all sections of a run in one transaction (docs/source-sql.md, "One transaction for the whole run").
//!
//! The row that starts the first attempt is committed before the transaction begins, so that a run that was killed
//! leaves a trace. After a failure the rows of the log are written again, because those of the transaction are gone.

use super::Runner;
use super::run_summary::{Failure, Kept, RunSummary};
use super::section::task::{Attempt, Task};
use super::section::transaction::Started;
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::db::script::{Section, connection_setting};
use crate::db::state::{LogEntry, Outcome};
use crate::migration::Error;

/// Fails if one of the sections cannot share a transaction with the others.
pub(super) fn require_one_transaction<'a>(
    dialect: Dialect,
    sections: impl Iterator<Item = (String, &'a Section)>,
) -> Result<(), Error> {
    let mut keys = None;
    for (label, section) in sections {
        let why = if section.settings.no_transaction {
            Some("runs without a transaction".to_owned())
        } else if let Some(batch) = section.batches().first() {
            Some(format!("has batches, which are transactions of their own, on line {}", batch.line))
        } else if let Some(line) = connection_setting(dialect, section) {
            Some(format!("sets a pragma on line {line}, which would hold for the migrations after it too"))
        } else if dialect == Dialect::Sqlite
            && *keys.get_or_insert(section.settings.foreign_keys) != section.settings.foreign_keys
        {
            Some(
                "sets `foreign-keys` otherwise than those before it, and SQLite cannot change that in a transaction"
                    .into(),
            )
        } else {
            None
        };
        if let Some(why) = why {
            return Err(Error::Usage {
                what: format!("{label} cannot run in one transaction with others: it {why}; nothing was run"),
                next: "run it alone, with --to if others come after it; or leave --single-transaction out".into(),
            });
        }
    }
    Ok(())
}

/// Says what to do about a failure that has rolled back the whole run.
fn next(failure: &Failure) -> String {
    const NEW_ENUM_VALUE: &str = "SQLSTATE 55P04";
    let then = match (&failure.code, failure.kept) {
        (Some(code), _) if code == NEW_ENUM_VALUE => {
            "the value can be used after the commit of the migration that adds it: run without --single-transaction"
        }
        // What was said of a hook is about migrations that stay.
        (_, Kept::All) => "correct the hook and run the same command again",
        _ => failure.next.as_str(),
    };
    format!("all was one transaction, so nothing of this run was kept; {then}")
}

impl Runner {
    /// Does `work`, which runs the sections of `tasks`, in one transaction. All of it is kept, or nothing.
    pub(super) fn in_single_transaction(
        &mut self,
        tasks: &[Task<'_>],
        end: &mut RunSummary,
        work: impl FnOnce(&mut Self, Started, &mut RunSummary) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some((first, last)) = tasks.first().copied().zip(tasks.last().copied()) else { return Ok(()) };
        let started = self.start(first)?;
        let attempt = Attempt::new(started.id, started.at.clone());
        self.begin_run(first).map_err(|error| self.error(error))?;
        self.is_joined = true;
        let result = work(self, started, end);
        self.is_joined = false;
        if result.is_ok() && end.failure.is_none() && !end.stopped {
            match self.database.commit() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let failure = Failure::new(&last.place(self.database.dialect(), None), &error, Kept::Unknown);
                    let entry = LogEntry { error: Some(failure.what()), ..last.row(&attempt, Outcome::Failed) };
                    self.unlogged.push(entry);
                    end.failure = Some(failure);
                }
            }
        }
        self.undo_run(first, &attempt, end, result.as_ref().err());
        result
    }

    /// Begins the transaction of the run, with the settings that have no effect inside of one.
    fn begin_run(&mut self, first: Task<'_>) -> Result<(), EngineError> {
        self.database.forget_session()?;
        self.database.arm(&first.limits(self.options.timeout), &self.stop)?;
        let result = self.database.begin();
        self.database.disarm();
        result
    }

    /// Rolls the run back, and logs why, as far as the connection still allows it.
    fn undo_run(&mut self, first: Task<'_>, attempt: &Attempt, end: &mut RunSummary, error: Option<&Error>) {
        let _ = self.roll_back();
        for detail in end.details.iter_mut().filter(|detail| detail.error.is_none() && detail.status != "stopped") {
            detail.status = "rolled_back";
        }
        end.applied = 0;
        let reason = match (&mut end.failure, error) {
            (Some(failure), _) => {
                if failure.kept != Kept::Unknown {
                    failure.next = next(failure);
                    failure.kept = Kept::Nothing;
                }
                format!(
                    "rolled back, because all was one transaction and another part of it failed: {}",
                    failure.what()
                )
            }
            (None, Some(error)) => format!("rolled back with all of the run: {error}"),
            (None, None) => "stopped on request; the whole run was rolled back".to_owned(),
        };
        let entries = std::mem::take(&mut self.unlogged);
        let is_about_first = entries.iter().any(|entry| entry.attempt == Some(attempt.id));
        let row = LogEntry { error: Some(reason), ..first.row(attempt, Outcome::Stopped) };
        let rows = Some(row).filter(|_| !is_about_first).into_iter().chain(entries);
        for mut entry in rows {
            // The rows that started the other attempts were rolled back.
            entry.attempt = entry.attempt.filter(|id| *id == attempt.id);
            // A lost connection leaves "started" in the log, which the next run reports.
            let _ = self.try_state(|state| state.append(&entry));
        }
    }

    /// Appends a row that must outlive the transaction of the section, which is rolled back.
    pub(super) fn append_after_rollback(&mut self, entry: LogEntry) -> Result<(), EngineError> {
        if self.is_joined {
            self.unlogged.push(entry);
            return Ok(());
        }
        self.try_state(|state| state.append(&entry)).map(drop)
    }
}
