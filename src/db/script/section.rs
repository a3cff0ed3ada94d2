//! A section of a migration: its statements, its batches, and digests of what runs.

use std::path::PathBuf;
use std::sync::Arc;

use super::batch::{BATCH_ROWS_DEFAULT, Batch};
use super::directives::Settings;
use super::error::{ScriptError, ScriptFault};
use super::statement::Statement;

/// Statements that run together.
#[derive(Debug, Clone)]
pub struct Section {
    /// The file that holds it.
    pub file: PathBuf,
    /// How it is to be run.
    pub settings: Settings,
    pub(super) text: Arc<str>,
    pub(super) statements: Vec<Statement>,
    pub(super) batches: Vec<Batch>,
}

impl Section {
    /// How many statements it has.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// True if it has none.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Its statements in order: the line of each, and its text with its semicolon.
    pub fn statements(&self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        self.statements.iter().map(|statement| (statement.line, &self.text[statement.range.clone()]))
    }

    /// One statement.
    pub fn statement(&self, index: usize) -> (u64, &str) {
        let statement = &self.statements[index];
        (statement.line, &self.text[statement.range.clone()])
    }

    /// Its batches in order. The statements before the first one run once.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Keys of a page of its batches.
    pub fn batch_rows(&self) -> u32 {
        self.settings.batch_rows.unwrap_or(BATCH_ROWS_DEFAULT)
    }

    /// Tells what runs up to the end of the batch at `index` from anything else.
    pub fn digest_through_batch(&self, index: usize) -> String {
        let mut digest = StatementsDigest::default();
        let end = self.batches.get(index).map_or(self.len(), |batch| batch.statements.end);
        self.batches.iter().take(index + 1).for_each(|batch| digest.push(&batch.query));
        self.statements().take(end).for_each(|(_, statement)| digest.push(statement));
        digest.text()
    }

    /// Tells what runs before the statement at `index` from anything else.
    pub fn digest_before(&self, index: usize) -> String {
        let mut digest = StatementsDigest::default();
        self.statements().take(index).for_each(|(_, statement)| digest.push(statement));
        digest.text()
    }

    /// An error at one of its statements.
    pub(super) fn error_at(&self, index: usize, fault: ScriptFault) -> ScriptError {
        let Statement { range, line } = &self.statements[index];
        ScriptError { file: self.file.clone(), line: *line, offset: range.start as u64, fault }
    }
}

/// A digest of statements in their order, which can be asked for after each.
#[derive(Debug, Clone, Default)]
pub struct StatementsDigest(blake3::Hasher);

impl StatementsDigest {
    /// Takes the next statement.
    pub fn push(&mut self, statement: &str) {
        self.0.update(&(statement.len() as u64).to_le_bytes()).update(statement.as_bytes());
    }

    /// The digest of those so far, as 64 hex digits.
    pub fn text(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
