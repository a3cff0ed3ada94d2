//! A section of a migration: its statements, its batches, and digests of them.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::batch::{BATCH_ROWS_DEFAULT, Batch};
use super::directives::Settings;
use super::error::{ScriptError, ScriptFault};
use super::placeholders::{FilledSpan, Placeholders, as_written};
use super::statement::Statement;

/// The statements of one direction.
#[derive(Debug, Clone)]
pub struct Section {
    /// The file that contains the section.
    pub file: PathBuf,
    /// The options of the section.
    pub settings: Settings,
    /// The text with the values of placeholders.
    pub(super) text: Arc<str>,
    /// The text as the file has it.
    pub(super) source: Arc<str>,
    pub(super) spans: Arc<[FilledSpan]>,
    pub(super) placeholders: Placeholders,
    pub(super) statements: Vec<Statement>,
    pub(super) batches: Vec<Batch>,
    /// The line of `BEGIN`, if the file has written the transaction around the section that haul makes anyway.
    pub own_transaction: Option<u64>,
    /// Why the section must not run, if it must not.
    pub fault: Option<ScriptError>,
}

impl Section {
    /// Returns the whole text of the file, with LF at its line ends.
    pub fn file_text(&self) -> &str {
        &self.source
    }

    /// Returns the number of statements.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Returns true if there are no statements.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Returns the statements in order: the line of each, and its text with its semicolon.
    pub fn statements(&self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        self.statements.iter().map(|statement| (statement.line, &self.text[statement.range.clone()]))
    }

    /// Returns one statement.
    pub fn statement(&self, index: usize) -> (u64, &str) {
        let statement = &self.statements[index];
        (statement.line, &self.text[statement.range.clone()])
    }

    /// Returns the statements as they are written, with placeholders instead of values.
    pub fn written_statements(&self) -> impl ExactSizeIterator<Item = (u64, Cow<'_, str>)> {
        (0..self.len()).map(|index| self.written_statement(index))
    }

    /// Returns one statement as it is written.
    pub fn written_statement(&self, index: usize) -> (u64, Cow<'_, str>) {
        let Statement { line, range } = &self.statements[index];
        (*line, as_written(&self.text, &self.spans, range.clone()))
    }

    /// Returns a message with the names of placeholders instead of their values.
    pub fn hide_values(&self, text: &str) -> String {
        if self.spans.is_empty() { text.to_owned() } else { self.placeholders.hide(text) }
    }

    /// Returns the batches in order. The statements before the first one run once.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Returns the number of keys in a page of its batches.
    pub fn batch_rows(&self) -> u32 {
        self.settings.batch_rows.unwrap_or(BATCH_ROWS_DEFAULT)
    }

    /// Returns a digest of everything that runs up to the end of the batch at `index`. It shows whether the file was
    /// changed since an attempt.
    pub fn digest_through_batch(&self, index: usize) -> String {
        let mut digest = StatementsDigest::default();
        let end = self.batches.get(index).map_or(self.len(), |batch| batch.statements.end);
        self.batches.iter().take(index + 1).for_each(|batch| digest.push(&batch.written_query));
        self.written_statements().take(end).for_each(|(_, statement)| digest.push(&statement));
        digest.text()
    }

    /// Returns a digest of the statements before `index`.
    pub fn digest_before(&self, index: usize) -> String {
        let mut digest = StatementsDigest::default();
        self.written_statements().take(index).for_each(|(_, statement)| digest.push(&statement));
        digest.text()
    }

    /// Returns an error at one of the statements.
    pub(super) fn error_at(&self, index: usize, fault: ScriptFault) -> ScriptError {
        let Statement { range, line } = &self.statements[index];
        ScriptError { file: self.file.clone(), line: *line, offset: range.start as u64, fault }
    }
}

/// A digest of statements in order, which can be read after each one.
#[derive(Debug, Clone, Default)]
pub struct StatementsDigest(blake3::Hasher);

impl StatementsDigest {
    /// Adds the next statement.
    pub fn push(&mut self, statement: &str) {
        self.0.update(&(statement.len() as u64).to_le_bytes()).update(statement.as_bytes());
    }

    /// Returns the digest of the statements so far, as 64 hex digits.
    pub fn text(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
