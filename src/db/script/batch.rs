//! Batches: changes to many rows, page by page.
//!
//! ```sql
//! -- Up
//! ALTER TABLE users ADD COLUMN display_name TEXT;
//! -- Batch: SELECT id FROM users WHERE display_name IS NULL
//! -- haul: batch-rows=500
//! UPDATE users SET display_name = lower(name) WHERE id IN (SELECT id FROM haul_batch);
//! ```
//!
//! A line with nothing but `-- Batch:` and a query starts a batch, which ends at the next such line or at the end of
//! the section. The statements before the first batch run once, in a transaction of their own.
//!
//! The columns of the query are the key: together they are unique, and none is NULL. haul reads the keys in their
//! order, fills the temporary table `haul_batch` with the next `batch-rows` keys (999 by default), and runs the
//! statements of the batch, which refer to that table. Keys, statements and the cursor are one transaction, so an
//! interruption neither skips nor repeats a key. Rows that are added with a key before the cursor are not visited.
//!
//! The limits of the section apply to each of these transactions. SQLite enforces foreign keys in them, unless
//! `foreign-keys=off` is set.

use super::classify::Keywords;
use super::error::ScriptFault;
use super::lexer::{Lexer, TokenKind};
use crate::db::dialect::Dialect;

/// The temporary table with the keys of a page.
pub const BATCH_TABLE: &str = "haul_batch";
/// The default number of keys in a page.
pub const BATCH_ROWS_DEFAULT: u32 = 999;
/// The maximum number of keys in a page.
pub const BATCH_ROWS_MAX: u32 = 100_000;

/// Statements that run once for each page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The query that returns the keys.
    pub query: String,
    /// The query as it is written, with placeholders instead of values.
    pub(super) written_query: String,
    /// The line of the query.
    pub line: u64,
    /// The statements of the section that belong to the batch.
    pub statements: std::ops::Range<usize>,
}

/// Returns the query of a marker `Batch: SELECT …`, or `None` for any other comment that starts like it.
pub fn batch_query(comment: &str) -> Option<&str> {
    const NAME: &str = "batch:";
    let head = comment.get(..NAME.len()).filter(|head| head.eq_ignore_ascii_case(NAME))?;
    let query = comment[head.len()..].trim();
    let word = query.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    (word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with")).then_some(query)
}

/// Returns the query without its semicolon. Fails unless it is one statement that can be paged.
pub fn checked_query(dialect: Dialect, query: &str) -> Result<String, ScriptFault> {
    let query = query.strip_suffix(';').unwrap_or(query).trim_end();
    for token in Lexer::new(dialect, query) {
        match token.kind {
            TokenKind::Unclosed(what) => return Err(ScriptFault::Unclosed(what)),
            TokenKind::Semicolon | TokenKind::Backslash => return Err(ScriptFault::BatchQuery("one statement")),
            _ => {}
        }
    }
    match Keywords::of(dialect, query).cuts_off_rows() {
        true => Err(ScriptFault::BatchQuery("a query without LIMIT, OFFSET, FETCH and FOR")),
        false => Ok(query.to_owned()),
    }
}

/// Returns true if a statement refers to the table with the keys.
pub fn mentions_batch_table(dialect: Dialect, statement: &str) -> bool {
    let is_name = |text: &str| text.trim_matches(['"', '`', '[', ']']).eq_ignore_ascii_case(BATCH_TABLE);
    Lexer::new(dialect, statement).any(|token| {
        matches!(token.kind, TokenKind::Word | TokenKind::QuotedName) && is_name(&statement[token.start..token.end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::script::Migrations;

    const FILE: &str = "-- Up\nALTER TABLE t ADD b int;\n-- Batch: SELECT a FROM t; \nUPDATE t SET b = 1 WHERE a IN (SELECT a \
                        FROM haul_batch);\n-- batch: with x as (select 1) select * from x\nDELETE FROM Haul_Batch;\nSELECT \
                        1\n-- Down\nALTER TABLE t DROP b;\n";

    fn read(text: &str) -> Result<Migrations, crate::db::script::ScriptError> {
        Migrations::from_texts(Dialect::Postgres, [("1_a.sql", text)])
    }

    fn fault(text: &str) -> (ScriptFault, u64) {
        let error = read(text).expect_err("a fault");
        (error.fault, error.line)
    }

    #[test]
    fn a_batch_ends_at_the_next_marker() {
        let all = read(FILE).unwrap();
        let up = &all.iter().next().unwrap().up;
        let found: Vec<_> =
            up.batches().iter().map(|batch| (&*batch.query, batch.line, batch.statements.clone())).collect();
        assert_eq!(found, [("SELECT a FROM t", 3, 1..2), ("with x as (select 1) select * from x", 5, 2..4)]);
        assert_eq!(up.len(), 4);
        let down = all.iter().next().unwrap().down.as_ref().unwrap();
        assert_eq!((down.len(), down.batches().len()), (1, 0));
    }

    #[test]
    fn a_file_without_sections_can_have_batches() {
        let all = read("-- Batch: SELECT a FROM t\nDELETE FROM t WHERE a IN (SELECT a FROM \"haul_batch\")").unwrap();
        assert_eq!(all.iter().next().unwrap().up.batches()[0].statements, 0..1);
    }

    #[test]
    fn a_comment_is_a_batch_only_with_a_query() {
        for comment in ["-- Batch: 3 of 5", "-- Batch:", "-- batched: SELECT 1", "-- Batch: selection of rows"] {
            let all = read(&format!("-- Up\n{comment}\nSELECT 1;")).unwrap();
            assert!(all.iter().next().unwrap().up.batches().is_empty(), "{comment}");
        }
        let behind = "-- Up\nSELECT 1; -- Batch: SELECT 1";
        assert!(read(behind).unwrap().iter().next().unwrap().up.batches().is_empty());
    }

    #[test]
    fn queries_that_cannot_be_paged_are_refused() {
        let with = |query: &str, statement: &str| fault(&format!("-- Up\n-- Batch: {query}\n{statement}"));
        let one = ScriptFault::BatchQuery("one statement");
        assert_eq!(with("SELECT 1; SELECT 2", "SELECT 1 FROM haul_batch"), (one, 2));
        for query in ["SELECT a FROM t LIMIT 5", "SELECT a FROM t OFFSET 5", "SELECT a FROM t FOR UPDATE"] {
            assert!(matches!(with(query, "SELECT 1 FROM haul_batch"), (ScriptFault::BatchQuery(_), 2)), "{query}");
        }
        assert_eq!(with("SELECT a FROM t WHERE b = '", "SELECT 1").1, 2);
        assert_eq!(with("SELECT a FROM t", "-- nothing"), (ScriptFault::EmptyBatch, 2));
        assert_eq!(with("SELECT a FROM t", "UPDATE t SET b = 'haul_batch'"), (ScriptFault::BatchUnused, 2));
        let no_transaction = "-- haul: no-transaction\n-- Up\n-- Batch: SELECT a FROM t\nSELECT 1 FROM haul_batch";
        assert_eq!(fault(no_transaction), (ScriptFault::BatchWithoutTransaction, 3));
        assert_eq!(fault("-- Batch: SELECT 1\n-- Up\nSELECT 1").0, ScriptFault::StatementBeforeUp);
        assert!(read("-- Up\n-- Batch: SELECT (SELECT a FROM t LIMIT 1) a\nSELECT 1 FROM haul_batch").is_ok());
    }
}
