//! The numbers of the rows that haul appends to the ledger and to the log.

use super::tables::Tables;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;

/// The highest numbers so far. A run holds the lock, so it reads them once and counts on by itself: to ask the engine for
/// each row would cost more than the row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    position: i64,
    log_id: i64,
}

impl Numbers {
    /// Reads them again before the next row: rows were rolled back, or something else may have written to the tables.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Returns the number of the next row of the ledger.
    pub(super) fn next_position(
        &mut self,
        database: &mut dyn ReadDatabase,
        tables: &Tables,
    ) -> Result<i64, EngineError> {
        let last = self.last(database, tables)?;
        last.position += 1;
        Ok(last.position)
    }

    /// Returns the number of the next row of the log.
    pub(super) fn next_log_id(&mut self, database: &mut dyn ReadDatabase, tables: &Tables) -> Result<i64, EngineError> {
        let last = self.last(database, tables)?;
        last.log_id += 1;
        Ok(last.log_id)
    }

    fn last(&mut self, database: &mut dyn ReadDatabase, tables: &Tables) -> Result<&mut Last, EngineError> {
        let last = match self.last {
            Some(last) => last,
            None => read(database, tables)?,
        };
        Ok(self.last.insert(last))
    }
}

fn read(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Last, EngineError> {
    let ledger = database.table_reference(tables.ledger());
    let log = database.table_reference(tables.log());
    let sql =
        format!("SELECT (SELECT COALESCE(MAX(position), 0) FROM {ledger}), (SELECT COALESCE(MAX(id), 0) FROM {log})");
    let rows = database.query(&sql, &[]).map_err(|error| error.about_own_tables(tables.ledger()))?;
    let mut numbers = rows.into_iter().flatten().map(|value| Value::integer(&value).unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    Ok(Last { position: next(), log_id: next() })
}
