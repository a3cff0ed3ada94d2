//! SQL text reduced to what it means: without comments, blanks, quotes of names and the case of letters.

use std::ops::Range;

use crate::db::Dialect;
use crate::db::script::{Lexer, TokenKind};

/// A part of a statement that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A name or keyword in small letters and without quotes; anything else as it is written.
    pub text: String,
    /// Where it stands in the statement.
    pub range: Range<usize>,
    /// True for a word without quotes, which may be a keyword.
    pub is_word: bool,
}

impl Part {
    /// Returns true for this keyword, given in small letters.
    pub fn is(&self, keyword: &str) -> bool {
        self.is_word && self.text == keyword
    }
}

/// Returns the parts of a statement. Semicolons are left out.
pub fn parts(sql: &str) -> Vec<Part> {
    let is_part = |kind: TokenKind| !kind.is_trivia() && kind != TokenKind::Semicolon;
    let tokens = Lexer::new(Dialect::Sqlite, sql).filter(|token| is_part(token.kind));
    let part = |kind: TokenKind, range: Range<usize>| {
        let written = &sql[range.clone()];
        let text = match kind {
            TokenKind::Word => written.to_ascii_lowercase(),
            TokenKind::QuotedName => unquoted(written).to_ascii_lowercase(),
            _ => written.to_owned(),
        };
        Part { text, range, is_word: kind == TokenKind::Word }
    };
    tokens.map(|token| part(token.kind, token.start..token.end)).collect()
}

/// Returns parts as one text.
pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Part>) -> String {
    parts.into_iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Returns a text of SQL without its differences in blanks, comments, quotes of names and case of letters.
pub fn normalised(sql: &str) -> String {
    joined(&parts(sql))
}

/// Returns a name without its quotes.
pub fn unquoted(name: &str) -> String {
    let quotes = [("\"", "\"", "\"\""), ("`", "`", "``"), ("[", "]", "]")];
    let stripped = quotes.into_iter().find_map(|(start, end, doubled)| {
        let inner = name.strip_prefix(start)?.strip_suffix(end)?;
        Some(if start == "[" { inner.to_owned() } else { inner.replace(doubled, start) })
    });
    stripped.unwrap_or_else(|| name.to_owned())
}

/// Returns the position after the parenthesis that closes the one at `open`.
pub fn closed_at(parts: &[Part], open: usize) -> usize {
    let mut depth = 0;
    let end = parts[open..].iter().position(|part| {
        depth += i32::from(part.text == "(") - i32::from(part.text == ")");
        depth == 0
    });
    end.map_or(parts.len(), |at| open + at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_makes_no_difference_and_meaning_does() {
        let a = "CREATE TABLE \"T\" ( a  INTEGER, -- a number\n b TEXT DEFAULT 'X' )";
        assert_eq!(normalised(a), normalised("create table [t](A integer,`b` text/**/default 'X');"));
        assert_ne!(normalised(a), normalised("create table t(a integer, b text default 'x')"));
        assert_eq!(unquoted("\"a\"\"b\""), "a\"b");
    }

    #[test]
    fn parentheses_are_closed() {
        let parts = parts("check ((a) > (b)) x");
        assert_eq!(parts[closed_at(&parts, 1)].text, "x");
        assert_eq!(closed_at(&parts, parts.len() - 1), parts.len());
    }
}
