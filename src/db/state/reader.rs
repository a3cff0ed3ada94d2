//! Reads the ledger and the log, in the SQL that both engines share.

use super::cursors::{self, CursorRow};
use super::entries::{AppliedRow, LogRow};
use super::tables::{Tables, mark};
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};

type Row = Vec<Value>;

/// Reads the state that haul keeps in a database.
pub struct StateReader<'a> {
    pub(super) database: &'a mut dyn ReadDatabase,
    pub(super) tables: &'a Tables,
}

impl<'a> StateReader<'a> {
    /// Reads the state in `tables`.
    pub fn new(database: &'a mut dyn ReadDatabase, tables: &'a Tables) -> Self {
        Self { database, tables }
    }

    /// Returns true if the tables exist.
    pub fn exists(&mut self) -> Result<bool, EngineError> {
        self.tables.exist(self.database)
    }

    /// Returns the applied migrations, in the order of application.
    pub fn applied(&mut self) -> Result<Vec<AppliedRow>, EngineError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        // `*` has a known order: `exists` has compared the columns.
        let ledger = self.database.table_reference(self.tables.ledger());
        let rows = self.database.query(&format!("SELECT * FROM {ledger} ORDER BY position"), &[])?;
        rows.into_iter().map(applied_row).collect()
    }

    /// Returns the newest rows of the log, oldest first.
    pub fn log(&mut self, last: u32) -> Result<Vec<LogRow>, EngineError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let dialect = self.database.dialect();
        let log = self.database.table_reference(self.tables.log());
        let sql = format!("SELECT * FROM {log} ORDER BY id DESC LIMIT {}", mark(dialect, 1));
        let mut rows = self.database.query(&sql, &[Value::from(i64::from(last))])?;
        rows.reverse();
        Ok(rows.into_iter().map(log_row).collect())
    }

    /// Returns the cursors of batches that are not finished.
    pub fn cursors(&mut self) -> Result<Vec<CursorRow>, EngineError> {
        cursors::read(self.database, self.tables)
    }

    /// Returns the newest log row about each version.
    pub fn newest(&mut self) -> Result<Vec<LogRow>, EngineError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let log = self.database.table_reference(self.tables.log());
        let newest = format!("SELECT MAX(id) FROM {log} WHERE direction <> '-' GROUP BY version");
        let rows = self.database.query(&format!("SELECT * FROM {log} WHERE id IN ({newest}) ORDER BY id"), &[])?;
        Ok(rows.into_iter().map(log_row).collect())
    }
}

fn applied_row(row: Row) -> Result<AppliedRow, EngineError> {
    let mut values = row.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    let position = next().integer().unwrap_or_default();
    let version = next().into_text();
    let parsed = version.parse().map_err(|_| {
        let what = format!("the ledger has a version that is not a whole number: `{}`", version);
        EngineError::new(EngineErrorKind::Unusable, what).with_hint("correct that row of the ledger")
    })?;
    Ok(AppliedRow {
        position,
        version: parsed,
        name: next().into_text(),
        checksum: next().into_text(),
        applied_at: next().into_text(),
        duration_ms: next().integer().unwrap_or_default(),
        applied_by: next().into_text(),
        haul_version: next().into_text(),
    })
}

fn log_row(row: Row) -> LogRow {
    let mut values = row.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    LogRow {
        id: next().integer().unwrap_or_default(),
        attempt: next().integer().unwrap_or_default(),
        version: next().into_text(),
        name: next().into_text(),
        direction: next().into_text(),
        outcome: next().into_text(),
        started_at: next().into_text(),
        finished_at: next().into_optional_text(),
        duration_ms: next().integer(),
        statement: next().integer(),
        checksum: next().into_optional_text(),
        error: next().into_optional_text(),
        owner: next().into_text(),
        haul_version: next().into_text(),
    }
}
