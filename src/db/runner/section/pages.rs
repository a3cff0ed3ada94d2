//! Fills the temporary table that the statements of a batch refer to with its keys, page by page.

use crate::db::database::{Database, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::{BATCH_TABLE, Lexer, TokenKind};

/// The query of a batch, read page by page.
pub(super) struct Pages<'a> {
    dialect: Dialect,
    query: &'a str,
    rows: u32,
    keys: Vec<Key>,
    is_first: bool,
}

/// A column of the query.
struct Key {
    /// The quoted name.
    name: String,
    /// The type, if a literal needs a cast.
    kind: Option<String>,
}

/// A page in the table.
pub(super) struct Page {
    pub rows: u64,
    /// The last key, as literals.
    pub last: Vec<String>,
}

impl<'a> Pages<'a> {
    /// Creates the table and reads the columns of the key. A page has `rows` keys.
    pub fn open(database: &mut dyn Database, query: &'a str, rows: u32) -> Result<Self, EngineError> {
        let dialect = database.dialect();
        let mut pages = Self { dialect, query, rows, keys: Vec::new(), is_first: true };
        pages.close(database)?;
        let create = match dialect {
            Dialect::Sqlite => format!("CREATE TEMP TABLE {BATCH_TABLE} AS SELECT * FROM {} LIMIT 0", pages.source()),
            Dialect::Postgres => format!(
                "CREATE TEMP TABLE {BATCH_TABLE} ON COMMIT DELETE ROWS AS SELECT * FROM {} WITH NO DATA",
                pages.source()
            ),
        };
        database.query(&create, &[])?;
        pages.keys = keys(database)?;
        pages.require_no_null(database)?;
        Ok(pages)
    }

    /// Drops the table.
    pub fn close(&self, database: &mut dyn Database) -> Result<(), EngineError> {
        database.query(&format!("DROP TABLE IF EXISTS {}", self.table()), &[]).map(drop)
    }

    /// Fills the table with the keys after `after`, within the open transaction. Returns `None` if there are none.
    pub fn fill(&mut self, database: &mut dyn Database, after: Option<&[String]>) -> Result<Option<Page>, EngineError> {
        let (table, names, source) = (self.table(), self.names(), self.source());
        let behind = match after {
            Some(key) => format!("WHERE ({names}) > ({})", self.literals(key)?),
            None => String::new(),
        };
        // On SQLite the rows of the page before are still there; PostgreSQL deletes them at each commit.
        database.query(&format!("DELETE FROM {table}"), &[])?;
        let rows = self.rows;
        database.query(
            &format!("INSERT INTO {table} SELECT * FROM {source} {behind} ORDER BY {names} LIMIT {rows}"),
            &[],
        )?;
        let rows = number(database, &format!("SELECT count(*) FROM {table}"))?;
        if rows == 0 {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_first) && self.dialect == Dialect::Postgres {
            // The planner takes a table without statistics for a large one, and would read whole tables to join it.
            database.query(&format!("ANALYZE {table}"), &[])?;
        }
        let last = self.last(database)?;
        self.require_unique(database, &last)?;
        Ok(Some(Page { rows, last }))
    }

    /// Returns true if the page is not full, so that no other follows.
    pub fn is_last(&self, page: &Page) -> bool {
        page.rows < u64::from(self.rows)
    }

    fn table(&self) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("temp.{BATCH_TABLE}"),
            Dialect::Postgres => format!("pg_temp.{BATCH_TABLE}"),
        }
    }

    /// Returns the query as a table. The line ends are needed because the query may end in a comment.
    fn source(&self) -> String {
        format!("(\n{}\n) AS haul_page", self.query)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
        names.join(", ")
    }

    /// Returns the last key in the order of the query.
    fn last(&self, database: &mut dyn Database) -> Result<Vec<String>, EngineError> {
        let texts = self.keys.iter().map(|key| match self.dialect {
            Dialect::Sqlite => format!("quote({})", key.name),
            Dialect::Postgres => format!("pg_catalog.quote_literal({}::text)", key.name),
        });
        let texts = texts.collect::<Vec<_>>().join(", ");
        let order = match self.dialect {
            Dialect::Sqlite => "rowid DESC".to_owned(),
            Dialect::Postgres => {
                self.keys.iter().map(|key| format!("{} DESC", key.name)).collect::<Vec<_>>().join(", ")
            }
        };
        let rows = database.query(&format!("SELECT {texts} FROM {} ORDER BY {order} LIMIT 1", self.table()), &[])?;
        Ok(rows.into_iter().flatten().map(Value::into_text).collect())
    }

    /// Returns the key as literals with casts. The key comes from the database, so a text that is not a literal is
    /// refused.
    fn literals(&self, key: &[String]) -> Result<String, EngineError> {
        if key.len() != self.keys.len() || !key.iter().all(|text| is_literal(self.dialect, text)) {
            let what = "the cursor of the batch does not fit the query of the batch";
            return Err(EngineError::new(EngineErrorKind::Unusable, what));
        }
        let typed = key.iter().zip(&self.keys).map(|(text, key)| match &key.kind {
            Some(kind) => format!("CAST({text} AS {kind})"),
            None => text.clone(),
        });
        Ok(typed.collect::<Vec<_>>().join(", "))
    }

    fn require_no_null(&self, database: &mut dyn Database) -> Result<(), EngineError> {
        let conditions: Vec<_> = self.keys.iter().map(|key| format!("{} IS NULL", key.name)).collect();
        let (source, conditions) = (self.source(), conditions.join(" OR "));
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 AS one FROM {source} WHERE {conditions} LIMIT 1) AS haul_null");
        match number(database, &sql)? {
            0 => Ok(()),
            _ => Err(unsuitable_key("a key of the batch is NULL: rows without a key cannot be paged")),
        }
    }

    /// Checks that no two rows have the last key of the page: one of them would be skipped or visited twice.
    fn require_unique(&self, database: &mut dyn Database, last: &[String]) -> Result<(), EngineError> {
        let (source, names, literals) = (self.source(), self.names(), self.literals(last)?);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 AS one FROM {source} WHERE ({names}) = ({literals}) LIMIT 2) AS haul_same"
        );
        match number(database, &sql)? {
            1 => Ok(()),
            0 => Err(unsuitable_key("a key of the batch is not equal to itself when it is read back")),
            _ => Err(unsuitable_key("the keys of the batch are not unique: two rows have one key")),
        }
    }
}

fn unsuitable_key(what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Statement, what)
        .with_hint("select the columns of a primary key, or of another key that is unique and not NULL")
}

fn number(database: &mut dyn Database, sql: &str) -> Result<u64, EngineError> {
    let rows = database.query(sql, &[])?;
    let number = rows.first().and_then(|row| row.first()).and_then(Value::integer);
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}

/// Returns the columns of the table.
fn keys(database: &mut dyn ReadDatabase) -> Result<Vec<Key>, EngineError> {
    let sql = match database.dialect() {
        Dialect::Sqlite => format!("SELECT name, NULL FROM pragma_table_info('{BATCH_TABLE}', 'temp') ORDER BY cid"),
        Dialect::Postgres => format!(
            "SELECT attname::text, pg_catalog.format_type(atttypid, atttypmod)::text FROM pg_catalog.pg_attribute WHERE \
             attrelid = 'pg_temp.{BATCH_TABLE}'::regclass AND attnum > 0 ORDER BY attnum"
        ),
    };
    let key = |row: Vec<Value>| {
        let mut values = row.into_iter();
        let mut next = || values.next().and_then(Value::into_optional_text);
        let name = next().unwrap_or_default().replace('"', "\"\"");
        Key { name: format!("\"{name}\""), kind: next() }
    };
    Ok(database.query(&sql, &[])?.into_iter().map(key).collect())
}

/// Returns true for `'text'`, `X'00'`, `E'\\'`, `-1.5e+10`, and for nothing that could be more than a value.
fn is_literal(dialect: Dialect, text: &str) -> bool {
    let is_part = |kind: TokenKind, part: &str| match kind {
        TokenKind::Literal | TokenKind::Blank => true,
        TokenKind::Other => part.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte)),
        TokenKind::Word => ["x", "e"].iter().any(|word| part.eq_ignore_ascii_case(word)),
        _ => false,
    };
    !text.trim().is_empty() && Lexer::new(dialect, text).all(|token| is_part(token.kind, &text[token.start..token.end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_literals_are_accepted_as_keys() {
        for text in ["5", "-1.5e+10", "'it''s'", "X'00ff'", "9.0e+999"] {
            assert!(is_literal(Dialect::Sqlite, text), "{text}");
        }
        assert!(is_literal(Dialect::Postgres, " E'a\\\\b'"));
        for text in ["", "a", "5; DROP TABLE t", "(SELECT 1)", "NULL", "5 -- x", "1, 2", "\"a\"", "'"] {
            assert!(!is_literal(Dialect::Sqlite, text) && !is_literal(Dialect::Postgres, text), "{text}");
        }
    }
}
