//! Reads and writes the ledger and the log, in the SQL that both engines share.

use super::cursors::{self, CursorRow};
use super::entries::{AppliedRow, LogEntry, LogRow, direction_text};
use super::tables::{Tables, mark};
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::{Database, Version};

type Row = Vec<Value>;

/// Looks at the state of a database.
pub struct StateReader<'a> {
    pub(super) database: &'a mut dyn ReadDatabase,
    pub(super) tables: &'a Tables,
}

impl<'a> StateReader<'a> {
    /// The state that is kept in `tables`.
    pub fn new(database: &'a mut dyn ReadDatabase, tables: &'a Tables) -> Self {
        Self { database, tables }
    }

    /// True if there is any.
    pub fn exists(&mut self) -> Result<bool, EngineError> {
        self.tables.exist(self.database)
    }

    /// What is applied, in the order of application.
    pub fn applied(&mut self) -> Result<Vec<AppliedRow>, EngineError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let ledger = self.database.table_reference(self.tables.ledger());
        let rows = self.database.query(&format!("SELECT * FROM {ledger} ORDER BY position"), &[])?;
        rows.into_iter().map(applied_row).collect()
    }

    /// The newest rows of the log, oldest first.
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

    /// How far batches have come that are not at their end.
    pub fn cursors(&mut self) -> Result<Vec<CursorRow>, EngineError> {
        cursors::read(self.database, self.tables)
    }

    /// The newest row of the log about each version.
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

/// Changes the state of a database.
pub struct StateWriter<'a> {
    pub(super) database: &'a mut dyn Database,
    pub(super) tables: &'a Tables,
    owner: &'a str,
}

impl<'a> StateWriter<'a> {
    /// In the name of `owner`.
    pub fn new(database: &'a mut dyn Database, tables: &'a Tables, owner: &'a str) -> Self {
        Self { database, tables, owner }
    }

    /// Creates the tables, unless they are there.
    pub fn create(&mut self) -> Result<(), EngineError> {
        if self.tables.exist(self.database)? {
            return Ok(());
        }
        self.tables.create(self.database)
    }

    /// Adds a row to the ledger, behind all others.
    pub fn insert_applied(&mut self, row: &AppliedRow) -> Result<(), EngineError> {
        let sql = self.tables.insert_into_ledger(self.database);
        let values = [
            row.version.digits().into(),
            row.name.as_str().into(),
            row.checksum.as_str().into(),
            row.applied_at.as_str().into(),
            row.duration_ms.into(),
            row.applied_by.as_str().into(),
            row.haul_version.as_str().into(),
        ];
        self.number(&sql, &values).map(drop)
    }

    /// Removes a row from the ledger.
    pub fn delete_applied(&mut self, version: &Version) -> Result<(), EngineError> {
        let ledger = self.database.table_reference(self.tables.ledger());
        let mark = mark(self.database.dialect(), 1);
        let sql = format!("DELETE FROM {ledger} WHERE version = {mark} RETURNING position");
        self.number(&sql, &[version.digits().into()]).map(drop)
    }

    /// Gives a row of the ledger another name and checksum.
    pub fn set_checksum(&mut self, version: &Version, name: &str, checksum: &str) -> Result<(), EngineError> {
        let ledger = self.database.table_reference(self.tables.ledger());
        let [one, two, three] = [1, 2, 3].map(|number| mark(self.database.dialect(), number));
        let sql =
            format!("UPDATE {ledger} SET name = {one}, checksum = {two} WHERE version = {three} RETURNING position");
        self.number(&sql, &[name.into(), checksum.into(), version.digits().into()]).map(drop)
    }

    /// Adds a row to the log and returns its number.
    pub fn append(&mut self, entry: &LogEntry) -> Result<i64, EngineError> {
        let sql = self.tables.insert_into_log(self.database);
        let values = [
            Value::Integer(entry.attempt),
            entry.version.as_str().into(),
            entry.name.as_str().into(),
            direction_text(entry.direction).into(),
            entry.outcome.to_string().into(),
            entry.started_at.as_str().into(),
            Value::Text(entry.finished_at.clone()),
            Value::Integer(entry.duration_ms),
            Value::Integer(entry.statement),
            Value::Text(entry.checksum.clone()),
            Value::Text(entry.error.clone()),
            self.owner.into(),
            env!("CARGO_PKG_VERSION").into(),
        ];
        self.number(&sql, &values)
    }

    /// The number that a statement returns; that it returns none is an error: the state is not what it was.
    fn number(&mut self, sql: &str, values: &[Value]) -> Result<i64, EngineError> {
        let rows = self.database.query(sql, values)?;
        let number = rows.first().and_then(|row| row.first()).and_then(Value::integer);
        let lost = || EngineError::new(EngineErrorKind::Statement, "a row of the ledger is gone that was there before");
        number.ok_or_else(lost)
    }
}

fn applied_row(row: Row) -> Result<AppliedRow, EngineError> {
    let mut values = row.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    let position = next().integer().unwrap_or_default();
    let version = next().into_text();
    let parsed = version.parse().map_err(|_| {
        let what = format!("the ledger has a version that is no whole number: `{}`", version.escape_debug());
        EngineError::new(EngineErrorKind::Unusable, what).with_hint("put that row of the ledger right")
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
