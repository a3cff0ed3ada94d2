//! A lexer for scripts, only as precise as needed to find the ends of literals, comments and statements.
//!
//! The tokens follow each other without gaps, so joined they are the text. A literal or comment without an end is one
//! token up to the end of the text, [`TokenKind::Unclosed`].

mod copy;
mod token;

use self::copy::{CopyHead, END};
pub use self::token::{Token, TokenKind, Unclosed};
use crate::db::dialect::Dialect;

/// Splits a text into tokens.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    dialect: Dialect,
    text: &'a str,
    at: usize,
    copy: CopyHead,
}

impl<'a> Lexer<'a> {
    /// Creates a lexer at the start of `text`.
    pub fn new(dialect: Dialect, text: &'a str) -> Self {
        Self { dialect, text, at: 0, copy: CopyHead::default() }
    }

    /// Begins a statement here: the one before has ended without a semicolon.
    pub fn begin_statement(&mut self) {
        if !self.has_data_next() {
            self.copy = CopyHead::default();
        }
    }

    /// Returns true if the next token is the data of the statement before.
    pub fn has_data_next(&self) -> bool {
        self.copy.is_complete()
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// Returns the first position from `at` whose byte is not in `class`.
    fn skip(&self, at: usize, class: impl Fn(u8) -> bool) -> usize {
        let rest = &self.text.as_bytes()[at..];
        at + rest.iter().position(|&byte| !class(byte)).unwrap_or(rest.len())
    }

    /// Returns kind and end of the token at `start`.
    fn token(&self, start: usize) -> (TokenKind, usize) {
        let (first, second) = (self.byte(start), self.byte(start + 1));
        match first {
            _ if self.is_blank(first) => (TokenKind::Blank, self.skip(start, |byte| self.is_blank(byte))),
            b'-' if second == b'-' => (TokenKind::LineComment, self.line_comment_end(start)),
            b'/' if second == b'*' => self.block_comment(start),
            b'\'' => self.quoted(start, b'\'', TokenKind::Literal, Unclosed::Literal),
            b'"' => self.quoted(start, b'"', TokenKind::QuotedName, Unclosed::Name),
            b';' => (TokenKind::Semicolon, start + 1),
            b'(' => (TokenKind::Open, start + 1),
            b')' => (TokenKind::Close, start + 1),
            b'\\' => self.restrict(start).unwrap_or((TokenKind::Backslash, start + 1)),
            b'0'..=b'9' => (TokenKind::Other, self.skip(start, |byte| byte.is_ascii_digit() || byte == b'.')),
            _ => match self.dialect {
                Dialect::Sqlite => self.sqlite_token(start),
                Dialect::Postgres => self.postgres_token(start),
            },
        }
    }

    /// Returns the end of a comment from `--` on. PostgreSQL ends it at a carriage return too, SQLite does not.
    fn line_comment_end(&self, start: usize) -> usize {
        self.skip(start, |byte| byte != b'\n' && (byte != b'\r' || self.dialect == Dialect::Sqlite))
    }

    /// Reads a line `\restrict KEY` or `\unrestrict KEY`.
    fn restrict(&self, start: usize) -> Option<(TokenKind, usize)> {
        let is_at_line_start = start == 0 || self.byte(start - 1) == b'\n';
        let end = self.skip(start, |byte| byte != b'\n');
        let mut words = self.text[start..end].split_whitespace();
        let is_command = matches!(words.next(), Some("\\restrict" | "\\unrestrict"));
        let is_key = words.next().is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let is_meant = self.dialect == Dialect::Postgres && is_at_line_start && is_command && is_key;
        (is_meant && words.next().is_none()).then_some((TokenKind::Restrict, end))
    }

    /// Returns true for the bytes that the engine takes for blanks.
    fn is_blank(&self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => true,
            b'\x0b' => self.dialect == Dialect::Postgres,
            _ => false,
        }
    }

    fn sqlite_token(&self, start: usize) -> (TokenKind, usize) {
        match self.byte(start) {
            b'`' => self.quoted(start, b'`', TokenKind::QuotedName, Unclosed::Name),
            b'[' => match self.text[start..].find(']') {
                Some(length) => (TokenKind::QuotedName, start + length + 1),
                None => (TokenKind::Unclosed(Unclosed::Name), self.text.len()),
            },
            b'$' | b'@' | b'#' | b':' => (TokenKind::Other, self.sqlite_variable(start)),
            byte if is_name_byte(byte) => {
                (TokenKind::Word, self.skip(start, |byte| is_name_byte(byte) || byte == b'$'))
            }
            _ => (TokenKind::Other, start + 1),
        }
    }

    /// Returns the end of `$name`, `:name`, `@name`, `#name`, or `$name::part(anything)`, in which a semicolon does not
    /// end a statement.
    fn sqlite_variable(&self, start: usize) -> usize {
        let mut at = start + 1;
        let mut has_name = false;
        loop {
            let byte = self.byte(at);
            if is_name_byte(byte) || byte == b'$' {
                has_name = true;
                at += 1;
            } else if byte == b'(' && has_name {
                let end = self.skip(at + 1, |byte| byte != b')' && byte != 0 && !is_c_space(byte));
                return if self.byte(end) == b')' { end + 1 } else { end };
            } else if byte == b':' && self.byte(at + 1) == b':' {
                at += 2;
            } else {
                return at;
            }
        }
    }

    fn postgres_token(&self, start: usize) -> (TokenKind, usize) {
        match self.byte(start) {
            b'e' | b'E' if self.byte(start + 1) == b'\'' => self.escape_literal(start + 1),
            b'$' => self.dollar_literal(start).unwrap_or((TokenKind::Other, start + 1)),
            byte if is_name_byte(byte) => {
                (TokenKind::Word, self.skip(start, |byte| is_name_byte(byte) || byte == b'$'))
            }
            _ => (TokenKind::Other, start + 1),
        }
    }

    /// Reads up to the closing quote. A doubled quote is part of the content.
    fn quoted(&self, start: usize, quote: u8, kind: TokenKind, unclosed: Unclosed) -> (TokenKind, usize) {
        let mut at = start + 1;
        loop {
            at = self.skip(at, |byte| byte != quote);
            if at >= self.text.len() {
                return (TokenKind::Unclosed(unclosed), at);
            }
            if self.byte(at + 1) != quote {
                return (kind, at + 1);
            }
            at += 2;
        }
    }

    /// Reads `E'…'` from its quote. A backslash escapes the next byte, also in a continuation of the literal on another
    /// line.
    fn escape_literal(&self, quote: usize) -> (TokenKind, usize) {
        let mut at = quote + 1;
        loop {
            at = self.skip(at, |byte| byte != b'\'' && byte != b'\\');
            match (self.byte(at), self.byte(at + 1)) {
                _ if at >= self.text.len() => return (TokenKind::Unclosed(Unclosed::Literal), self.text.len()),
                (b'\\', _) | (b'\'', b'\'') => at = self.after_char(at + 1),
                _ => match self.continuation(at + 1) {
                    Some(next_quote) => at = next_quote + 1,
                    None => return (TokenKind::Literal, at + 1),
                },
            }
        }
    }

    /// Returns the position after the character at `at`, whatever its length.
    fn after_char(&self, at: usize) -> usize {
        at + self.text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
    }

    /// Returns the quote that continues a literal which ended before `at`. Only blanks and line comments may be in
    /// between, and at least one line end.
    fn continuation(&self, at: usize) -> Option<usize> {
        let mut at = at;
        let mut has_line_end = false;
        loop {
            let (kind, end) = match (self.byte(at), self.byte(at + 1)) {
                (b'\'', _) => return has_line_end.then_some(at),
                (b'-', b'-') => (TokenKind::LineComment, self.line_comment_end(at)),
                (byte, _) if self.is_blank(byte) => (TokenKind::Blank, self.skip(at, |byte| self.is_blank(byte))),
                _ => return None,
            };
            has_line_end |= kind == TokenKind::Blank && self.text[at..end].contains(['\n', '\r']);
            at = end;
        }
    }

    /// Reads `$tag$ … $tag$`. Returns `None` if no tag starts here.
    fn dollar_literal(&self, start: usize) -> Option<(TokenKind, usize)> {
        let tag_end = self.skip(start + 1, is_name_byte);
        if self.byte(tag_end) != b'$' || self.byte(start + 1).is_ascii_digit() {
            return None;
        }
        let (tag, body) = (&self.text[start..=tag_end], tag_end + 1);
        Some(match self.text[body..].find(tag) {
            Some(length) => (TokenKind::Literal, body + length + tag.len()),
            None => (TokenKind::Unclosed(Unclosed::Literal), self.text.len()),
        })
    }

    fn block_comment(&self, start: usize) -> (TokenKind, usize) {
        let is_nesting = self.dialect == Dialect::Postgres;
        let (mut at, mut depth) = (start + 2, 1_u64);
        loop {
            at = self.skip(at, |byte| byte != b'*' && byte != b'/');
            if at >= self.text.len() {
                return (TokenKind::Unclosed(Unclosed::Comment), at);
            }
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') if depth == 1 => return (TokenKind::BlockComment, at + 2),
                (b'*', b'/') => (at, depth) = (at + 2, depth - 1),
                (b'/', b'*') if is_nesting => (at, depth) = (at + 2, depth + 1),
                _ => at += 1,
            }
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let (kind, end) = match self.has_data_next() {
            true => copy::data(self.text, start),
            false => self.token(start),
        };
        self.at = end;
        let token = Token { kind, start, end };
        if self.dialect == Dialect::Postgres {
            self.copy = self.copy.after(token, self.text);
        }
        Some(token)
    }
}

/// Returns true for the bytes of names, except `$`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Returns true for the bytes that `isspace` of C accepts, which SQLite uses here.
fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Splits `COPY … FROM STDIN` with its data into the command without a semicolon, and the range of the data. Returns
/// `None` for any other statement.
pub fn copy_from_client(statement: &str) -> Option<(&str, std::ops::Range<usize>)> {
    let token = Lexer::new(Dialect::Postgres, statement).find(|token| token.kind == TokenKind::CopyData)?;
    let data_start = token.start + statement[token.start..].find('\n')? + 1;
    Some((statement[..token.start].strip_suffix(';')?, data_start..token.end - END.len()))
}

#[cfg(test)]
mod tests;
