//! A migration: a version, an Up section, and an optional Down section.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{Batch, checked_query, mentions_batch_table};
use super::check::check;
use super::checksum::Checksum;
use super::classify::Keywords;
use super::direction::Direction;
use super::error::{ScriptError, ScriptFault};
use super::file_name::FileName;
use super::placeholders::{Filled, Placeholders, as_written};
use super::replaces::Replaced;
use super::section::Section;
use super::sections::{BatchMark, FaultAt, SectionPart, Sections, sections};
use super::statement::{Statement, statements};
use super::text::normalized;
use crate::db::dialect::Dialect;
use crate::db::version::Version;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A migration, which runs once.
    Versioned,
    /// A repeatable migration: it has no version, and runs again when its text changes.
    Repeatable,
    /// A seed, which is the same for `haul db seed`.
    Seed,
}

impl FileKind {
    /// Returns the name of the kind in the table of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Versioned => "versioned",
            Self::Repeatable => "repeatable",
            Self::Seed => "seed",
        }
    }

    /// Returns the label of a file of this name that has no version.
    pub fn label(self, name: &str) -> String {
        match self {
            Self::Versioned => name.to_owned(),
            Self::Repeatable => format!("R__{name}"),
            Self::Seed => format!("seed {name}"),
        }
    }
}

/// A migration, read and checked as far as that is possible without a database.
#[derive(Debug, Clone)]
pub struct Migration {
    /// What the file is.
    pub kind: FileKind,
    /// The version; 0 for a file without one.
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
    dialect: Dialect,
    placeholders: Placeholders,
    /// The text as it is.
    source: Arc<str>,
    /// The text with the values of placeholders, which is what runs.
    filled: Filled,
}

impl Migration {
    /// Returns the label, `002_add_users`, which names the migration in all messages.
    pub fn label(&self) -> String {
        if self.kind != FileKind::Versioned {
            return self.kind.label(&self.name);
        }
        if self.name.is_empty() { self.digits.clone() } else { format!("{}_{}", self.digits, self.name) }
    }

    /// Returns what names the migration in the log: the digits of its version, or the label of a file without one.
    pub fn log_version(&self) -> String {
        if self.kind == FileKind::Versioned { self.version.digits().to_owned() } else { self.label() }
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
    pub(super) fn of_one(file: &ScriptFile) -> Result<Self, ScriptError> {
        Self::of(file, None)
    }

    /// Reads a migration from two files with one section each.
    pub(super) fn of_pair(up: &ScriptFile, down: &ScriptFile) -> Result<Self, ScriptError> {
        Self::of(up, Some(down))
    }

    /// Reads a file without a version.
    pub(super) fn of_file(kind: FileKind, file: &ScriptFile) -> Result<Self, ScriptError> {
        let mut migration = Self { kind, ..Self::of(file, None)? };
        let up = &mut migration.up;
        let is_one_transaction = !up.settings.no_transaction && up.batches.is_empty();
        if up.fault.is_none() && !is_one_transaction {
            up.fault = Some(up.error_at(0, ScriptFault::NotOneTransaction));
        }
        Ok(migration)
    }

    fn of(file: &ScriptFile, down_file: Option<&ScriptFile>) -> Result<Self, ScriptError> {
        let parts = file.sections()?;
        let up = file.section(&parts.up).and_then(|up| match up.statements.is_empty() {
            true => Err(file.error(ScriptFault::EmptySection("Up"), parts.up.line, parts.up.range.start)),
            false => Ok(up),
        })?;
        let own = Checksum::of(&file.source);
        let (down, checksum) = match (down_file, &parts.down) {
            (Some(down), _) => {
                let part = down.sections()?.up;
                (Some(down.section(&part)?), Checksum::of_pair(own, Checksum::of(&down.source)))
            }
            (None, Some(part)) => (Some(file.section(part)?), own),
            (None, None) => (None, own),
        };
        // `create` writes a Down marker without statements. It must not count as a section that rolls back.
        let down = down.filter(|down| !down.statements.is_empty());
        let FileName { version, digits, name, .. } = file.name.clone();
        // It is in the place of the last of them, so that the files behind it stay behind.
        if parts.replaces.last().is_some_and(|last| last.version != version) {
            return Err(file.error(ScriptFault::ReplacesAnother, 1, 0));
        }
        let (kind, header, replaces) = (FileKind::Versioned, parts.header, parts.replaces);
        Ok(Self { kind, version, digits, name, header, checksum, replaces, up, down })
    }
}

/// Reads SQL that is one section in one transaction of its own, without markers: the statements of a hook.
pub fn hook_section(
    dialect: Dialect,
    path: &Path,
    bytes: &[u8],
    placeholders: &Placeholders,
) -> Result<Section, ScriptError> {
    let file = ScriptFile::new((dialect, placeholders), path, FileName::without_version("", Direction::Up), bytes)?;
    let parts = file.sections()?;
    let section = file.section(&parts.up)?;
    match &section.fault {
        Some(fault) => Err(fault.clone()),
        None if section.is_empty() => Err(file.error(ScriptFault::EmptySection("only"), 0, 0)),
        None => Ok(section),
    }
}

impl ScriptFile {
    pub fn new(
        (dialect, placeholders): (Dialect, &Placeholders),
        path: &Path,
        name: FileName,
        bytes: &[u8],
    ) -> Result<Self, ScriptError> {
        let text = normalized(bytes).map_err(|(fault, offset)| ScriptError {
            file: path.to_path_buf(),
            line: 1 + memchr::memchr_iter(b'\n', &bytes[..offset]).count() as u64,
            offset: offset as u64,
            fault,
        })?;
        let source: Arc<str> = text.into();
        let (path, placeholders) = (path.to_path_buf(), placeholders.clone());
        let filled = Filled { text: source.clone(), spans: Arc::default(), faults: Vec::new() };
        let mut file = Self { path, name, dialect, placeholders, source, filled };
        if file.placeholders.are_on() && file.source.contains("${") {
            let parts = file.sections()?;
            let is_kept = |part: &&SectionPart| part.settings.no_placeholders;
            let kept: Vec<_> =
                parts.down.iter().chain([&parts.up]).filter(is_kept).map(|part| part.range.clone()).collect();
            file.filled = file.placeholders.fill(dialect, &file.source, &kept);
        }
        Ok(file)
    }

    pub fn error(&self, fault: ScriptFault, line: u64, offset: usize) -> ScriptError {
        ScriptError { file: self.path.clone(), line, offset: offset as u64, fault }
    }

    /// Returns true if it seems to be a squashed file.
    pub fn replaces_others(&self) -> bool {
        Replaced::is_in(self.text())
    }

    fn text(&self) -> &Arc<str> {
        &self.filled.text
    }

    fn sections(&self) -> Result<Sections, ScriptError> {
        let wrap = |(fault, line, offset): FaultAt| self.error(fault, line, offset);
        sections(self.dialect, self.text(), self.name.half).map_err(wrap)
    }

    fn section(&self, part: &SectionPart) -> Result<Section, ScriptError> {
        let dialect = self.dialect;
        let plain_end = part.batches.first().map_or(part.range.end, |mark| mark.start);
        let mut statements = self.statements(part.range.start..plain_end, part.line);
        let mut batches = Vec::new();
        let ends = part.batches.iter().skip(1).map(|mark| mark.start).chain([part.range.end]);
        for (mark, end) in part.batches.iter().zip(ends) {
            let at = |fault| self.error(fault, mark.line, mark.start);
            let own = self.statements(mark.body_start..end, mark.line + 1);
            batches.push(self.batch(mark, &own, statements.len()).map_err(at)?);
            statements.extend(own);
            if part.settings.no_transaction {
                return Err(at(ScriptFault::BatchWithoutTransaction));
            }
        }
        let own_transaction = Some(()).filter(|()| batches.is_empty() && !part.settings.no_transaction);
        let own_transaction = own_transaction.and_then(|()| self.take_own_transaction(&mut statements));
        let mut section = Section {
            file: self.path.clone(),
            settings: part.settings,
            text: self.text().clone(),
            source: self.source.clone(),
            spans: self.filled.spans.clone(),
            placeholders: self.placeholders.clone(),
            statements,
            batches,
            own_transaction,
            fault: None,
        };
        let is_inside = |fault: &&FaultAt| part.range.contains(&fault.2);
        let found = part.unread.iter().chain(self.filled.faults.iter().filter(is_inside)).cloned();
        let found = found.map(|(fault, line, offset)| self.error(fault, line, offset));
        let fault = found.chain(check(dialect, &section)).min_by_key(|fault| fault.offset);
        section.fault =
            fault.map(|error| ScriptError { fault: error.fault.quoting(|text| section.hide_values(text)), ..error });
        Ok(section)
    }

    /// Removes a plain `BEGIN` at the start and a plain `COMMIT` at the end, which enclose the whole section: haul makes
    /// that transaction itself. Returns the line of `BEGIN`.
    fn take_own_transaction(&self, statements: &mut Vec<Statement>) -> Option<u64> {
        let (dialect, text) = (self.dialect, self.text());
        let words = |statement: &Statement| Keywords::of(dialect, &text[statement.range.clone()]);
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
    fn statements(&self, range: std::ops::Range<usize>, line: u64) -> Vec<Statement> {
        let shifted = |statement: Statement| Statement {
            line: statement.line + line - 1,
            range: statement.range.start + range.start..statement.range.end + range.start,
        };
        statements(self.dialect, &self.text()[range.clone()]).into_iter().map(shifted).collect()
    }

    fn batch(&self, mark: &BatchMark, own: &[Statement], first: usize) -> Result<Batch, ScriptFault> {
        let (dialect, text) = (self.dialect, self.text());
        let query = checked_query(dialect, &mark.query)?;
        if own.is_empty() {
            return Err(ScriptFault::EmptyBatch);
        }
        if !own.iter().any(|statement| mentions_batch_table(dialect, &text[statement.range.clone()])) {
            return Err(ScriptFault::BatchUnused);
        }
        let written_query = match as_written(text, &self.filled.spans, mark.start..mark.body_start) {
            Cow::Borrowed(_) => query.clone(),
            Cow::Owned(comment) => comment,
        };
        Ok(Batch { query, written_query, line: mark.line, statements: first..first + own.len() })
    }
}
