//! Foreign keys of SQLite, checked at the end of a section.
//!
//! A section runs with enforcement off, because rebuilding a table needs that, and its effect is checked before the
//! commit. Rows that violated a key before do not count: only additional violations are an error.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::db::engine_error::{EngineError, EngineErrorKind};

/// The number of rows that violate a key, by table and referenced table. `None` if a key cannot be checked because the
/// table or column that it refers to does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Option<BTreeMap<(String, String), u64>>);

/// Counts the rows that violate a key.
pub fn violations(connection: &Connection) -> Violations {
    let count = || -> rusqlite::Result<_> {
        let mut found = BTreeMap::new();
        let mut statement = connection.prepare("PRAGMA main.foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            *found.entry((row.get(0)?, row.get(2)?)).or_insert(0) += 1;
        }
        Ok(found)
    };
    Violations(count().ok())
}

impl Violations {
    /// Fails if there are more violations than `before`.
    pub fn compare(&self, before: &Self) -> Result<(), EngineError> {
        let (now, before) = match (&self.0, &before.0) {
            (Some(now), Some(before)) => (now, before),
            (None, Some(_)) => {
                return Err(error("a foreign key refers to a table or column that does not exist".into()));
            }
            (_, None) => return Ok(()),
        };
        let worse = now.iter().find(|(key, count)| **count > before.get(key).copied().unwrap_or(0));
        match worse {
            Some(((table, parent), count)) => Err(error(format!(
                "foreign key violated: {count} rows of {table} refer to rows of {parent} that do not exist"
            ))),
            None => Ok(()),
        }
    }
}

fn error(what: String) -> EngineError {
    EngineError::new(EngineErrorKind::Statement, what)
        .with_hint("correct the rows in the migration; `PRAGMA foreign_key_check` lists them")
}
