//! The result of a run.

use std::path::Path;

use serde::Serialize;

use crate::db::backup::Backup;
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::{Direction, Migration, Section, statement_preview};

/// The result of a run. The counts and `details` are those of the runner that the guide describes (docs/source-sql.md,
/// "Result of a run").
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// The number of migrations that were applied or rolled back.
    pub applied: u64,
    /// The number of migrations that were already applied.
    pub skipped: u64,
    /// The number of migrations that failed: 0 or 1.
    pub failed: u64,
    /// The labels of the pending migrations; after a rollback, of those that were not rolled back.
    pub pending: Vec<String>,
    /// The result of each migration.
    pub details: Vec<Detail>,
    /// The failure that ended the run.
    pub failure: Option<Failure>,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// The backup that was made before the run.
    pub backup: Option<Backup>,
}

/// The result of one migration.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// The label.
    pub name: String,
    /// `applied`, `reverted`, `forgotten`, `stopped`, `failed`, or `rolled_back` with the one transaction of the run.
    pub status: &'static str,
    /// The duration.
    #[serde(rename = "durationMs")]
    pub duration_ms: u64,
    /// The pages of its batches that this run committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<PagesDone>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the server said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// The log row that started the attempt; `None` if nothing was attempted.
    #[serde(skip)]
    pub attempt: Option<i64>,
}

/// The committed pages of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PagesDone {
    /// The number of keys in them.
    pub rows: u64,
    /// The number of pages.
    pub pages: u64,
    /// The duration of the longest transaction, from its first statement to its commit: the longest time for which a
    /// row was locked.
    pub longest_page_us: u64,
}

/// A migration that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The label of the migration.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line of the statement; `None` if no single statement caused the failure.
    pub line: Option<u64>,
    /// The number of the statement, counted from 1.
    pub statement: Option<u64>,
    /// The number of statements in the section.
    pub statements: u64,
    /// The beginning of the statement.
    pub text: Option<String>,
    /// The SQLSTATE, or the result code of SQLite.
    pub code: Option<String>,
    /// The message of the engine.
    pub error: String,
    /// What the database keeps of the section.
    pub kept: Kept,
    /// What to do next.
    pub next: String,
    /// True if the same command may succeed later.
    pub temporary: bool,
}

/// What the database keeps of a section that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nothing: the transaction was rolled back.
    Nothing,
    /// The statements before the one that failed, because the section runs without a transaction.
    StatementsBefore,
    /// The statement too: what it has set for its session is what failed.
    StatementsUpToIt,
    /// The committed pages of its batches, and the statements before the batches.
    PagesBefore,
    /// All of it: a hook failed after it.
    All,
    /// Unknown: the connection was lost, or the section ended the transaction itself.
    Unknown,
}

/// The place at which a section failed. `index` is that of a statement; without one the section failed outside of its
/// statements.
pub(super) struct FailedAt<'a> {
    pub direction: Direction,
    pub dialect: Dialect,
    pub migration: &'a Migration,
    pub section: &'a Section,
    pub index: Option<usize>,
}

impl Failure {
    pub(super) fn new(at: &FailedAt<'_>, error: &EngineError, kept: Kept) -> Self {
        let statement = at.index.map(|index| at.section.statement(index));
        let written = at.index.map(|index| at.section.written_statement(index).1);
        let offset_lines = |text: &str| match error.offset.and_then(|offset| text.get(..offset)) {
            Some(before) => crate::db::script::line_ends(before),
            None => 0,
        };
        Self {
            name: at.migration.label(),
            file: file_name(&at.section.file),
            line: statement.map(|(line, text)| line + offset_lines(text)),
            statement: at.index.map(|index| index as u64 + 1),
            statements: at.section.len() as u64,
            text: written.map(|text| statement_preview(at.dialect, &text)),
            code: error.code.clone(),
            error: error.message.clone(),
            kept,
            next: next(at, error, kept),
            temporary: matches!(error.kind, EngineErrorKind::Disconnected | EngineErrorKind::LockNotAvailable),
        }
    }

    /// Returns `002_x.sql:7: statement 3 of 5: no such table: t (SQLITE_ERROR)`, without the text of the statement.
    pub fn what(&self) -> String {
        let mut text = self.file.clone();
        if let Some(line) = self.line {
            text = format!("{text}:{line}");
        }
        if let Some(statement) = self.statement {
            text = format!("{text}: statement {statement} of {}", self.statements);
        }
        text = format!("{text}: {}", self.error);
        match &self.code {
            Some(code) => format!("{text} ({code})"),
            None => text,
        }
    }
}

fn file_name(path: &Path) -> String {
    path.display().to_string()
}

fn next(at: &FailedAt<'_>, error: &EngineError, kept: Kept) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("{hint}; ")).unwrap_or_default();
    // A migration whose Down section failed is still applied, so a changed file needs its checksum recorded.
    let then = match (at.direction, kept) {
        (Direction::Up, Kept::Nothing) if error.kind == EngineErrorKind::Cancelled => {
            "nothing of it was kept: run `haul db migrate` again after that".to_owned()
        }
        (Direction::Up, Kept::Nothing) => {
            "nothing of it was kept: correct the file and run `haul db migrate` again".to_owned()
        }
        (Direction::Down, Kept::Nothing) => format!(
            "nothing of it was kept, and the migration is still applied: correct its Down section, record the new text with \
             `haul db repair --version {}`, and run the same command again",
            at.migration.version
        ),
        (Direction::Up, Kept::StatementsBefore) => {
            "the statements before it were kept: correct this one and run `haul db migrate` again, which continues there"
                .to_owned()
        }
        (Direction::Down, Kept::StatementsBefore) => format!(
            "the statements before it were kept: correct this one, record the new text with `haul db repair --version {}`, \
             and run the same command again, which continues there",
            at.migration.version
        ),
        (_, Kept::PagesBefore) => {
            "the pages before it were kept: remove the cause and run the same command again, which continues after them"
                .to_owned()
        }
        (_, Kept::StatementsUpToIt) => format!(
            "this statement and those before it were kept: then continue behind it with `haul db resolve --version {} \
             --from-statement {}`",
            at.migration.version,
            at.index.map_or(1, |index| index + 2)
        ),
        (_, Kept::Unknown | Kept::All) => "check the database with `haul db status` before you continue".to_owned(),
    };
    format!("{hint}{then}")
}
