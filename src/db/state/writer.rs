//! Changes the ledger and the log, in the SQL that both engines share.

use super::entries::{AppliedRow, LogEntry, direction_text};
use super::tables::{Tables, mark};
use crate::db::database::{Change, Database, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::version::Version;

/// Changes the state that haul keeps in a database.
pub struct StateWriter<'a> {
    pub(super) database: &'a mut dyn Database,
    pub(super) tables: &'a Tables,
    owner: &'a str,
}

impl<'a> StateWriter<'a> {
    /// Changes the state in `tables` in the name of `owner`.
    pub fn new(database: &'a mut dyn Database, tables: &'a Tables, owner: &'a str) -> Self {
        Self { database, tables, owner }
    }

    /// Creates ledger and log if they do not exist.
    pub fn create(&mut self) -> Result<(), EngineError> {
        if self.tables.exist(self.database)? {
            return Ok(());
        }
        self.tables.create(self.database)
    }

    /// Creates the log again if it is gone and the ledger is there. Returns true if it was gone.
    pub fn replace_lost_log(&mut self) -> Result<bool, EngineError> {
        self.tables.replace_lost_log(self.database)
    }

    /// Appends a row to the ledger.
    pub fn insert_applied(&mut self, row: &AppliedRow) -> Result<(), EngineError> {
        self.make(&self.applied(row)).map(drop)
    }

    /// Returns the change that appends a row to the ledger.
    pub fn applied(&self, row: &AppliedRow) -> Change {
        let sql = self.tables.insert_into_ledger(self.database);
        let values = vec![
            row.version.digits().into(),
            row.name.as_str().into(),
            row.checksum.as_str().into(),
            row.applied_at.as_str().into(),
            row.duration_ms.into(),
            row.applied_by.as_str().into(),
            row.haul_version.as_str().into(),
        ];
        Change { sql, values }
    }

    /// Removes a row from the ledger.
    pub fn delete_applied(&mut self, version: &Version) -> Result<(), EngineError> {
        self.make(&self.not_applied(version)).map(drop)
    }

    /// Returns the change that removes a row from the ledger.
    pub fn not_applied(&self, version: &Version) -> Change {
        let ledger = self.database.table_reference(self.tables.ledger());
        let mark = mark(self.database.dialect(), 1);
        let sql = format!("DELETE FROM {ledger} WHERE version = {mark} RETURNING position");
        Change { sql, values: vec![version.digits().into()] }
    }

    /// Replaces name and checksum in a row of the ledger.
    pub fn set_checksum(&mut self, version: &Version, name: &str, checksum: &str) -> Result<(), EngineError> {
        let ledger = self.database.table_reference(self.tables.ledger());
        let [one, two, three] = [1, 2, 3].map(|number| mark(self.database.dialect(), number));
        let sql =
            format!("UPDATE {ledger} SET name = {one}, checksum = {two} WHERE version = {three} RETURNING position");
        let values = vec![name.into(), checksum.into(), version.digits().into()];
        self.make(&Change { sql, values }).map(drop)
    }

    /// Appends a row to the log and returns its id.
    pub fn append(&mut self, entry: &LogEntry) -> Result<i64, EngineError> {
        self.make(&self.logged(entry))
    }

    /// Returns the change that appends a row to the log.
    pub fn logged(&self, entry: &LogEntry) -> Change {
        let sql = self.tables.insert_into_log(self.database);
        let values = vec![
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
        Change { sql, values }
    }

    /// Makes a change and returns its number.
    pub fn make(&mut self, change: &Change) -> Result<i64, EngineError> {
        let ledger = self.tables.ledger();
        let rows = self.database.query(&change.sql, &change.values).map_err(|error| error.about_own_tables(ledger))?;
        require_row(rows.first().and_then(|row| row.first()).and_then(Value::integer))
    }

    /// Makes changes, commits the transaction, and returns the numbers of the changes.
    pub fn commit_with(&mut self, changes: &[Change]) -> Result<Vec<i64>, EngineError> {
        let ledger = self.tables.ledger();
        let numbers = self.database.commit_with(changes).map_err(|error| error.about_own_tables(ledger))?;
        numbers.into_iter().map(require_row).collect()
    }
}

/// Returns the number of a changed row. Without one, a row that haul relied on is gone.
fn require_row(number: Option<i64>) -> Result<i64, EngineError> {
    let lost = || EngineError::new(EngineErrorKind::Statement, "a row of the ledger that was there before is gone");
    number.ok_or_else(lost)
}
