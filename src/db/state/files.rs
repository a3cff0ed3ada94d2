//! The table of files without a version that were run: repeatable migrations and seeds. It has one row for each, which
//! changes in the transaction of the file.
//!
//! | column | |
//! |---|---|
//! | `kind`, `name` | `repeatable` or `seed`, and the name of the file |
//! | `checksum` | of the text that ran last, 64 hex digits |
//! | `applied_at`, `duration_ms` | RFC 3339 in UTC, of the last time |
//! | `applied_by`, `haul_version` | user, process and host; the version |

use serde::Serialize;

use super::reader::StateReader;
use super::tables::{OnDemand, mark};
use super::writer::StateWriter;
use crate::db::database::{Change, Value};
use crate::db::engine_error::EngineError;

/// A file without a version that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// `repeatable` or `seed`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The checksum of the text that ran last.
    pub checksum: String,
    /// The time, RFC 3339 in UTC.
    pub applied_at: String,
    /// The duration.
    pub duration_ms: i64,
    /// The user, process and host.
    pub applied_by: String,
    /// The version of haul.
    pub haul_version: String,
}

impl StateReader<'_> {
    /// Returns the files without a version that were run.
    pub fn files(&mut self) -> Result<Vec<FileRow>, EngineError> {
        if !self.tables.have(self.database, OnDemand::Files)? {
            return Ok(Vec::new());
        }
        let table = self.database.table_reference(self.tables.files());
        let rows = self.database.query(&format!("SELECT * FROM {table} ORDER BY kind, name"), &[])?;
        Ok(rows.into_iter().map(row).collect())
    }
}

fn row(values: Vec<Value>) -> FileRow {
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    FileRow {
        kind: next().into_text(),
        name: next().into_text(),
        checksum: next().into_text(),
        applied_at: next().into_text(),
        duration_ms: next().integer().unwrap_or_default(),
        applied_by: next().into_text(),
        haul_version: next().into_text(),
    }
}

impl StateWriter<'_> {
    /// Creates the table of files if it does not exist.
    pub fn create_files(&mut self) -> Result<(), EngineError> {
        self.tables.create_on_demand(self.database, OnDemand::Files)
    }

    /// Returns the change that inserts or replaces the row of a file.
    pub fn filed(&self, row: &FileRow) -> Change {
        let table = self.database.table_reference(self.tables.files());
        let marks: Vec<_> = (1..=7).map(|number| mark(self.database.dialect(), number)).collect();
        let sql = format!(
            "INSERT INTO {table} VALUES ({}) ON CONFLICT (kind, name) DO UPDATE SET checksum = excluded.checksum, \
             applied_at = excluded.applied_at, duration_ms = excluded.duration_ms, applied_by = excluded.applied_by, \
             haul_version = excluded.haul_version",
            marks.join(", ")
        );
        let values = vec![
            row.kind.as_str().into(),
            row.name.as_str().into(),
            row.checksum.as_str().into(),
            row.applied_at.as_str().into(),
            row.duration_ms.into(),
            row.applied_by.as_str().into(),
            row.haul_version.as_str().into(),
        ];
        Change { sql, values }
    }
}
