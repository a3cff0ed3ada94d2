//! The table with the schema after the last run, for the detection of drift. It has one row.
//!
//! | column | |
//! |---|---|
//! | `log_id` | the id of the newest log row about a migration at that time |
//! | `taken_at` | RFC 3339, UTC |
//! | `digest` | BLAKE3-256 of the text, 64 hex digits |
//! | `text` | the text of a [`Schema`](crate::db::schema::Schema) |

use serde::Serialize;

use super::reader::StateReader;
use super::tables::{OnDemand, mark};
use super::writer::StateWriter;
use crate::db::database::Value;
use crate::db::engine_error::EngineError;
use crate::db::schema::Schema;
use crate::migration::now_text;

/// The schema after the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptSchema {
    /// The id of the newest log row about a migration at that time.
    #[serde(skip)]
    pub log_id: i64,
    /// The time at which it was read.
    pub taken_at: String,
    /// The schema.
    #[serde(flatten)]
    pub schema: Schema,
}

impl StateReader<'_> {
    /// Returns the schema after the last run, if one is stored.
    pub fn kept_schema(&mut self) -> Result<Option<KeptSchema>, EngineError> {
        if !self.tables.have(self.database, OnDemand::Schemas)? {
            return Ok(None);
        }
        let table = self.database.table_reference(self.tables.schemas());
        let rows = self.database.query(&format!("SELECT log_id, taken_at, text FROM {table}"), &[])?;
        Ok(rows.into_iter().next().map(|row| {
            let mut values = row.into_iter();
            let mut next = || values.next().unwrap_or(Value::Text(None));
            KeptSchema {
                log_id: next().integer().unwrap_or_default(),
                taken_at: next().into_text(),
                schema: Schema::of_text(next().into_text()),
            }
        }))
    }

    /// Returns the id of the newest log row about a migration; 0 if there is none.
    pub fn newest_log_id(&mut self) -> Result<i64, EngineError> {
        if !self.exists()? {
            return Ok(0);
        }
        let log = self.database.table_reference(self.tables.log());
        let rows = self.database.query(&format!("SELECT MAX(id) FROM {log} WHERE direction <> '-'"), &[])?;
        Ok(rows.into_iter().flatten().next().and_then(|id| id.integer()).unwrap_or_default())
    }
}

impl StateWriter<'_> {
    /// Creates the table of the schema if it does not exist.
    pub fn create_schemas(&mut self) -> Result<(), EngineError> {
        self.tables.create_on_demand(self.database, OnDemand::Schemas)
    }

    /// Replaces the stored schema.
    pub fn keep_schema(&mut self, log_id: i64, schema: &Schema) -> Result<(), EngineError> {
        let table = self.database.table_reference(self.tables.schemas());
        self.database.query(&format!("DELETE FROM {table}"), &[])?;
        let marks: Vec<_> = (1..=4).map(|number| mark(self.database.dialect(), number)).collect();
        let sql = format!("INSERT INTO {table} VALUES ({})", marks.join(", "));
        let values = [log_id.into(), now_text().into(), schema.digest.as_str().into(), schema.text.as_str().into()];
        self.database.query(&sql, &values).map(drop)
    }
}
