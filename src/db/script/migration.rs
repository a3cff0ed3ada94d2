//! A migration: a version, an Up section, and an optional Down section.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{Batch, checked_query, mentions_batch_table};
use super::check::check;
use super::checksum::Checksum;
use super::classify::Keywords;
use super::error::{ScriptError, ScriptFault};
use super::file_name::FileName;
use super::replaces::Replaced;
use super::section::Section;
use super::sections::{BatchMark, FaultAt, SectionPart, Sections, sections};
use super::statement::{Statement, statements};
use super::text::normalized;
use crate::db::dialect::Dialect;
use crate::db::version::Version;

/// A migration, read and checked as far as that is possible without a database.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The version.
    pub version: Version,
    /// The version as it is written, with leading zeros.
    pub digits: String,
    /// The name without the version: `add_users`.
    pub name: String,
    /// The comments at the top of the file, which `status` shows.
    pub header: Vec<String>,
    /// The checksum of the text.
    pub checksum: Checksum,
    /// The migrations that it replaces, if it is a squashed file.
    pub replaces: Vec<Replaced>,
    /// The section that applies the migration.
    pub up: Section,
    /// The section that rolls it back, if there is one.
    pub down: Option<Section>,
}

/// A file whose other half is not known yet.
pub(super) struct ScriptFile {
    pub path: PathBuf,
    pub name: FileName,
    text: Arc<str>,
}

impl Migration {
    /// Returns the label, `002_add_users`, which names the migration in all messages.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.digits.clone() } else { format!("{}_{}", self.digits, self.name) }
    }

    /// Fails if one of the sections must not run. A migration may be applied only if it could also be rolled back.
    pub fn require_sound(&self) -> Result<(), ScriptError> {
        match self.fault() {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// Returns why one of the sections must not run, if it must not.
    pub fn fault(&self) -> Option<&ScriptError> {
        self.up.fault.as_ref().or_else(|| self.down.as_ref()?.fault.as_ref())
    }

    /// Reads a migration from one file, which may contain both sections.
    pub(super) fn of_one(dialect: Dialect, file: &ScriptFile) -> Result<Self, ScriptError> {
        Self::of(dialect, file, None)
    }

    /// Reads a migration from two files with one section each.
    pub(super) fn of_pair(dialect: Dialect, up: &ScriptFile, down: &ScriptFile) -> Result<Self, ScriptError> {
        Self::of(dialect, up, Some(down))
    }

    fn of(dialect: Dialect, file: &ScriptFile, down_file: Option<&ScriptFile>) -> Result<Self, ScriptError> {
        let parts = file.sections(dialect)?;
        let up = file.section(dialect, &parts.up).and_then(|up| match up.statements.is_empty() {
            true => Err(file.error(ScriptFault::EmptySection("Up"), parts.up.line, parts.up.range.start)),
            false => Ok(up),
        })?;
        let own = Checksum::of(&file.text);
        let (down, checksum) = match (down_file, &parts.down) {
            (Some(down), _) => {
                let part = down.sections(dialect)?.up;
                (Some(down.section(dialect, &part)?), Checksum::of_pair(own, Checksum::of(&down.text)))
            }
            (None, Some(part)) => (Some(file.section(dialect, part)?), own),
            (None, None) => (None, own),
        };
        // `create` writes a Down marker without statements. It must not count as a section that rolls back.
        let down = down.filter(|down| !down.statements.is_empty());
        let FileName { version, digits, name, .. } = file.name.clone();
        // It is in the place of the last of them, so that the files behind it stay behind.
        if parts.replaces.last().is_some_and(|last| last.version != version) {
            return Err(file.error(ScriptFault::ReplacesAnother, 1, 0));
        }
        Ok(Self { version, digits, name, header: parts.header, checksum, replaces: parts.replaces, up, down })
    }
}

impl ScriptFile {
    pub fn new(path: &Path, name: FileName, bytes: &[u8]) -> Result<Self, ScriptError> {
        let text = normalized(bytes).map_err(|(fault, offset)| ScriptError {
            file: path.to_path_buf(),
            line: 1 + memchr::memchr_iter(b'\n', &bytes[..offset]).count() as u64,
            offset: offset as u64,
            fault,
        })?;
        Ok(Self { path: path.to_path_buf(), name, text: text.into() })
    }

    pub fn error(&self, fault: ScriptFault, line: u64, offset: usize) -> ScriptError {
        ScriptError { file: self.path.clone(), line, offset: offset as u64, fault }
    }

    /// Returns true if it seems to be a squashed file.
    pub fn replaces_others(&self) -> bool {
        Replaced::is_in(&self.text)
    }

    fn sections(&self, dialect: Dialect) -> Result<Sections, ScriptError> {
        let wrap = |(fault, line, offset): FaultAt| self.error(fault, line, offset);
        sections(dialect, &self.text, self.name.half).map_err(wrap)
    }

    fn section(&self, dialect: Dialect, part: &SectionPart) -> Result<Section, ScriptError> {
        let plain_end = part.batches.first().map_or(part.range.end, |mark| mark.start);
        let mut statements = self.statements(dialect, part.range.start..plain_end, part.line);
        let mut batches = Vec::new();
        let ends = part.batches.iter().skip(1).map(|mark| mark.start).chain([part.range.end]);
        for (mark, end) in part.batches.iter().zip(ends) {
            let at = |fault| self.error(fault, mark.line, mark.start);
            let own = self.statements(dialect, mark.body_start..end, mark.line + 1);
            batches.push(self.batch(dialect, mark, &own, statements.len()).map_err(at)?);
            statements.extend(own);
            if part.settings.no_transaction {
                return Err(at(ScriptFault::BatchWithoutTransaction));
            }
        }
        let own_transaction = Some(()).filter(|()| batches.is_empty() && !part.settings.no_transaction);
        let own_transaction = own_transaction.and_then(|()| self.take_own_transaction(dialect, &mut statements));
        let (file, text) = (self.path.clone(), self.text.clone());
        let settings = part.settings;
        let mut section = Section { file, settings, text, statements, batches, own_transaction, fault: None };
        let unread = part.unread.clone().map(|(fault, line, offset)| self.error(fault, line, offset));
        section.fault = unread.into_iter().chain(check(dialect, &section)).min_by_key(|fault| fault.offset);
        Ok(section)
    }

    /// Removes a plain `BEGIN` at the start and a plain `COMMIT` at the end, which enclose the whole section: haul makes
    /// that transaction itself. Returns the line of `BEGIN`.
    fn take_own_transaction(&self, dialect: Dialect, statements: &mut Vec<Statement>) -> Option<u64> {
        let words = |statement: &Statement| Keywords::of(dialect, &self.text[statement.range.clone()]);
        let [first, inner @ .., last] = &statements[..] else { return None };
        let is_control = |statement: &Statement| words(statement).transaction_control(dialect).is_some();
        if inner.is_empty()
            || !words(first).is_plain_begin()
            || !words(last).is_plain_commit()
            || inner.iter().any(is_control)
        {
            return None;
        }
        let line = first.line;
        statements.pop();
        statements.remove(0);
        Some(line)
    }

    /// Returns the statements in a part of the text that starts on `line`.
    fn statements(&self, dialect: Dialect, range: std::ops::Range<usize>, line: u64) -> Vec<Statement> {
        let shifted = |statement: Statement| Statement {
            line: statement.line + line - 1,
            range: statement.range.start + range.start..statement.range.end + range.start,
        };
        statements(dialect, &self.text[range.clone()]).into_iter().map(shifted).collect()
    }

    fn batch(&self, dialect: Dialect, mark: &BatchMark, own: &[Statement], first: usize) -> Result<Batch, ScriptFault> {
        let query = checked_query(dialect, &mark.query)?;
        if own.is_empty() {
            return Err(ScriptFault::EmptyBatch);
        }
        if !own.iter().any(|statement| mentions_batch_table(dialect, &self.text[statement.range.clone()])) {
            return Err(ScriptFault::BatchUnused);
        }
        Ok(Batch { query, line: mark.line, statements: first..first + own.len() })
    }
}
