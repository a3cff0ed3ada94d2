//! Finds the tables whose rows a statement of PostgreSQL adds, changes or removes, for a backup of no more than those.

use super::lexer::{Lexer, Token, TokenKind};
use crate::db::dialect::Dialect;

/// The tables whose rows a statement adds, changes or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// These tables, named as in the statement; none if no table loses rows.
    Tables(Vec<String>),
    /// Any table: its words do not say which.
    Any,
}

/// The words that begin a statement which changes no row, unless it has `CASCADE`.
const HARMLESS: [&str; 12] = [
    "CREATE", "COMMENT", "GRANT", "REVOKE", "RESET", "ANALYZE", "LOCK", "LISTEN", "NOTIFY", "REINDEX", "CLUSTER",
    "SHOW",
];
/// What a statement can drop or alter without a change of rows, unless it has `CASCADE`.
const WITHOUT_ROWS: [&str; 12] = [
    "INDEX",
    "VIEW",
    "FUNCTION",
    "PROCEDURE",
    "TRIGGER",
    "RULE",
    "POLICY",
    "SEQUENCE",
    "TYPE",
    "AGGREGATE",
    "STATISTICS",
    "DEFAULT",
];
/// Settings that change which tables the names of later statements mean, or who changes them.
const SETTINGS_OF_NAMES: [&str; 5] = ["SEARCH_PATH", "SCHEMA", "ROLE", "AUTHORIZATION", "SESSION_REPLICATION_ROLE"];

/// Returns the tables whose rows `statement` adds, changes or removes.
pub fn touched_tables(statement: &str) -> Touched {
    let mut words = Words::of(Dialect::Postgres, statement);
    if words.cascades() {
        return Touched::Any;
    }
    let found = match words.next_word().as_str() {
        "DELETE" => words.takes("FROM").then(|| words.names(false)),
        "UPDATE" => Some(words.names(false)),
        // What is only added is not lost; but a trigger of the table may do more.
        "INSERT" => words.takes("INTO").then(|| words.names(false)),
        "TRUNCATE" => {
            words.takes("TABLE");
            Some(words.names(true))
        }
        "COPY" => Some(words.names(false)),
        "DROP" if words.takes("TABLE") => Some(words.names(true)),
        "ALTER" if words.takes("TABLE") && !words.is("ALL") => Some(words.names(false)),
        // Columns of a type lose the values of an attribute.
        "ALTER" if words.is("TYPE") && words.has("ATTRIBUTE") => None,
        "DROP" | "ALTER" if WITHOUT_ROWS.iter().any(|kind| words.is(kind)) => return Touched::Tables(Vec::new()),
        "SET" if !SETTINGS_OF_NAMES.iter().any(|name| words.has(name)) => return Touched::Tables(Vec::new()),
        first if HARMLESS.contains(&first) => return Touched::Tables(Vec::new()),
        _ => None,
    };
    match found {
        Some(Some(names)) if !names.is_empty() => Touched::Tables(names),
        _ => Touched::Any,
    }
}

/// The tokens of a statement, read from left to right.
pub(super) struct Words<'a> {
    statement: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'a> Words<'a> {
    /// Begins with the first word of `statement`.
    pub fn of(dialect: Dialect, statement: &'a str) -> Self {
        let tokens = Lexer::new(dialect, statement).filter(|token| !token.kind.is_trivia());
        Self { statement, tokens: tokens.collect(), at: 0 }
    }

    fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &self.statement[token.start..token.end])
    }

    fn is(&self, word: &str) -> bool {
        self.text(self.at).eq_ignore_ascii_case(word)
    }

    /// Returns true if the word is anywhere in the statement.
    pub fn has(&self, word: &str) -> bool {
        let is_word = |index: &usize| self.tokens[*index].kind == TokenKind::Word;
        (0..self.tokens.len()).filter(is_word).any(|index| self.text(index).eq_ignore_ascii_case(word))
    }

    /// Returns true if the statement changes what depends on its objects. The action of a key is no such change.
    fn cascades(&self) -> bool {
        let is = |index: usize, word: &str| self.text(index).eq_ignore_ascii_case(word);
        let is_cascade = |index: &usize| self.tokens[*index].kind == TokenKind::Word && is(*index, "CASCADE");
        let is_action = |index: usize| index > 0 && (is(index - 1, "DELETE") || is(index - 1, "UPDATE"));
        (0..self.tokens.len()).filter(is_cascade).any(|index| !is_action(index))
    }

    /// Returns the word that is here in capitals, and passes over it.
    pub fn next_word(&mut self) -> String {
        let word = self.text(self.at).to_ascii_uppercase();
        self.at += 1;
        word
    }

    /// Passes over this word. Returns false if another one is here.
    pub fn takes(&mut self, word: &str) -> bool {
        let is_here = self.is(word);
        self.at += usize::from(is_here);
        is_here
    }

    /// Reads a name, or a list of them, behind `IF EXISTS` and the like. Returns `None` if something else is here.
    pub fn names(&mut self, is_list: bool) -> Option<Vec<String>> {
        if self.takes("IF") {
            self.takes("NOT");
            if !self.takes("EXISTS") {
                return None;
            }
        }
        let mut names = Vec::new();
        loop {
            self.takes("ONLY");
            names.push(self.name()?);
            self.takes("*");
            if !is_list || !self.takes(",") {
                return Some(names);
            }
        }
    }

    /// Reads a name with its schema.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            let token = self.tokens.get(self.at)?;
            if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedName) {
                return None;
            }
            name.push_str(self.text(self.at));
            self.at += 1;
            if !self.takes(".") {
                return Some(name);
            }
            name.push('.');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_from_statements_that_name_them() {
        let cases: [(&str, &[&str]); 16] = [
            ("DROP TABLE IF EXISTS a, s.\"B c\" RESTRICT", &["a", "s.\"B c\""]),
            ("drop table a;", &["a"]),
            ("TRUNCATE TABLE ONLY a, b * RESTART IDENTITY", &["a", "b"]),
            ("truncate a", &["a"]),
            ("ALTER TABLE IF EXISTS ONLY s . t DROP COLUMN x, ADD y int", &["s.t"]),
            ("DELETE FROM ONLY a WHERE x IN (SELECT y FROM b)", &["a"]),
            ("UPDATE a AS z SET x = 1 FROM b", &["a"]),
            ("INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET x = 2", &["a"]),
            ("INSERT INTO a VALUES (1)", &["a"]),
            ("COPY a (x) FROM STDIN", &["a"]),
            ("CREATE TABLE a (x int REFERENCES b ON DELETE CASCADE ON UPDATE CASCADE)", &[]),
            ("DROP INDEX i", &[]),
            ("ALTER TYPE mood ADD VALUE 'x'", &[]),
            ("COMMENT ON TABLE a IS 'DELETE FROM b'", &[]),
            ("SET lock_timeout = '1s'", &[]),
            ("/* x */ RESET ALL", &[]),
        ];
        for (statement, names) in cases {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(touched_tables(statement), Touched::Tables(names), "{statement}");
        }
    }

    #[test]
    fn a_statement_that_does_not_say_it_may_touch_any_table() {
        for statement in [
            "DROP SCHEMA s",
            "DROP TABLE a CASCADE",
            "TRUNCATE a CASCADE",
            "DROP OWNED BY me",
            "ALTER TYPE pair DROP ATTRIBUTE b",
            "DO $$ BEGIN DELETE FROM a; END $$",
            "SELECT empty_everything()",
            "CALL p()",
            "WITH gone AS (DELETE FROM a RETURNING *) SELECT 1",
            "MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE",
            "ALTER TABLE ALL IN TABLESPACE x SET TABLESPACE y",
            "SET search_path = app",
            "SET LOCAL ROLE owner",
            "EXECUTE p",
            "ALTER SCHEMA s RENAME TO t",
            "DROP TABLE",
        ] {
            assert_eq!(touched_tables(statement), Touched::Any, "{statement}");
        }
    }
}
