//! The index in a SQLite file: builds it from the manifests, and queries it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, ffi, params, params_from_iter};

use super::index_file::IndexFile;
use super::rows::{ReindexEnd, read_rows};
use super::{COLUMNS, IndexRow};
use crate::durable::{Disk, ReadRoot};
use crate::manifest::migrate::modes_of_tree;
use crate::manifest::run_options::MigrateOptions;
use crate::migration::Error;
use crate::pipeline::Control;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS artifacts (job_id TEXT NOT NULL, run_id TEXT NOT NULL, job_ref TEXT, \
    job_type TEXT, status TEXT, inputs_hash TEXT, artifact_dir TEXT NOT NULL, manifest_json TEXT NOT NULL, \
    indexed_at TEXT NOT NULL, schema_version TEXT, is_legacy INTEGER NOT NULL, PRIMARY KEY (job_id, run_id)); \
    CREATE INDEX IF NOT EXISTS artifacts_by_version ON artifacts (schema_version); \
    CREATE INDEX IF NOT EXISTS artifacts_by_status ON artifacts (status); DELETE FROM artifacts";
/// Of two manifests of one run, one outside `artifacts/runs/` wins, then the lower path, which comes first in the scan.
const INSERT: &str = "INSERT INTO artifacts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
    ON CONFLICT (job_id, run_id) DO UPDATE SET job_ref = excluded.job_ref, job_type = excluded.job_type, \
    status = excluded.status, inputs_hash = excluded.inputs_hash, artifact_dir = excluded.artifact_dir, \
    manifest_json = excluded.manifest_json, indexed_at = excluded.indexed_at, \
    schema_version = excluded.schema_version, is_legacy = excluded.is_legacy WHERE excluded.is_legacy < is_legacy";

/// Replaces the index at `path` in one transaction, so readers see the old one or the new one. The file is no more
/// readable than any manifest in it.
pub fn reindex(
    disk: &Arc<dyn Disk>,
    (root, path): (&Arc<dyn ReadRoot>, &Path),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<ReindexEnd, Error> {
    fill(disk, (root, path), options, control).map_err(|error| match error {
        Error::Program { what, next, temporary } => {
            Error::Program { what: format!("{}: {what}", path.display()), next, temporary }
        }
        error => error,
    })
}

fn fill(
    disk: &Arc<dyn Disk>,
    (root, path): (&Arc<dyn ReadRoot>, &Path),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<ReindexEnd, Error> {
    let mut file = IndexFile::open(disk, path, modes_of_tree(root.path())?)?;
    let mut database = Connection::open(path).map_err(index_error)?;
    database.execute_batch("BEGIN IMMEDIATE").and_then(|()| database.execute_batch(CREATE)).map_err(index_error)?;
    // A connection can move to another thread but cannot be shared by threads, so the closure borrows it exclusively.
    let writer = &mut database;
    let mut end = read_rows(root, options, control, |row, modes| {
        file.narrow(modes)?;
        insert(writer, &row).map_err(index_error)
    })?;
    if end.stopped {
        database.execute_batch("ROLLBACK").map_err(index_error)?;
        return Ok(end);
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM artifacts", [], |row| row.get(0)).map_err(index_error)?;
    end.set_rows(u64::try_from(rows).unwrap_or(0));
    file.complete()?;
    database.execute_batch("COMMIT").map_err(index_error)?;
    Ok(end)
}

fn insert(database: &mut Connection, row: &IndexRow) -> rusqlite::Result<()> {
    let values = params![
        row.job_id,
        row.run_id,
        row.job_ref,
        row.job_type,
        row.status,
        row.inputs_hash,
        row.artifact_dir,
        row.manifest_json,
        row.indexed_at,
        row.schema_version,
        row.is_legacy(),
    ];
    database.prepare_cached(INSERT)?.execute(values).map(|_| ())
}

/// The conditions of a query. A condition that is `None` does not apply.
#[derive(Debug, Clone, Default)]
pub struct IndexQuery {
    /// `job_id`.
    pub job: Option<String>,
    /// `schema_version`.
    pub version: Option<String>,
    /// `status`.
    pub status: Option<String>,
}

/// Passes the rows that match a query to `visit`, in the order of the key.
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

/// Converts an error of SQLite.
pub fn index_error(error: rusqlite::Error) -> Error {
    let is_full =
        matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DiskFull));
    // SQLite says no more of a write that fails, as at a limit of the file size.
    let is_not_written = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_WRITE);
    Error::Program {
        what: format!("the index cannot be used: {error}"),
        next: match is_not_written {
            true => "find out what keeps it from being written, such as a limit of the file size, and run again".into(),
            false => "give the path of an index, or of a file that does not exist".into(),
        },
        temporary: is_full || is_not_written,
    }
}
