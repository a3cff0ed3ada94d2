//! Runs a section with batches: the statements before the first batch in one transaction, then each page in one.
//!
//! Each of these transactions also moves the cursor. A process that dies between or inside them therefore leaves
//! nothing unknown: the next run continues after the cursor.

use std::time::{Duration, Instant};

use super::super::Runner;
use super::super::run_summary::{Failure, Kept, PagesDone};
use super::super::session::SessionState;
use super::pages::{Page, Pages};
use super::task::{Attempt, Task, TaskResult};
use crate::db::database::Limits;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::{Batch, SessionLog};
use crate::db::state::{Cursor, LogEntry, Outcome};
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase, RateLimit};

/// The progress of a section in this attempt.
struct Progress {
    cursor: Cursor,
    /// True once something is committed that the next run builds on.
    is_begun: bool,
    done: PagesDone,
    /// The statements that set the session for the current batch.
    settings: Vec<usize>,
}

/// The error at which a section stopped. `index` is that of a statement.
struct SectionError {
    index: Option<usize>,
    error: EngineError,
}

impl From<EngineError> for SectionError {
    fn from(error: EngineError) -> Self {
        Self { index: None, error }
    }
}

/// How much of each batch runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db::runner) enum Extent {
    All,
    /// For a rehearsal: nothing is kept, and one page shows as much as all of them.
    FirstPage,
}

impl Runner {
    /// Runs a section with batches, starting where an earlier attempt stopped.
    pub(in crate::db::runner) fn run_in_batches(
        &mut self,
        task: Task<'_>,
        earlier: Option<&Cursor>,
        extent: Extent,
        control: &Control<'_>,
    ) -> Result<TaskResult, Error> {
        let cursor = resume_at(task, earlier)?;
        let mut progress =
            Progress { cursor, is_begun: earlier.is_some(), done: PagesDone::default(), settings: Vec::new() };
        self.state(|state| state.create_cursors())?;
        let started = self.start(task)?;
        let attempt = Attempt::new(started.id, started.at);
        let result = control
            .phase(Phase::Backfill, Expected::UNKNOWN, || self.run_batches(task, extent, &mut progress, control));
        let result = result.and_then(|is_whole| {
            if is_whole {
                self.finish_batches(task, &attempt)?;
            }
            Ok(is_whole)
        });
        Ok(match result {
            Ok(true) => task.done(&attempt).with_pages(progress.done),
            Ok(false) => self.stop_between_pages(task, &attempt, &progress),
            Err(stop) if stop.error.kind == EngineErrorKind::Stopped => {
                self.stop_between_pages(task, &attempt, &progress)
            }
            Err(stop) => self.fail_batches(task, &attempt, &progress, stop),
        })
    }

    /// Returns false if it was asked to stop before the end.
    fn run_batches(
        &mut self,
        task: Task<'_>,
        extent: Extent,
        progress: &mut Progress,
        control: &Control<'_>,
    ) -> Result<bool, SectionError> {
        let dialect = self.database.dialect();
        if progress.is_begun {
            // A run that continues has a new session.
            let end = task.section.batches().get(progress.cursor.batch).map_or(0, |batch| batch.statements.start);
            self.set_session(task, &SessionLog::before(dialect, task.section, end).all())?;
        } else {
            self.run_before_batches(task, progress)?;
        }
        let rate = RateLimit::new(self.options.rows_per_second);
        for (index, batch) in task.section.batches().iter().enumerate().skip(progress.cursor.batch) {
            if progress.cursor.batch != index {
                (progress.cursor.batch, progress.cursor.key) = (index, None);
                progress.cursor.checksum = task.section.digest_through_batch(index);
            }
            progress.settings = SessionLog::before(dialect, task.section, batch.statements.start).settings();
            self.set_session(task, &progress.settings)?;
            let mut pages = Pages::open(&mut *self.database, &batch.query, task.section.batch_rows())
                .map_err(|error| in_query(task, batch, error))?;
            let is_whole = self.run_pages(task, batch, &mut pages, extent, progress, (&rate, control))?;
            self.set_session(task, &progress.settings)?;
            pages.close(&mut *self.database)?;
            self.database.reset_settings()?;
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn run_pages(
        &mut self,
        task: Task<'_>,
        batch: &Batch,
        pages: &mut Pages<'_>,
        extent: Extent,
        progress: &mut Progress,
        (rate, control): (&RateLimit, &Control<'_>),
    ) -> Result<bool, SectionError> {
        loop {
            if control.stop.is_requested() {
                return Ok(false);
            }
            let Some(page) = self.run_page(task, batch, pages, progress)? else { return Ok(true) };
            control.progress(page.rows, 0);
            if pages.is_last(&page) || extent == Extent::FirstPage {
                return Ok(true);
            }
            if !rate.wait(page.rows, control.stop, control.observer) {
                return Ok(false);
            }
        }
    }

    /// Runs one page: its keys, the statements and the cursor in one transaction. Returns `None` if no keys are left.
    fn run_page(
        &mut self,
        task: Task<'_>,
        batch: &Batch,
        pages: &mut Pages<'_>,
        progress: &mut Progress,
    ) -> Result<Option<Page>, SectionError> {
        let began = Instant::now();
        let limits = task.page_limits(self.options.timeout);
        let mut next = progress.cursor.clone();
        let page = self.in_limited_transaction(task, &limits, |runner| {
            runner.set_session(task, &progress.settings)?;
            let page =
                pages.fill(&mut *runner.database, next.key.as_deref()).map_err(|error| in_query(task, batch, error))?;
            let Some(page) = page else { return Ok(None) };
            // What one page sets, the others do too.
            let mut state = if next.key.is_none() { Some(runner.session_state()?) } else { None };
            for index in batch.statements.clone() {
                runner.run_batch_statement(task, index, state.as_mut())?;
            }
            next.key = Some(page.last.clone());
            (next.rows, next.pages) = (next.rows + page.rows, next.pages + 1);
            runner.keep_cursor(task, &next)?;
            Ok(Some(page))
        })?;
        if let Some(page) = &page {
            progress.cursor = next;
            progress.is_begun = true;
            progress.done.add(page.rows, began.elapsed());
        }
        Ok(page)
    }

    /// Runs the statements before the first batch.
    fn run_before_batches(&mut self, task: Task<'_>, progress: &mut Progress) -> Result<(), SectionError> {
        let end = task.section.batches().first().map_or(task.section.len(), |batch| batch.statements.start);
        if end > 0 {
            let limits = task.limits(self.options.timeout);
            self.in_limited_transaction(task, &limits, |runner| {
                let mut state = runner.session_state()?;
                (0..end).try_for_each(|index| runner.run_batch_statement(task, index, Some(&mut state)))?;
                runner.keep_cursor(task, &progress.cursor)
            })?;
            progress.is_begun = true;
        }
        Ok(())
    }

    /// Runs a transaction within limits, and rolls it back if anything fails.
    fn in_limited_transaction<T>(
        &mut self,
        task: Task<'_>,
        limits: &Limits,
        work: impl FnOnce(&mut Self) -> Result<T, SectionError>,
    ) -> Result<T, SectionError> {
        self.database.arm(limits, &self.stop)?;
        let result = self.database.begin().map_err(SectionError::from).and_then(|()| work(self));
        let is_late = self.database.disarm();
        let result = result.and_then(|value| {
            if is_late {
                return Err(EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit").into());
            }
            self.database.commit()?;
            Ok(value)
        });
        result.map_err(|stop| {
            // The server rolls back after a lost connection, so an error of this call changes nothing.
            let _ = self.roll_back();
            SectionError { error: task.explain(stop.error, is_late, limits.timeout, &self.stop), ..stop }
        })
    }

    fn run_batch_statement(
        &mut self,
        task: Task<'_>,
        index: usize,
        state: Option<&mut SessionState>,
    ) -> Result<(), SectionError> {
        let result = self.run_and_check_build(task.section, index).and_then(|()| match state {
            Some(state) => self.require_known_settings(task, index..index + 1, state),
            None => Ok(()),
        });
        result.map_err(|error| SectionError { index: Some(index), error })
    }

    /// Stores the cursor, as the last step of each transaction.
    fn keep_cursor(&mut self, task: Task<'_>, cursor: &Cursor) -> Result<(), SectionError> {
        self.database.check_before_commit()?;
        Ok(self.try_state(|state| state.set_cursor(&task.migration.version, task.direction, cursor))?)
    }

    fn finish_batches(&mut self, task: Task<'_>, attempt: &Attempt) -> Result<(), SectionError> {
        let owner = self.options.owner.clone();
        Ok(self.state_transaction(|state| {
            state.delete_cursor(&task.migration.version, task.direction)?;
            task.record_success(state, attempt, &owner)
        })?)
    }

    /// Logs that the attempt was asked to stop.
    fn stop_between_pages(&mut self, task: Task<'_>, attempt: &Attempt, progress: &Progress) -> TaskResult {
        let reason = format!("stopped on request after {} rows; the next run continues there", progress.cursor.rows);
        let entry = LogEntry { error: Some(reason), ..task.row(attempt, Outcome::Stopped) };
        // The log is for people. The next run uses the cursor, so a failed write here loses nothing.
        let _ = self.database.reset_settings();
        let _ = self.try_state(|state| state.append(&entry));
        task.stopped(attempt).with_pages(progress.done)
    }

    fn fail_batches(
        &mut self,
        task: Task<'_>,
        attempt: &Attempt,
        progress: &Progress,
        stop: SectionError,
    ) -> TaskResult {
        let kept = if progress.is_begun { Kept::PagesBefore } else { Kept::Nothing };
        let failure = Failure::new(&task.place(self.database.dialect(), stop.index), &stop.error, kept);
        let statement = stop.index.and_then(|index| i64::try_from(index + 1).ok());
        let entry = LogEntry { statement, error: Some(failure.what()), ..task.row(attempt, Outcome::Failed) };
        // A lost connection leaves "started" in the log. The next run uses the cursor.
        let _ = self.database.reset_settings();
        let _ = self.try_state(|state| state.append(&entry));
        task.failed(attempt, failure).with_pages(progress.done)
    }
}

fn in_query(task: Task<'_>, batch: &Batch, error: EngineError) -> EngineError {
    let message = task.section.hide_values(&error.message);
    EngineError { message: format!("the batch on line {}: {message}", batch.line), ..error }
}

impl PagesDone {
    fn add(&mut self, rows: u64, took: Duration) {
        self.rows += rows;
        self.pages += 1;
        self.longest_page_us = self.longest_page_us.max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Returns the cursor to continue with.
fn resume_at(task: Task<'_>, earlier: Option<&Cursor>) -> Result<Cursor, Error> {
    let Some(earlier) = earlier else {
        let checksum = task.section.digest_through_batch(0);
        return Ok(Cursor { batch: 0, key: None, rows: 0, pages: 0, checksum });
    };
    if task.section.digest_through_batch(earlier.batch) == earlier.checksum {
        return Ok(earlier.clone());
    }
    let version = &task.migration.version;
    Err(Error::Verification {
        what: format!(
            "{}: it was changed while its batches were unfinished, after {} rows",
            task.migration.label(),
            earlier.rows
        ),
        next: format!(
            "restore the file; or undo its rows by hand, and `haul db resolve --version {version} \
             --not-begun` starts it over"
        ),
        source: None,
    })
}
