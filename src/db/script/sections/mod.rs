//! Splits the text of a file into its sections (docs/source-sql.md, "Sections").
//!
//! A marker is a line of its own, outside of literals, quoted names, block comments and the bodies of triggers and
//! functions. Everything before the first marker is the header, which contains only comments. A file without markers is
//! one Up section, and the comments at its top are its header.

use std::ops::Range;

use super::direction::Direction;
use super::directives::Settings;
use super::error::ScriptFault;
use super::lexer::{Lexer, Token, TokenKind};
use super::marker::{Comment, MarkerKind};
use super::replaces::Replaced;
use super::statement::{Boundary, line_ends};
use super::unread_marker::{UnreadMarker, is_statement, undoes, unread_marker, unread_marker_of_lines};
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
    /// The first comment that is meant as a marker, and that haul does not read.
    pub unread: Option<FaultAt>,
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
    /// The migrations that the file replaces.
    pub replaces: Vec<Replaced>,
    /// The section that applies the migration.
    pub up: SectionPart,
    /// The section that rolls it back.
    pub down: Option<SectionPart>,
}

/// A fault with its line and byte offset.
pub type FaultAt = (ScriptFault, u64, usize);

/// Splits a text into sections. If the name of the file says which section it is, that is its `half`, and a marker is
/// an error.
pub fn sections(dialect: Dialect, text: &str, half: Option<Direction>) -> Result<Sections, FaultAt> {
    let mut parser = SectionParser::new(dialect, text, half);
    let mut lexer = Lexer::new(dialect, text);
    while let Some(token) = lexer.next() {
        let line = parser.line;
        parser.token(token).map_err(|fault| (fault, line, token.start))?;
        parser.line += line_ends(&text[token.start..token.end]);
        if parser.boundary.is_at_start() {
            lexer.begin_statement();
        }
    }
    let line = parser.line;
    parser.finish().map_err(|fault| (fault, line, text.len()))
}

struct SectionParser<'a> {
    text: &'a str,
    half: Option<Direction>,
    boundary: Boundary,
    line: u64,
    header: Vec<String>,
    replaces: Vec<Replaced>,
    /// The options from the header, which apply to every section.
    common: Settings,
    kind: Option<MarkerKind>,
    up: Option<SectionPart>,
    down: Option<SectionPart>,
    /// The batches of the current section, or of the whole file before any section has started.
    batches: Vec<BatchMark>,
    has_statement: bool,
    is_in_statement_markers: bool,
    /// A comment that looks like a marker, until it is known whether a statement follows.
    suspect: Option<Suspect>,
    /// The first such comment in the current section, or before it.
    unread: Option<FaultAt>,
}

/// A comment that looks like a marker.
struct Suspect {
    fault: FaultAt,
    /// True if a comment in the next line shows that it is the heading of a remark.
    may_be_heading: bool,
    /// True if another comment came after it.
    has_remark: bool,
}

impl<'a> SectionParser<'a> {
    fn new(dialect: Dialect, text: &'a str, half: Option<Direction>) -> Self {
        Self {
            text,
            half,
            boundary: Boundary::new(dialect),
            line: 1,
            header: Vec::new(),
            replaces: Vec::new(),
            common: Settings::default(),
            kind: None,
            up: None,
            down: None,
            batches: Vec::new(),
            has_statement: false,
            is_in_statement_markers: false,
            suspect: None,
            unread: None,
        }
    }

    fn token(&mut self, token: Token) -> Result<(), ScriptFault> {
        match token.kind {
            TokenKind::LineComment if !self.boundary.is_inside_body() => return self.comment(token),
            TokenKind::BlockComment if !self.boundary.is_inside_body() => self.block_comment(token),
            TokenKind::Unclosed(what) => return Err(ScriptFault::Unclosed(what)),
            kind if !kind.is_trivia() => {
                self.foreign_comment(token);
                self.statement_token(token);
            }
            _ => {}
        }
        self.boundary.push(token, self.text);
        Ok(())
    }

    fn comment(&mut self, token: Token) -> Result<(), ScriptFault> {
        let text = &self.text[token.start..token.end];
        if let Some(suspect) = self.suspect.as_mut().filter(|suspect| suspect.may_be_heading) {
            // Below a heading stand the statements for the way back, in comments, or a remark about it.
            suspect.has_remark = true;
            if is_statement(text) {
                self.suspect = None;
            }
        }
        match Comment::read(text, self.starts_line(token)) {
            Comment::Text(text) => self.keep(text),
            Comment::Unread(marker) => {
                self.suspect(marker, text.trim(), token);
                self.keep(text.trim_start_matches('-').trim());
            }
            // A pair says its section with the name; a line that says the same is a heading.
            Comment::Marker { kind: MarkerKind::NodePgMigrate, direction, .. } if self.half == Some(direction) => {}
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

    /// Returns true if there are only blanks before a token on its line.
    fn starts_line(&self, token: Token) -> bool {
        let line_start = self.text[..token.start].rfind('\n').map_or(0, |at| at + 1);
        self.text[line_start..token.start].trim().is_empty()
    }

    fn block_comment(&mut self, token: Token) {
        let is_alone = self.starts_line(token) && self.text[token.end..self.next_line(token)].trim().is_empty();
        let text = &self.text[token.start..token.end];
        let inner = &text[2..text.len() - 2];
        let marker = if text.contains('\n') { unread_marker_of_lines(inner) } else { unread_marker(inner) };
        if let Some(marker) = marker.filter(|_| is_alone) {
            self.suspect(marker, &text.split_whitespace().collect::<Vec<_>>().join(" "), token);
        }
    }

    /// Recognizes a marker behind `#` or `//`, which start comments elsewhere and not in SQL.
    fn foreign_comment(&mut self, token: Token) {
        let line = self.text[token.start..].lines().next().unwrap_or_default();
        let is_start = line.starts_with('#') || line.starts_with("//");
        if let Some(marker) = unread_marker(line).filter(|_| is_start && self.starts_line(token)) {
            self.suspect(marker, line.trim(), token);
        }
    }

    /// Remembers a comment that looks like a marker.
    fn suspect(&mut self, marker: UnreadMarker, text: &str, token: Token) {
        let at = |fault| (fault, self.line, token.start);
        match marker {
            UnreadMarker::Liquibase => {
                self.unread.get_or_insert(at(ScriptFault::Liquibase(text.to_owned())));
            }
            UnreadMarker::Section { direction, is_firm } => {
                // In parentheses it is the heading of columns or values. In half of a pair, it may say which half it is.
                if !self.boundary.is_in_parentheses() && (self.half.is_none() || self.half != direction) {
                    let fault = at(ScriptFault::UnreadMarker(text.to_owned()));
                    self.suspect = Some(Suspect { fault, may_be_heading: !is_firm, has_remark: false });
                }
            }
        }
    }

    /// Notes a part of a statement: a comment before it that looks like a marker is one.
    fn statement_token(&mut self, token: Token) {
        self.has_statement = true;
        let word = &self.text[token.start..token.end];
        if let Some(suspect) = self.suspect.take().filter(|suspect| !suspect.has_remark || undoes(word)) {
            self.unread.get_or_insert(suspect.fault);
        }
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
        match Replaced::read(directives) {
            Some(_) if self.kind.is_some() => Err(ScriptFault::LateDirective),
            Some(replaced) => replaced.map(|replaced| self.replaces.push(replaced)),
            None => self.settings().read(directives),
        }
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
        if self.half.is_some() {
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
        let section = SectionPart { range, line: self.line + 1, settings, batches: Vec::new(), unread: None };
        let batches = std::mem::take(&mut self.batches);
        self.suspect = None;
        match (direction, &mut self.up, &mut self.down) {
            (Direction::Up, None, _) if self.has_statement || !batches.is_empty() => {
                return Err(ScriptFault::StatementBeforeUp);
            }
            (Direction::Up, up @ None, _) => *up = Some(section),
            (Direction::Down, None, _) => return Err(ScriptFault::DownBeforeUp),
            (Direction::Down, Some(up), down @ None) => {
                up.range.end = token.start;
                up.batches = batches;
                up.unread = self.unread.take();
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
        let range = 0..self.text.len();
        let whole = || SectionPart { range, line: 1, settings: self.common, batches: Vec::new(), unread: None };
        let mut up = self.up.unwrap_or_else(whole);
        let last = self.down.as_mut().unwrap_or(&mut up);
        (last.batches, last.unread) = (self.batches, self.unread);
        Ok(Sections { header: self.header, replaces: self.replaces, up, down: self.down })
    }
}

#[cfg(test)]
mod tests;
