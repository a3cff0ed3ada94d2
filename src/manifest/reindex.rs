//! The index of a tree: one row a run, always made from the manifests and never read to decide anything (§11).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use serde::Serialize;
use serde_json::Value;

use super::assess::MANIFEST_BYTES_MAX;
use super::reader::EntryReader;
use super::run_options::MigrateOptions;
use super::scan::{Entry, Found};
use crate::durable::{DiskError, FileState, ReadRoot};
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, NothingToCommit, Writer, run};

/// Columns, in the order of every sink.
pub const COLUMNS: [&str; 9] =
    ["job_id", "run_id", "job_ref", "job_type", "status", "inputs_hash", "artifact_dir", "manifest_json", "indexed_at"];
const CREATE: &str = "CREATE TABLE IF NOT EXISTS artifacts (job_id TEXT NOT NULL, run_id TEXT NOT NULL, job_ref TEXT, \
    job_type TEXT, status TEXT, inputs_hash TEXT, artifact_dir TEXT NOT NULL, manifest_json TEXT NOT NULL, \
    indexed_at TEXT NOT NULL, schema_version TEXT, is_legacy INTEGER NOT NULL, PRIMARY KEY (job_id, run_id)); \
    CREATE INDEX IF NOT EXISTS artifacts_by_version ON artifacts (schema_version); \
    CREATE INDEX IF NOT EXISTS artifacts_by_status ON artifacts (status); DELETE FROM artifacts";
/// Of two manifests of one run the canonical one wins over the legacy one, then the lower path, which comes first.
const INSERT: &str = "INSERT INTO artifacts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
    ON CONFLICT (job_id, run_id) DO UPDATE SET job_ref = excluded.job_ref, job_type = excluded.job_type, \
    status = excluded.status, inputs_hash = excluded.inputs_hash, artifact_dir = excluded.artifact_dir, \
    manifest_json = excluded.manifest_json, indexed_at = excluded.indexed_at, \
    schema_version = excluded.schema_version, is_legacy = excluded.is_legacy WHERE excluded.is_legacy < is_legacy";
/// Links to runs from before jobs had directories lie here.
const LEGACY: &str = "artifacts/runs/";

/// What an index was made of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReindexEnd {
    /// Rows.
    pub rows: u64,
    /// Manifests that are not in the index: no JSON, or without the two parts of the key.
    pub left_out: u64,
    /// Links in the tree, whose targets are indexed where they lie; none is removed.
    pub links: u64,
    /// True if it was asked to stop; the index is what it was.
    pub stopped: bool,
    /// The first of the manifests that are left out.
    pub left_out_paths: Vec<PathBuf>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
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

/// Paths that are shown of manifests left out.
const LEFT_OUT_SHOWN: usize = 100;

/// Makes the index anew in `database`, in one transaction, and gives it back: readers see the old one or the new one.
pub fn reindex(
    root: Arc<dyn ReadRoot>,
    database: Connection,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<(ReindexEnd, Connection), Error> {
    let reader = EntryReader::new(root.clone(), (options.layout, None), Vec::new(), options.batch_records)?;
    database.execute_batch("BEGIN IMMEDIATE").and_then(|()| database.execute_batch(CREATE)).map_err(failed)?;
    let mut writer = RowWriter { database, end: ReindexEnd::default() };
    let ended = run(reader, &RowMaker { root: &*root }, &mut writer, &options.engine(), control)?;
    let RowWriter { database, mut end } = writer;
    if ended == Ended::Stopped {
        database.execute_batch("ROLLBACK").map_err(failed)?;
        end.stopped = true;
        return Ok((end, database));
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM artifacts", [], |row| row.get(0)).map_err(failed)?;
    end.rows = u64::try_from(rows).unwrap_or(0);
    database.execute_batch("COMMIT").map_err(failed)?;
    Ok((end, database))
}

/// What rows a query asks for; what is `None` is not asked.
#[derive(Debug, Clone, Default)]
pub struct Query {
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
    query: &Query,
    mut visit: impl FnMut(Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let asked = [("job_id", &query.job), ("schema_version", &query.version), ("status", &query.status)];
    let asked: Vec<_> = asked.into_iter().filter_map(|(column, value)| Some((column, value.clone()?))).collect();
    let conditions: String = asked.iter().map(|(column, _)| format!(" AND {column} = ?")).collect();
    let columns = COLUMNS.join(", ");
    let text = format!("SELECT {columns}, schema_version FROM artifacts WHERE 1{conditions} ORDER BY job_id, run_id");
    let mut statement = database.prepare(&text).map_err(failed)?;
    let values = asked.into_iter().map(|(_, value)| Sql::Text(value));
    let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        visit(read_row(row).map_err(failed)?)?;
    }
    Ok(())
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
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
pub fn failed(error: rusqlite::Error) -> Error {
    Error::Program {
        what: format!("the index cannot be used: {error}"),
        next: "give the path of an index, or of a file that is not there yet".into(),
        temporary: matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DiskFull)
        ),
    }
}

/// An upsert of the row for PostgreSQL.
pub fn upsert_text(row: &Row) -> String {
    let quoted = |text: &Option<String>| match text {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    let some = |text: &str| quoted(&Some(text.to_owned()));
    let values = [
        some(&row.job_id),
        some(&row.run_id),
        quoted(&row.job_ref),
        quoted(&row.job_type),
        quoted(&row.status),
        quoted(&row.inputs_hash),
        some(&row.artifact_dir),
        format!("{}::jsonb", some(&row.manifest_json)),
        format!("{}::timestamptz", some(&row.indexed_at)),
    ];
    let updates: Vec<_> = COLUMNS[2..].iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    format!(
        "INSERT INTO artifacts ({}) VALUES ({}) ON CONFLICT (job_id, run_id) DO UPDATE SET {};",
        COLUMNS.join(", "),
        values.join(", "),
        updates.join(", ")
    )
}

/// Writes a line, and says where it went wrong if it did.
pub fn write_line(out: &mut dyn std::io::Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}").map_err(|e| DiskError::new("write to", Path::new("standard output"), e).into())
}

struct RowMaker<'a> {
    root: &'a dyn ReadRoot,
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    left_out: Vec<PathBuf>,
    links: u64,
}

impl Converter for RowMaker<'_> {
    type Batch = Vec<Entry>;
    type Output = Rows;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<Entry>) -> Result<Rows, Error> {
        let mut made = Rows::default();
        for Entry { path, found } in entries {
            match found {
                Found::PassedOver(super::scan::PassedOver::Link) => made.links += 1,
                Found::PassedOver(_) | Found::Leftover => {}
                Found::Unreadable(_) => made.left_out.push(path),
                Found::Manifest => match self.row(&path, scratch) {
                    Some(row) => made.rows.push(row),
                    None => made.left_out.push(path),
                },
            }
        }
        Ok(made)
    }
}

impl RowMaker<'_> {
    fn row(&self, path: &Path, bytes: &mut Vec<u8>) -> Option<Row> {
        let state = self.root.read_file(path, MANIFEST_BYTES_MAX, bytes).ok()?;
        let text = std::str::from_utf8(bytes).ok()?;
        let document: Value = serde_json::from_str(text).ok()?;
        let field = |key: &str| document[key].as_str().map(str::to_owned);
        Some(Row {
            job_id: field("job_id")?,
            run_id: field("run_id")?,
            job_ref: field("job_ref"),
            job_type: field("job_type"),
            status: field("status"),
            inputs_hash: field("inputs_hash"),
            artifact_dir: path.parent()?.to_str()?.to_owned(),
            manifest_json: text.to_owned(),
            indexed_at: modified_at(&state),
            schema_version: field("schema_version"),
        })
    }
}

fn modified_at(state: &FileState) -> String {
    let nanos = i32::try_from(state.modified_nanos).unwrap_or(0);
    Timestamp::new(state.modified_secs, nanos).unwrap_or_default().to_string()
}

struct RowWriter {
    database: Connection,
    end: ReindexEnd,
}

impl RowWriter {
    fn insert(&self, row: &Row) -> rusqlite::Result<usize> {
        let is_legacy = row.artifact_dir.starts_with(LEGACY);
        self.database.prepare_cached(INSERT)?.execute(params![
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
            is_legacy,
        ])
    }
}

impl Writer for RowWriter {
    type Output = Rows;
    type Error = Error;
    type Commit = NothingToCommit<Error>;

    fn write(&mut self, made: Rows) -> Result<(), Error> {
        for row in &made.rows {
            self.insert(row).map_err(failed)?;
        }
        self.end.links += made.links;
        self.end.left_out += made.left_out.len() as u64;
        let room = LEFT_OUT_SHOWN.saturating_sub(self.end.left_out_paths.len());
        self.end.left_out_paths.extend(made.left_out.into_iter().take(room));
        Ok(())
    }

    fn commit_point(&mut self) -> Result<NothingToCommit<Error>, Error> {
        Ok(NothingToCommit::default())
    }
}
