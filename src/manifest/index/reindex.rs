//! The index made anew from the manifests. Nothing is ever decided by reading it (docs/source-sigilzero.md, invariant
//! 5).

use std::fs::metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::{IndexRow, index_error};
use crate::durable::{FileState, ReadRoot};
use crate::manifest::document::json::{Document, ReadOptions, Value};
use crate::manifest::migrate::evaluate::MANIFEST_BYTES_MAX;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::reader::EntryReader;
use crate::manifest::tree::scan::{Found, ScanEntry, SkipReason};
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

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
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Whatever some version of a migration takes is in the index too: it is no place to refuse anything.
const READ: ReadOptions =
    ReadOptions { depth_max: 1000, bom_strip: true, last_member_wins: true, compat_numbers: false };

/// What an index was made of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReindexEnd {
    /// Rows.
    pub rows: u64,
    /// Manifests that are not in the index: no JSON, without the two parts of the key, or with a NUL in a column.
    pub left_out: u64,
    /// Links in the tree, whose targets are indexed where they lie; none is removed.
    pub links: u64,
    /// Those of them that lead nowhere.
    pub dangling_links: u64,
    /// True if it was asked to stop; the index is what it was.
    pub stopped: bool,
    /// The first of the manifests that are left out.
    pub left_out_paths: Vec<PathBuf>,
    /// The first of the links that lead nowhere.
    pub dangling_paths: Vec<PathBuf>,
}

/// Paths that are shown of each kind.
const PATHS_SHOWN: usize = 100;

/// Makes the index anew in `database`, in one transaction, and gives it back: readers see the old one or the new one.
pub fn reindex(
    root: Arc<dyn ReadRoot>,
    database: Connection,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<(ReindexEnd, Connection), Error> {
    let reader = EntryReader::new(root.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?;
    database.execute_batch("BEGIN IMMEDIATE").and_then(|()| database.execute_batch(CREATE)).map_err(index_error)?;
    let mut writer = RowWriter { database, end: ReindexEnd::default() };
    let ended = control.phase(Phase::Index, Expected::UNKNOWN, || {
        pass(reader, &RowMaker { root: &*root }, &options.run.engine(), control, |rows| writer.write(rows))
    })?;
    let RowWriter { database, mut end } = writer;
    if ended == Ended::Stopped {
        database.execute_batch("ROLLBACK").map_err(index_error)?;
        end.stopped = true;
        return Ok((end, database));
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM artifacts", [], |row| row.get(0)).map_err(index_error)?;
    end.rows = u64::try_from(rows).unwrap_or(0);
    database.execute_batch("COMMIT").map_err(index_error)?;
    Ok((end, database))
}

struct RowMaker<'a> {
    root: &'a dyn ReadRoot,
}

#[derive(Default)]
struct Rows {
    rows: Vec<IndexRow>,
    left_out: Vec<PathBuf>,
    links: u64,
    dangling: Vec<PathBuf>,
}

impl Converter for RowMaker<'_> {
    type Batch = Vec<ScanEntry>;
    type Output = Rows;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<Rows, Error> {
        let mut made = Rows::default();
        for ScanEntry { path, found } in entries {
            match found {
                Found::Skipped(SkipReason::Link) => {
                    made.links += 1;
                    let leads_nowhere = metadata(self.root.path().join(&path)).is_err();
                    made.dangling.extend(leads_nowhere.then_some(path));
                }
                Found::Skipped(_) | Found::Leftover => {}
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
    fn row(&self, path: &Path, bytes: &mut Vec<u8>) -> Option<IndexRow> {
        let state = self.root.read_file(path, MANIFEST_BYTES_MAX, bytes).ok()?;
        let document = Document::parse(bytes, &READ).ok()?;
        let field = |key: &str| document.root().get(key).and_then(Value::as_str).map(|text| text.into_owned());
        let text = std::str::from_utf8(bytes).ok()?;
        let row = IndexRow {
            job_id: field("job_id")?,
            run_id: field("run_id")?,
            job_ref: field("job_ref"),
            job_type: field("job_type"),
            status: field("status"),
            inputs_hash: field("inputs_hash"),
            artifact_dir: path.parent()?.to_str()?.to_owned(),
            manifest_json: text.trim_start_matches(BYTE_ORDER_MARK).to_owned(),
            indexed_at: modified_at(&state),
            schema_version: field("schema_version"),
        };
        (!has_nul(&row)).then_some(row)
    }
}

/// No text of PostgreSQL holds a NUL, and one row would fail them all.
fn has_nul(row: &IndexRow) -> bool {
    let optional = [&row.job_ref, &row.job_type, &row.status, &row.inputs_hash, &row.schema_version];
    let texts = [&row.job_id, &row.run_id, &row.artifact_dir].into_iter();
    texts.chain(optional.into_iter().flatten()).any(|text| text.contains('\0'))
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
    fn insert(&self, row: &IndexRow) -> rusqlite::Result<usize> {
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

impl RowWriter {
    fn write(&mut self, made: Rows) -> Result<(), Error> {
        for row in &made.rows {
            self.insert(row).map_err(index_error)?;
        }
        self.end.links += made.links;
        self.end.left_out += made.left_out.len() as u64;
        self.end.dangling_links += made.dangling.len() as u64;
        extend_shown(&mut self.end.left_out_paths, made.left_out);
        extend_shown(&mut self.end.dangling_paths, made.dangling);
        Ok(())
    }
}

fn extend_shown(shown: &mut Vec<PathBuf>, paths: Vec<PathBuf>) {
    let room = PATHS_SHOWN.saturating_sub(shown.len());
    shown.extend(paths.into_iter().take(room));
}
