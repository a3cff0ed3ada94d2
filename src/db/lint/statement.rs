//! A statement for the rules: the words outside of parentheses.

use crate::db::dialect::Dialect;
use crate::db::script::{Lexer, TokenKind};

/// The maximum number of words that are read. The words that matter are at the start.
const WORDS_MAX: usize = 4096;
/// Words that may occur between the keyword of a statement and its table.
const BEFORE_TABLE: [&str; 10] =
    ["IF", "NOT", "EXISTS", "ONLY", "OR", "ABORT", "FAIL", "IGNORE", "REPLACE", "ROLLBACK"];

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// The word in capitals; empty for a quoted name, which is never a keyword.
    keyword: String,
    /// The word as a name: without quotes, or in lower case.
    name: String,
    /// True after a dot: part of a qualified name.
    is_part: bool,
    /// True if a parenthesis follows.
    has_arguments: bool,
}

/// The words of a statement outside of parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<Word>);

impl Words {
    pub fn of(dialect: Dialect, statement: &str) -> Self {
        let mut words: Vec<Word> = Vec::new();
        let (mut depth, mut after_dot) = (0_u64, false);
        for token in Lexer::new(dialect, statement) {
            let text = &statement[token.start..token.end];
            match token.kind {
                kind if kind.is_trivia() => continue,
                TokenKind::Open => {
                    if let Some(word) = words.last_mut().filter(|_| depth == 0) {
                        word.has_arguments = true;
                    }
                    depth += 1;
                }
                TokenKind::Close => depth = depth.saturating_sub(1),
                TokenKind::Word | TokenKind::QuotedName if depth == 0 => words.push(word(token.kind, text, after_dot)),
                // Values are kept as words, so that the position of the other words stays right.
                TokenKind::Literal | TokenKind::Other if depth == 0 && text != "." => {
                    words.push(word(token.kind, text, false));
                }
                _ => {}
            }
            after_dot = text == ".";
            if words.len() == WORDS_MAX {
                break;
            }
        }
        Self(words)
    }

    /// Returns the clauses of an `ALTER TABLE`.
    pub fn clauses(&self) -> Vec<Self> {
        match self.table_at().filter(|_| self.begins(&["ALTER", "TABLE"])) {
            Some(index) => {
                self.0[index + 1..].split(|word| word.keyword == ",").map(|words| Self(words.to_vec())).collect()
            }
            None => Vec::new(),
        }
    }

    /// Returns the keyword at `index`, in capitals; empty if there is none.
    pub fn at(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |word| &word.keyword)
    }

    /// Returns true if these keywords occur one after the other.
    pub fn has(&self, keywords: &[&str]) -> bool {
        self.find(keywords).is_some()
    }

    /// Returns the position at which these keywords first occur one after the other.
    pub fn find(&self, keywords: &[&str]) -> Option<usize> {
        let fits = |words: &[Word]| words.iter().zip(keywords).all(|(word, keyword)| word.keyword == *keyword);
        self.0.windows(keywords.len()).position(fits)
    }

    /// Returns true if the statement starts with these keywords.
    pub fn begins(&self, keywords: &[&str]) -> bool {
        keywords.iter().enumerate().all(|(index, keyword)| self.at(index) == *keyword)
    }

    /// Returns true if a parenthesis follows the word at `index`.
    pub fn has_arguments(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|word| word.has_arguments)
    }

    /// Returns true for `CREATE [UNIQUE] INDEX`.
    pub fn creates_index(&self) -> bool {
        self.begins(&["CREATE", "INDEX"]) || self.begins(&["CREATE", "UNIQUE", "INDEX"])
    }

    /// Returns true for `CREATE … TABLE`, with other words in between.
    pub fn creates_table(&self) -> bool {
        self.at(0) == "CREATE" && (1..4).any(|index| self.at(index) == "TABLE")
    }

    /// Returns the name of the table of the statement, without its schema.
    pub fn table(&self) -> Option<&str> {
        self.table_at().map(|index| self.0[index].name.as_str())
    }

    fn table_at(&self) -> Option<usize> {
        let keyword = match self.at(0) {
            "CREATE" if self.creates_index() => self.find(&["ON"])?,
            "CREATE" | "ALTER" | "DROP" => self.find(&["TABLE"]).filter(|index| *index < 4)?,
            "TRUNCATE" | "LOCK" => usize::from(self.at(1) == "TABLE"),
            "DELETE" => 1,
            "UPDATE" => 0,
            _ => return None,
        };
        let mut index = keyword + 1;
        while BEFORE_TABLE.contains(&self.at(index)) {
            index += 1;
        }
        let is_part = |index: usize| self.0.get(index).is_some_and(|word| word.is_part);
        while is_part(index + 1) {
            index += 1;
        }
        (index < self.0.len()).then_some(index)
    }
}

fn word(kind: TokenKind, text: &str, is_part: bool) -> Word {
    let (keyword, name) = match kind {
        TokenKind::Literal => (String::new(), String::new()),
        TokenKind::QuotedName => (String::new(), text.trim_matches(['"', '`', '[', ']']).to_owned()),
        _ => (text.to_ascii_uppercase(), text.to_ascii_lowercase()),
    };
    Word { keyword, name, is_part, has_arguments: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_statement_is_known() {
        let cases = [
            ("CREATE TABLE IF NOT EXISTS public.\"Users\" (id int)", Some("Users")),
            ("create temp table USERS as select 1", Some("users")),
            ("CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY s.users USING btree (a)", Some("users")),
            ("CREATE INDEX ON users (a)", Some("users")),
            ("ALTER TABLE IF EXISTS ONLY users ADD a int", Some("users")),
            ("TRUNCATE users, more", Some("users")),
            ("TRUNCATE TABLE users", Some("users")),
            ("LOCK TABLE users IN SHARE MODE", Some("users")),
            ("DELETE FROM users", Some("users")),
            ("UPDATE OR IGNORE users SET a = 1", Some("users")),
            ("DROP TABLE IF EXISTS users", Some("users")),
            ("SELECT 1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                assert_eq!(Words::of(dialect, text).table(), expected, "{text}");
            }
        }
    }

    #[test]
    fn words_in_parentheses_are_ignored() {
        let words = Words::of(Dialect::Postgres, "ALTER TABLE s.t ADD a int DEFAULT random(), ADD CHECK (a NOT NULL)");
        let clauses = words.clauses();
        assert!(clauses[0].begins(&["ADD", "A", "INT"]) && clauses[1].begins(&["ADD", "CHECK"]) && clauses.len() == 2);
        assert!(!words.has(&["NOT", "NULL"]));
        let default = clauses[0].find(&["DEFAULT"]).unwrap();
        assert!(clauses[0].has_arguments(default + 1) && !clauses[0].has_arguments(default));
        assert_eq!((words.at(99), words.begins(&["ALTER", "TABLE"])), ("", true));
    }
}
