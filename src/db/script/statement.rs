//! Finds the ends of statements: semicolons outside the bodies of triggers and functions.

use std::ops::Range;

use super::lexer::{Lexer, Token, TokenKind};
use crate::db::dialect::Dialect;

/// A statement in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The range from the first word to the semicolon, in bytes of the text.
    pub range: Range<usize>,
    /// The line of the first word, counted from 1.
    pub line: u64,
}

/// A part of a text up to the end of a statement. All pieces joined are the text; the last one may have no statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The range of the piece, with the blanks and comments before the statement, in bytes.
    pub range: Range<usize>,
    /// The statement in the piece.
    pub statement: Option<Statement>,
}

/// Splits a text into pieces.
#[derive(Debug)]
pub struct Pieces<'a> {
    text: &'a str,
    tokens: Lexer<'a>,
    boundary: Boundary,
    end: usize,
    line: u64,
}

impl<'a> Pieces<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(dialect: Dialect, text: &'a str) -> Self {
        Self { text, tokens: Lexer::new(dialect, text), boundary: Boundary::new(dialect), end: 0, line: 1 }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let start = self.end;
        let mut first: Option<(usize, u64)> = None;
        for token in self.tokens.by_ref() {
            if !token.kind.is_trivia() && first.is_none() {
                first = Some((token.start, self.line));
            }
            self.line += line_ends(&self.text[token.start..token.end]);
            self.end = token.end;
            if self.boundary.push(token, self.text) {
                break;
            }
        }
        if self.tokens.has_data_next()
            && let Some(data) = self.tokens.next()
        {
            self.line += line_ends(&self.text[data.start..data.end]);
            self.end = data.end;
        }
        let end = self.end;
        // A lone semicolon is not a statement for either engine.
        let first = first.filter(|(at, _)| &self.text[*at..end] != ";");
        let statement = first.map(|(at, line)| Statement { range: at..end, line });
        (end > start).then_some(Piece { range: start..end, statement })
    }
}

/// Returns the statements of a text.
pub fn statements(dialect: Dialect, text: &str) -> Vec<Statement> {
    Pieces::new(dialect, text).filter_map(|piece| piece.statement).collect()
}

/// Returns the number of line ends in a text.
pub fn line_ends(text: &str) -> u64 {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64
}

/// Decides which semicolon ends a statement, token by token.
#[derive(Debug, Clone)]
pub struct Boundary {
    dialect: Dialect,
    head: Head,
    /// The words before the current token that matter: whether the end of a trigger is near, or `BEGIN` may be followed
    /// by `ATOMIC`.
    near: Near,
    /// The number of open parentheses. PostgreSQL has rules with statements inside them.
    parentheses: u64,
    /// 1 in the body of a trigger or function, 0 outside.
    body_depth: u64,
}

/// The kind of a statement, as far as its first words show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Start,
    Explain,
    Create,
    /// A trigger of SQLite, whose body contains statements up to `; END`.
    Trigger,
    /// A function or procedure of PostgreSQL, which may have a body of statements.
    Function,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    Nothing,
    Semicolon,
    EndAfterSemicolon,
    Begin,
}

impl Boundary {
    /// Starts at the beginning of a text.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, head: Head::Start, near: Near::Nothing, parentheses: 0, body_depth: 0 }
    }

    /// Forgets the current statement.
    pub fn restart(&mut self) {
        *self = Self::new(self.dialect);
    }

    /// Returns true between two statements.
    pub fn is_at_start(&self) -> bool {
        self.head == Head::Start && self.parentheses == 0
    }

    /// Returns true inside of parentheses.
    pub fn is_in_parentheses(&self) -> bool {
        self.parentheses > 0
    }

    /// Returns true inside the body of a trigger or function, where a comment is part of the body.
    pub fn is_inside_body(&self) -> bool {
        match self.head {
            Head::Trigger => self.body_depth > 0 && self.near != Near::EndAfterSemicolon,
            Head::Function => self.body_depth > 0,
            _ => false,
        }
    }

    /// Reads the next token of `text`. Returns true if it ends the statement.
    pub fn push(&mut self, token: Token, text: &str) -> bool {
        match token.kind {
            kind if kind.is_trivia() => return false,
            // Data follow a statement that has ended.
            TokenKind::CopyData => return false,
            TokenKind::Semicolon if self.is_end() => {
                self.restart();
                return true;
            }
            TokenKind::Word => self.word(&text[token.start..token.end]),
            TokenKind::Semicolon => self.near = Near::Semicolon,
            kind => {
                match kind {
                    TokenKind::Open => self.parentheses += 1,
                    TokenKind::Close => self.parentheses = self.parentheses.saturating_sub(1),
                    _ => {}
                }
                self.near = Near::Nothing;
                self.settle_head();
            }
        }
        false
    }

    fn is_end(&self) -> bool {
        match (self.dialect, self.head) {
            (Dialect::Sqlite, Head::Trigger) => self.near == Near::EndAfterSemicolon,
            (Dialect::Sqlite, _) => true,
            (Dialect::Postgres, _) => self.body_depth == 0 && self.parentheses == 0,
        }
    }

    fn word(&mut self, word: &str) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        match self.head {
            Head::Trigger => {
                if is("BEGIN") {
                    self.body_depth = 1;
                }
                let ends = is("END") && self.near == Near::Semicolon;
                self.near = if ends { Near::EndAfterSemicolon } else { Near::Nothing };
            }
            Head::Function => self.function_word(word),
            head => self.head = head.after(self.dialect, word),
        }
    }

    fn function_word(&mut self, word: &str) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let was_near = std::mem::replace(&mut self.near, if is("BEGIN") { Near::Begin } else { Near::Nothing });
        if self.body_depth == 0 {
            if was_near == Near::Begin && is("ATOMIC") && self.parentheses == 0 {
                // The body may be empty: END closes it wherever a statement could begin.
                (self.body_depth, self.near) = (1, Near::Semicolon);
            }
        } else if was_near == Near::Semicolon && is("END") {
            self.body_depth = 0;
        }
    }

    /// Ends the leading keywords at a token that is not a word.
    fn settle_head(&mut self) {
        if matches!(self.head, Head::Start | Head::Explain | Head::Create) {
            self.head = Head::Plain;
        }
    }
}

impl Head {
    fn after(self, dialect: Dialect, word: &str) -> Self {
        let is = |keywords: &[&str]| keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
        match (self, dialect) {
            (Self::Start | Self::Explain, _) if is(&["CREATE"]) => Self::Create,
            (Self::Start, Dialect::Sqlite) if is(&["EXPLAIN"]) => Self::Explain,
            (Self::Explain, Dialect::Sqlite) if is(&["QUERY", "PLAN"]) => Self::Explain,
            (Self::Create, Dialect::Sqlite) if is(&["TEMP", "TEMPORARY"]) => Self::Create,
            (Self::Create, Dialect::Sqlite) if is(&["TRIGGER"]) => Self::Trigger,
            (Self::Create, Dialect::Postgres) if is(&["OR", "REPLACE"]) => Self::Create,
            (Self::Create, Dialect::Postgres) if is(&["FUNCTION", "PROCEDURE"]) => Self::Function,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(dialect: Dialect, text: &str) -> Vec<String> {
        statements(dialect, text).into_iter().map(|statement| text[statement.range].to_owned()).collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_everything() {
        let text = "-- a;\nSELECT ';', \";\" /* ; */;;\n\n  INSERT INTO t VALUES (1)\n;\nSELECT 3 -- no semicolon;";
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let found = statements(dialect, text);
            let lines: Vec<_> = found.iter().map(|statement| statement.line).collect();
            assert_eq!(lines, [2, 4, 6]);
            assert_eq!(texts(dialect, text)[1], "INSERT INTO t VALUES (1)\n;");
            assert!(texts(dialect, text)[2].starts_with("SELECT 3"));
        }
    }

    #[test]
    fn a_trigger_of_sqlite_is_one_statement() {
        let trigger = "CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN\n  UPDATE t SET x = CASE WHEN 1 THEN 2 END;\n  \
                       SELECT 1;\nEND;";
        for prefix in ["", "EXPLAIN ", "explain query plan "] {
            let text = format!("{prefix}{trigger} SELECT 2;");
            assert_eq!(texts(Dialect::Sqlite, &text), [format!("{prefix}{trigger}"), "SELECT 2;".into()]);
        }
        let table = "CREATE TABLE trigger_x (a); END;";
        assert_eq!(texts(Dialect::Sqlite, table), ["CREATE TABLE trigger_x (a);", "END;"]);
    }

    #[test]
    fn the_body_of_a_function_of_postgres_is_one_statement() {
        let function = "CREATE OR REPLACE FUNCTION f(x int) RETURNS int BEGIN ATOMIC\n  SELECT CASE WHEN x > 1 THEN 1 ELSE \
                        2 END;\n  SELECT 3;\nEND;";
        let text = format!("{function} SELECT 2;");
        assert_eq!(texts(Dialect::Postgres, &text), [function, "SELECT 2;"]);
        let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);";
        assert_eq!(texts(Dialect::Postgres, rule), [rule]);
        let labels = "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC\n  SELECT x AS end;\n  SELECT CASE x WHEN 1 \
                      THEN 2 END AS end; /* c */\n  SELECT e.end FROM e;\n  SELECT (SELECT 1) end;\nEND;";
        let empty = "CREATE PROCEDURE p() BEGIN ATOMIC END;";
        let argument = "CREATE FUNCTION g(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1';";
        let text = format!("{labels} {empty} {argument} SELECT 2;");
        assert_eq!(texts(Dialect::Postgres, &text), [labels, empty, argument, "SELECT 2;"]);
        let named = "CREATE FUNCTION f(begin int) RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMIT;";
        assert_eq!(texts(Dialect::Postgres, named).len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_joined_are_the_text(text in r"(;|\(|\)| |CREATE |TRIGGER |FUNCTION |BEGIN |ATOMIC |END|'|\n|.){0,40}") {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let mut end = 0;
                for piece in Pieces::new(dialect, &text) {
                    prop_assert_eq!(piece.range.start, end);
                    end = piece.range.end;
                }
                prop_assert_eq!(end, text.len());
            }
        }
    }
}
