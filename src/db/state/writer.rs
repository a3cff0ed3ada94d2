//! Changes the ledger and the log, in the SQL that both engines share.

use super::entries::{AppliedRow, LogEntry, direction_text};
use super::numbers::Numbers;
use super::tables::{Tables, insert, mark};
use crate::db::database::{Change, Database, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::version::Version;

/// Changes the state that haul keeps in a database.
pub struct StateWriter<'a> {
    pub(super) database: &'a mut dyn Database,
    pub(super) tables: &'a Tables,
    owner: &'a str,
    numbers: &'a mut Numbers,
}

impl<'a> StateWriter<'a> {
    /// Changes the state in `tables` in the name of `owner`. `numbers` are those of the rows so far.
    pub fn new(database: &'a mut dyn Database, tables: &'a Tables, owner: &'a str, numbers: &'a mut Numbers) -> Self {
        Self { database, tables, owner, numbers }
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
        let change = self.applied(row)?;
        self.make(&change)
    }

    /// Returns the change that appends a row to the ledger.
    pub fn applied(&mut self, row: &AppliedRow) -> Result<Change, EngineError> {
        let position = self.numbers.next_position(self.database, self.tables)?;
        let values = vec![
            position.into(),
            row.version.digits().into(),
            row.name.as_str().into(),
            row.checksum.as_str().into(),
            row.applied_at.as_str().into(),
            row.duration_ms.into(),
            row.applied_by.as_str().into(),
            row.haul_version.as_str().into(),
        ];
        Ok(insert(self.database, self.tables.ledger(), values))
    }

    /// Removes a row from the ledger.
    pub fn delete_applied(&mut self, version: &Version) -> Result<(), EngineError> {
        self.make(&self.not_applied(version))
    }

    /// Returns the change that removes a row from the ledger.
    pub fn not_applied(&self, version: &Version) -> Change {
        let ledger = self.database.table_reference(self.tables.ledger());
        let mark = mark(self.database.dialect(), 1);
        let sql = format!("DELETE FROM {ledger} WHERE version = {mark}");
        Change { sql, values: vec![version.digits().into()] }
    }

    /// Replaces name and checksum in a row of the ledger.
    pub fn set_checksum(&mut self, version: &Version, name: &str, checksum: &str) -> Result<(), EngineError> {
        let ledger = self.database.table_reference(self.tables.ledger());
        let [one, two, three] = [1, 2, 3].map(|number| mark(self.database.dialect(), number));
        let sql = format!("UPDATE {ledger} SET name = {one}, checksum = {two} WHERE version = {three}");
        let values = vec![name.into(), checksum.into(), version.digits().into()];
        self.make(&Change { sql, values })
    }

    /// Appends a row to the log and returns its id.
    pub fn append(&mut self, entry: &LogEntry) -> Result<i64, EngineError> {
        let (change, id) = self.logged(entry)?;
        self.make(&change).map(|()| id)
    }

    /// Returns the change that appends a row to the log, and its id. A row without an attempt starts one.
    pub fn logged(&mut self, entry: &LogEntry) -> Result<(Change, i64), EngineError> {
        let id = self.numbers.next_log_id(self.database, self.tables)?;
        let values = vec![
            id.into(),
            entry.attempt.unwrap_or(id).into(),
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
        Ok((insert(self.database, self.tables.log(), values), id))
    }

    /// Removes rows of the log.
    pub fn delete_logged(&mut self, ids: &[i64]) -> Result<(), EngineError> {
        const IDS_PER_STATEMENT: usize = 500;
        let log = self.database.table_reference(self.tables.log());
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            let sql = format!("DELETE FROM {log} WHERE id IN ({list})");
            self.make(&Change { sql, values: Vec::new() })?;
        }
        Ok(())
    }

    /// Makes a change.
    pub fn make(&mut self, change: &Change) -> Result<(), EngineError> {
        let ledger = self.tables.ledger();
        require_row(self.database.make(change).map_err(|error| error.about_own_tables(ledger))?)
    }

    /// Makes changes and commits the transaction.
    pub fn commit_with(&mut self, changes: &[Change]) -> Result<(), EngineError> {
        let ledger = self.tables.ledger();
        let counts = self.database.commit_with(changes).map_err(|error| error.about_own_tables(ledger))?;
        counts.into_iter().try_for_each(require_row)
    }
}

/// Fails if a change found no row: one that haul relied on is gone.
fn require_row(count: u64) -> Result<(), EngineError> {
    match count {
        0 => Err(EngineError::new(EngineErrorKind::Statement, "a row of the ledger that was there before is gone")),
        _ => Ok(()),
    }
}
