//! The index of a tree: one row a run, and how it is asked.

pub mod reindex;
pub mod text;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;

use crate::migration::Error;

/// Columns, in the order of every sink.
pub const COLUMNS: [&str; 9] =
    ["job_id", "run_id", "job_ref", "job_type", "status", "inputs_hash", "artifact_dir", "manifest_json", "indexed_at"];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexRow {
    /// Key, first part.
    pub job_id: String,
    /// Key, second part.
    pub run_id: String,
    /// As the manifest has it.
    pub job_ref: Option<String>,
    /// As the manifest has it.
    pub job_type: Option<String>,
    /// As the manifest has it.
    pub status: Option<String>,
    /// As the manifest has it.
    pub inputs_hash: Option<String>,
    /// Directory of the manifest, relative to the root.
    pub artifact_dir: String,
    /// The manifest.
    pub manifest_json: String,
    /// When the manifest was last written.
    pub indexed_at: String,
    /// As the manifest has it.
    pub schema_version: Option<String>,
}

/// What rows a query asks for; what is `None` is not asked.
#[derive(Debug, Clone, Default)]
pub struct IndexQuery {
    /// `job_id`.
    pub job: Option<String>,
    /// `schema_version`.
    pub version: Option<String>,
    /// `status`.
    pub status: Option<String>,
}

/// Shows `visit` the rows that a query asks for, by key.
pub fn query(
    database: &Connection,
    query: &IndexQuery,
    mut visit: impl FnMut(IndexRow) -> Result<(), Error>,
) -> Result<(), Error> {
    let asked = [("job_id", &query.job), ("schema_version", &query.version), ("status", &query.status)];
    let asked: Vec<_> = asked.into_iter().filter_map(|(column, value)| Some((column, value.clone()?))).collect();
    let conditions: String = asked.iter().map(|(column, _)| format!(" AND {column} = ?")).collect();
    let columns = COLUMNS.join(", ");
    let text = format!("SELECT {columns}, schema_version FROM artifacts WHERE 1{conditions} ORDER BY job_id, run_id");
    let mut statement = database.prepare(&text).map_err(index_error)?;
    let values = asked.into_iter().map(|(_, value)| Sql::Text(value));
    let mut rows = statement.query(params_from_iter(values)).map_err(index_error)?;
    while let Some(row) = rows.next().map_err(index_error)? {
        visit(read_row(row).map_err(index_error)?)?;
    }
    Ok(())
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<IndexRow> {
    Ok(IndexRow {
        job_id: row.get(0)?,
        run_id: row.get(1)?,
        job_ref: row.get(2)?,
        job_type: row.get(3)?,
        status: row.get(4)?,
        inputs_hash: row.get(5)?,
        artifact_dir: row.get(6)?,
        manifest_json: row.get(7)?,
        indexed_at: row.get(8)?,
        schema_version: row.get(9)?,
    })
}

/// What SQLite says.
pub fn index_error(error: rusqlite::Error) -> Error {
    Error::Program {
        what: format!("the index cannot be used: {error}"),
        next: "give the path of an index, or of a file that is not there yet".into(),
        temporary: matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DiskFull)
        ),
    }
}
