//! A section to run, and what the three ways of running it share.

use std::time::{Duration, Instant};

use super::RunnerOptions;
use super::file_state::file_row;
use super::run_summary::{Detail, Failure, PagesDone};
use crate::db::database::{Change, Limits};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::classify::is_concurrent;
use crate::db::script::{Direction, FileKind, Migration, Section};
use crate::db::state::{AppliedRow, LogEntry, Outcome, StateWriter};
use crate::migration::now_text;
use crate::pipeline::StopToken;

/// The longest wait for a lock of the database, unless the limit of the section is shorter.
const LOCK_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// A section of a migration to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub migration: &'a Migration,
    pub section: &'a Section,
    pub direction: Direction,
}

/// The result of a section.
pub(super) enum TaskResult {
    Done(Detail),
    Failed(Detail, Failure),
    /// Stopped on request: between two pages of a batch or two statements without a transaction, or rolled back.
    Stopped(Detail),
}

/// The start of an attempt, and its row in the log.
pub(super) struct Attempt {
    pub id: i64,
    pub started_at: String,
    began: Instant,
}

impl Attempt {
    pub fn new(id: i64, started_at: String) -> Self {
        Self { id, started_at, began: Instant::now() }
    }

    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl TaskResult {
    /// Adds the pages of the batches.
    pub fn with_pages(mut self, pages: PagesDone) -> Self {
        self.detail_mut().pages = Some(pages);
        self
    }

    /// Returns the result as the summary shows it.
    pub fn detail_mut(&mut self) -> &mut Detail {
        let (Self::Done(detail) | Self::Failed(detail, _) | Self::Stopped(detail)) = self;
        detail
    }
}

impl<'a> Task<'a> {
    pub fn up(migration: &'a Migration) -> Self {
        Self { migration, section: &migration.up, direction: Direction::Up }
    }

    /// Returns the Down section of a migration, if it has one.
    pub fn down(migration: &'a Migration) -> Option<Self> {
        Some(Self { migration, section: migration.down.as_ref()?, direction: Direction::Down })
    }

    /// Returns the outcome of a success.
    pub fn success(&self) -> Outcome {
        match self.direction {
            Direction::Up => Outcome::Applied,
            Direction::Down => Outcome::Reverted,
        }
    }

    pub fn runs_without_transaction(&self) -> bool {
        self.section.settings.no_transaction
    }

    pub fn has_batches(&self) -> bool {
        !self.section.batches().is_empty()
    }

    /// Returns true if the log row "started" can be written in the transaction of the section before. A section with
    /// transactions of its own writes that row itself.
    pub fn is_one_transaction(&self) -> bool {
        !self.runs_without_transaction() && !self.has_batches()
    }

    /// Returns the limits of the section: its own or `timeout`, and a shorter one for locks.
    pub fn limits(&self, timeout: Option<Duration>) -> Limits {
        section_limits(self.section, timeout)
    }

    /// Returns the limits of a section without a transaction. One that builds something concurrently has no limit unless
    /// the file or the user sets one: a build waits for all older transactions, and is not rolled back.
    pub fn limits_without_transaction(&self, dialect: Dialect, options: &RunnerOptions) -> Limits {
        if !self.section.statements().any(|(_, statement)| is_concurrent(dialect, statement)) {
            return self.limits(options.timeout);
        }
        let limits = self.limits(options.concurrent_timeout);
        Limits { lock_timeout: self.section.settings.lock_timeout, ..limits }
    }

    /// Returns the limits of one page of a batch. Foreign keys are enforced in a page, because comparing the violations
    /// before and after would read whole tables for each page.
    pub fn page_limits(&self, timeout: Option<Duration>) -> Limits {
        let foreign_keys = self.section.settings.foreign_keys.unwrap_or(true);
        Limits { foreign_keys, checks_foreign_keys: false, ..self.limits(timeout) }
    }

    /// Returns the log row that begins an attempt.
    pub fn started(&self) -> LogEntry {
        LogEntry {
            attempt: None,
            version: self.migration.log_version(),
            name: self.migration.label(),
            direction: Some(self.direction),
            outcome: Outcome::Started,
            started_at: now_text(),
            finished_at: None,
            duration_ms: None,
            statement: None,
            checksum: Some(self.migration.checksum.to_string()),
            error: None,
        }
    }

    /// Returns a log row that ends an attempt or records its progress.
    pub fn row(&self, attempt: &Attempt, outcome: Outcome) -> LogEntry {
        let duration_ms = i64::try_from(attempt.duration_ms()).unwrap_or(i64::MAX);
        LogEntry {
            attempt: Some(attempt.id),
            outcome,
            started_at: attempt.started_at.clone(),
            finished_at: Some(now_text()),
            duration_ms: Some(duration_ms),
            checksum: None,
            ..self.started()
        }
    }

    /// Writes the ledger row, and the log row that ends the attempt.
    pub fn record_success(
        &self,
        state: &mut StateWriter<'_>,
        attempt: &Attempt,
        owner: &str,
    ) -> Result<(), EngineError> {
        let changes = self.success_changes(state, attempt, owner);
        changes.iter().try_for_each(|change| state.make(change).map(drop))
    }

    /// Returns the changes that write the ledger row, and the log row that ends the attempt.
    pub fn success_changes(&self, state: &StateWriter<'_>, attempt: &Attempt, owner: &str) -> [Change; 2] {
        let row = self.row(attempt, self.success());
        let at = || row.finished_at.clone().unwrap_or_default();
        let first = match self.direction {
            _ if self.migration.kind != FileKind::Versioned => {
                state.filed(&file_row(self.migration, at(), row.duration_ms.unwrap_or_default(), owner))
            }
            Direction::Up => state.applied(&AppliedRow {
                position: 0,
                version: self.migration.version.clone(),
                name: self.migration.label(),
                checksum: self.migration.checksum.to_string(),
                applied_at: at(),
                duration_ms: row.duration_ms.unwrap_or_default(),
                applied_by: owner.to_owned(),
                haul_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            Direction::Down => state.not_applied(&self.migration.version),
        };
        let statement = i64::try_from(self.section.len()).ok();
        let row = LogEntry { statement, checksum: Some(self.migration.checksum.to_string()), ..row };
        [first, state.logged(&row)]
    }

    /// Returns what a section that succeeded is then.
    pub fn done_text(&self) -> &'static str {
        if self.direction == Direction::Up { "applied" } else { "reverted" }
    }

    pub fn done(&self, attempt: &Attempt) -> TaskResult {
        TaskResult::Done(self.detail(attempt, self.done_text(), None))
    }

    pub fn failed(&self, attempt: &Attempt, failure: Failure) -> TaskResult {
        TaskResult::Failed(self.detail(attempt, "failed", Some(failure.what())), failure)
    }

    pub fn stopped(&self, attempt: &Attempt) -> TaskResult {
        TaskResult::Stopped(self.detail(attempt, "stopped", None))
    }

    fn detail(&self, attempt: &Attempt, status: &'static str, error: Option<String>) -> Detail {
        Detail {
            name: self.migration.label(),
            status,
            duration_ms: attempt.duration_ms(),
            pages: None,
            error,
            notices: Vec::new(),
            attempt: Some(attempt.id),
        }
    }

    /// Adds to the error of a cancelled statement why it was cancelled.
    pub fn explain(
        &self,
        error: EngineError,
        is_late: bool,
        timeout: Option<Duration>,
        stop: &StopToken,
    ) -> EngineError {
        explain(error, is_late, timeout, stop)
    }

    pub fn place(&self, dialect: Dialect, index: Option<usize>) -> super::run_summary::FailedAt<'a> {
        super::run_summary::FailedAt {
            direction: self.direction,
            dialect,
            migration: self.migration,
            section: self.section,
            index,
        }
    }
}

/// Returns the limits of a section: its own or `timeout`, and a shorter one for locks.
pub(super) fn section_limits(section: &Section, timeout: Option<Duration>) -> Limits {
    let settings = section.settings;
    let timeout = settings.timeout.or(timeout).filter(|timeout| !timeout.is_zero());
    let shorter = timeout.map_or(LOCK_TIMEOUT_MAX, |timeout| (timeout / 2).min(LOCK_TIMEOUT_MAX));
    let lock_timeout = settings.lock_timeout.unwrap_or(shorter);
    Limits {
        timeout,
        lock_timeout: Some(lock_timeout),
        foreign_keys: settings.foreign_keys.unwrap_or(false),
        checks_foreign_keys: true,
    }
}

/// Adds to the error of a cancelled statement why it was cancelled.
pub(super) fn explain(error: EngineError, is_late: bool, timeout: Option<Duration>, stop: &StopToken) -> EngineError {
    // What a server says of a cancelled statement is about limits of its own.
    let own_hint = error.hint.clone().filter(|_| error.code.is_none());
    match timeout {
        Some(timeout) if error.kind == EngineErrorKind::Cancelled && is_late => EngineError {
            message: match &own_hint {
                Some(_) => format!("{} was cancelled at the time limit of {}", error.message, limit_text(timeout)),
                None => format!("cancelled at the time limit of {}", limit_text(timeout)),
            },
            hint: own_hint
                .or_else(|| Some("allow it more time with `-- haul: timeout=…` or --timeout, or split it".into())),
            ..error
        },
        _ if error.kind == EngineErrorKind::Cancelled && stop.is_requested() => {
            EngineError { kind: EngineErrorKind::Stopped, ..error }
        }
        _ => error,
    }
}

fn limit_text(limit: Duration) -> String {
    if limit.subsec_millis() == 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}
