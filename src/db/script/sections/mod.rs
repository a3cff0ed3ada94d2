//! Splits the text of a file into its sections (docs/source-sql.md, "Sections").
//!
//! A marker is a line of its own, outside of literals, quoted names, block comments and the bodies of triggers and
//! functions. Everything before the first marker is the header, which contains only comments. A file without markers is
//! one Up section, and the comments at its top are its header.

use std::ops::Range;

use super::directives::Settings;
use super::error::ScriptFault;
use super::lexer::{Lexer, Token, TokenKind};
use super::marker::{Comment, Direction, MarkerKind};
use super::statement::{Boundary, line_ends};
use crate::db::dialect::Dialect;

/// The maximum number of header lines that are kept.
const HEADER_LINES_MAX: usize = 100;

/// A section, as a part of the text of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionPart {
    /// The range in the text, in bytes.
    pub range: Range<usize>,
    /// The first line, counted from 1.
    pub line: u64,
    /// The options.
    pub settings: Settings,
    /// The batches.
    pub batches: Vec<BatchMark>,
}

/// The start of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchMark {
    /// The first byte of the marker.
    pub start: usize,
    /// The first byte after the line of the marker.
    pub body_start: usize,
    /// The line of the marker.
    pub line: u64,
    /// The query.
    pub query: String,
}

/// The parts of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sections {
    /// The comments before the first section, without their dashes.
    pub header: Vec<String>,
    /// The section that applies the migration.
    pub up: SectionPart,
    /// The section that rolls it back.
    pub down: Option<SectionPart>,
}

/// A fault with its line and byte offset.
pub type FaultAt = (ScriptFault, u64, usize);

/// Splits a text into sections. If `is_whole`, the name of the file says which section it is, and a marker is an error.
pub fn sections(dialect: Dialect, text: &str, is_whole: bool) -> Result<Sections, FaultAt> {
    let mut parser = SectionParser::new(dialect, text, is_whole);
    for token in Lexer::new(dialect, text) {
        let line = parser.line;
        parser.token(token).map_err(|fault| (fault, line, token.start))?;
        parser.line += line_ends(&text[token.start..token.end]);
    }
    let line = parser.line;
    parser.finish().map_err(|fault| (fault, line, text.len()))
}

struct SectionParser<'a> {
    text: &'a str,
    is_whole: bool,
    boundary: Boundary,
    line: u64,
    header: Vec<String>,
    /// The options from the header, which apply to every section.
    common: Settings,
    kind: Option<MarkerKind>,
    up: Option<SectionPart>,
    down: Option<SectionPart>,
    /// The batches of the current section, or of the whole file before any section has started.
    batches: Vec<BatchMark>,
    has_statement: bool,
    is_in_statement_markers: bool,
}

impl<'a> SectionParser<'a> {
    fn new(dialect: Dialect, text: &'a str, is_whole: bool) -> Self {
        Self {
            text,
            is_whole,
            boundary: Boundary::new(dialect),
            line: 1,
            header: Vec::new(),
            common: Settings::default(),
            kind: None,
            up: None,
            down: None,
            batches: Vec::new(),
            has_statement: false,
            is_in_statement_markers: false,
        }
    }

    fn token(&mut self, token: Token) -> Result<(), ScriptFault> {
        match token.kind {
            TokenKind::LineComment if !self.boundary.is_inside_body() => return self.comment(token),
            TokenKind::Unclosed(what) => return Err(ScriptFault::Unclosed(what)),
            kind if !kind.is_trivia() => self.has_statement = true,
            _ => {}
        }
        self.boundary.push(token, self.text);
        Ok(())
    }

    fn comment(&mut self, token: Token) -> Result<(), ScriptFault> {
        let line_start = self.text[..token.start].rfind('\n').map_or(0, |at| at + 1);
        let is_alone = self.text[line_start..token.start].trim().is_empty();
        match Comment::read(&self.text[token.start..token.end], is_alone) {
            Comment::Text(text) => self.keep(text),
            Comment::Batch(query) => self.batch(query, token),
            Comment::Directives(directives) => self.directives(directives)?,
            Comment::NoTransaction => self.no_transaction_everywhere(),
            Comment::StatementBegin => self.statement_marker(true)?,
            Comment::StatementEnd => self.statement_marker(false)?,
            Comment::Unknown(annotation) => return Err(ScriptFault::UnknownAnnotation(annotation.to_owned())),
            Comment::Marker { kind, direction, no_transaction } => {
                self.marker(kind, direction, no_transaction, token)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, text: &str) {
        if self.kind.is_none() && !self.has_statement && !text.is_empty() && self.header.len() < HEADER_LINES_MAX {
            self.header.push(text.to_owned());
        }
    }

    fn directives(&mut self, directives: &str) -> Result<(), ScriptFault> {
        if self.has_statement {
            return Err(ScriptFault::LateDirective);
        }
        self.settings().read(directives)
    }

    /// Returns the options of the section that the next statement belongs to, or those of the header.
    fn settings(&mut self) -> &mut Settings {
        match (&mut self.down, &mut self.up) {
            (Some(section), _) | (None, Some(section)) => &mut section.settings,
            (None, None) => &mut self.common,
        }
    }

    fn no_transaction_everywhere(&mut self) {
        self.common.no_transaction = true;
        for section in [&mut self.up, &mut self.down].into_iter().flatten() {
            section.settings.no_transaction = true;
        }
    }

    fn statement_marker(&mut self, begins: bool) -> Result<(), ScriptFault> {
        if self.is_in_statement_markers == begins {
            return Err(ScriptFault::UnmatchedStatementMarkers);
        }
        self.is_in_statement_markers = begins;
        Ok(())
    }

    fn batch(&mut self, query: &str, token: Token) {
        let (line, query) = (self.line, query.to_owned());
        self.batches.push(BatchMark { start: token.start, body_start: self.next_line(token), line, query });
        // The last statement before a marker may have no semicolon.
        self.boundary.restart();
        self.has_statement = false;
    }

    /// Returns the first byte of the line after a comment.
    fn next_line(&self, token: Token) -> usize {
        self.text[token.end..].find('\n').map_or(self.text.len(), |at| token.end + at + 1)
    }

    fn marker(
        &mut self,
        kind: MarkerKind,
        direction: Direction,
        no_transaction: bool,
        token: Token,
    ) -> Result<(), ScriptFault> {
        if self.is_whole {
            return Err(ScriptFault::MarkerInPair);
        }
        if self.kind.is_some_and(|other| other != kind) {
            return Err(ScriptFault::MixedMarkers);
        }
        if self.is_in_statement_markers {
            return Err(ScriptFault::UnmatchedStatementMarkers);
        }
        let settings = Settings { no_transaction: no_transaction || self.common.no_transaction, ..self.common };
        let range = self.next_line(token)..self.text.len();
        let section = SectionPart { range, line: self.line + 1, settings, batches: Vec::new() };
        let batches = std::mem::take(&mut self.batches);
        match (direction, &mut self.up, &mut self.down) {
            (Direction::Up, None, _) if self.has_statement || !batches.is_empty() => {
                return Err(ScriptFault::StatementBeforeUp);
            }
            (Direction::Up, up @ None, _) => *up = Some(section),
            (Direction::Down, None, _) => return Err(ScriptFault::DownBeforeUp),
            (Direction::Down, Some(up), down @ None) => {
                up.range.end = token.start;
                up.batches = batches;
                *down = Some(section);
            }
            (direction, ..) => return Err(ScriptFault::RepeatedMarker(direction.name())),
        }
        self.kind = Some(kind);
        self.has_statement = false;
        // The last statement of a section may have no semicolon.
        self.boundary.restart();
        Ok(())
    }

    fn finish(mut self) -> Result<Sections, ScriptFault> {
        if self.is_in_statement_markers {
            return Err(ScriptFault::UnmatchedStatementMarkers);
        }
        let whole = || SectionPart { range: 0..self.text.len(), line: 1, settings: self.common, batches: Vec::new() };
        let mut up = self.up.unwrap_or_else(whole);
        self.down.as_mut().unwrap_or(&mut up).batches = self.batches;
        Ok(Sections { header: self.header, up, down: self.down })
    }
}

#[cfg(test)]
mod tests;
