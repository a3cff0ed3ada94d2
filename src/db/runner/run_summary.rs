//! How a run ended.

use std::path::Path;

use serde::Serialize;

use crate::db::backup::Backup;
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::{Migration, Section, statement_preview};

/// What a run did. The counts and `details` are those of the runner that the guide describes (docs/source-sql.md,
/// "Result of a run").
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// Migrations that were applied, or taken back.
    pub applied: u64,
    /// Migrations that were applied before.
    pub skipped: u64,
    /// Migrations that failed: one at most.
    pub failed: u64,
    /// Labels of those that are still pending; of a rollback, of those that were to be taken back and are not.
    pub pending: Vec<String>,
    /// What was done to each.
    pub details: Vec<Detail>,
    /// Why the run ended early.
    pub failure: Option<Failure>,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// The backup that was made before.
    pub backup: Option<Backup>,
}

/// What was done to one migration.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// Its label.
    pub name: String,
    /// `applied`, `reverted`, `forgotten`, `stopped` or `failed`.
    pub status: &'static str,
    /// How long it took.
    #[serde(rename = "durationMs")]
    pub duration_ms: u64,
    /// What the pages of its batches came to in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<PagesDone>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Pages of batches that were committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PagesDone {
    /// Keys in them.
    pub rows: u64,
    /// How many.
    pub pages: u64,
    /// The longest transaction among them, from its first statement to its commit: how long a row was locked at most.
    pub longest_page_us: u64,
}

/// A statement that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The migration's label.
    pub name: String,
    /// The file.
    pub file: String,
    /// The statement's line; `None` if no statement is to blame.
    pub line: Option<u64>,
    /// The statement, counted from 1.
    pub statement: Option<u64>,
    /// How many statements the section has.
    pub statements: u64,
    /// How the statement begins.
    pub text: Option<String>,
    /// SQLSTATE, or SQLite's result code.
    pub code: Option<String>,
    /// What the engine says.
    pub error: String,
    /// What is left of the section.
    pub kept: Kept,
    /// What to do.
    pub next: String,
    /// True if asking again may do.
    pub temporary: bool,
}

/// What is left of a section that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nothing: its transaction was rolled back.
    Nothing,
    /// What comes before the statement, since the section runs without a transaction.
    StatementsBefore,
    /// The pages of its batches that were committed, and what stands before the batches.
    PagesBefore,
    /// It is not known: the connection was lost, or the section took the transaction away.
    Unknown,
}

/// Where a section failed: at a statement, by its index, or outside of all.
pub(super) struct FailedAt<'a> {
    pub dialect: Dialect,
    pub migration: &'a Migration,
    pub section: &'a Section,
    pub index: Option<usize>,
}

impl Failure {
    pub(super) fn new(at: &FailedAt<'_>, error: &EngineError, kept: Kept) -> Self {
        let statement = at.index.map(|index| at.section.statement(index));
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
            text: statement.map(|(_, text)| statement_preview(at.dialect, text)),
            code: error.code.clone(),
            error: error.message.clone(),
            kept,
            next: next(error, kept),
            temporary: matches!(error.kind, EngineErrorKind::Disconnected | EngineErrorKind::LockNotAvailable),
        }
    }

    /// `002_x.sql:7: statement 3 of 5: no such table: t (SQLITE_ERROR)`, without the statement's text.
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

fn next(error: &EngineError, kept: Kept) -> String {
    let hint = error.hint.as_ref().map(|hint| format!("{hint}; ")).unwrap_or_default();
    let then = match kept {
        Kept::Nothing => "nothing of it stayed: correct the file and run `haul db migrate` again",
        Kept::StatementsBefore => {
            "the statements before it stay: correct this one and run `haul db migrate` again, which goes on there"
        }
        Kept::PagesBefore => {
            "the pages before it stay: see to the cause and run the same command again, which goes on behind them"
        }
        Kept::Unknown => "see with `haul db status` how the database stands before you go on",
    };
    format!("{hint}{then}")
}
