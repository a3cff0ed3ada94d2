//! Reads the rows of the index from the manifests of a tree. Nothing is ever decided by reading the index.

use std::fs::metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Row;
use crate::durable::{FileState, ReadRoot};
use crate::manifest::document::json::{Document, ReadOptions, Value};
use crate::manifest::migrate::evaluate::MANIFEST_BYTES_MAX;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::reader::EntryReader;
use crate::manifest::tree::scan::{Entry, Found, PassedOver};
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// Links to runs from before jobs had directories lie here.
const LEGACY: &str = "artifacts/runs/";
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Whatever some version of a migration takes is in the index too: it is no place to refuse anything.
const READ: ReadOptions =
    ReadOptions { depth_max: 1000, bom_strip: true, last_member_wins: true, compat_numbers: false };

/// What the index was made from.
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

/// Reads every manifest of the tree and gives the rows to `take`, in the order of their paths.
pub(super) fn read_rows(
    root: &Arc<dyn ReadRoot>,
    options: &MigrateOptions,
    control: &Control<'_>,
    mut take: impl FnMut(Row) -> Result<(), Error> + Send,
) -> Result<ReindexEnd, Error> {
    let reader = EntryReader::new(root.clone(), (options.layout, None), Vec::new(), options.batch_records)?;
    let mut end = ReindexEnd::default();
    let ended = control.phase(Phase::Index, Expected::UNKNOWN, || {
        pass(reader, &RowMaker { root: &**root }, &options.engine(), control, |rows: Rows| {
            end.add(&rows);
            rows.rows.into_iter().try_for_each(&mut take)
        })
    })?;
    end.stopped = ended == Ended::Stopped;
    Ok(end)
}

impl Row {
    /// True for a manifest of the layout from before jobs had directories: of two manifests of one run the other wins.
    pub(super) fn is_legacy(&self) -> bool {
        self.artifact_dir.starts_with(LEGACY)
    }
}

impl ReindexEnd {
    fn add(&mut self, rows: &Rows) {
        self.links += rows.links;
        self.left_out += rows.left_out.len() as u64;
        self.dangling_links += rows.dangling.len() as u64;
        extend_shown(&mut self.left_out_paths, &rows.left_out);
        extend_shown(&mut self.dangling_paths, &rows.dangling);
    }
}

struct RowMaker<'a> {
    root: &'a dyn ReadRoot,
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    left_out: Vec<PathBuf>,
    links: u64,
    dangling: Vec<PathBuf>,
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
                Found::PassedOver(PassedOver::Link) => {
                    made.links += 1;
                    let leads_nowhere = metadata(self.root.path().join(&path)).is_err();
                    made.dangling.extend(leads_nowhere.then_some(path));
                }
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
        let document = Document::parse(bytes, &READ).ok()?;
        let field = |key: &str| document.root().get(key).and_then(Value::as_str).map(|text| text.into_owned());
        let text = std::str::from_utf8(bytes).ok()?;
        let row = Row {
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
fn has_nul(row: &Row) -> bool {
    let optional = [&row.job_ref, &row.job_type, &row.status, &row.inputs_hash, &row.schema_version];
    let texts = [&row.job_id, &row.run_id, &row.artifact_dir].into_iter();
    texts.chain(optional.into_iter().flatten()).any(|text| text.contains('\0'))
}

fn modified_at(state: &FileState) -> String {
    let nanos = i32::try_from(state.modified_nanos).unwrap_or(0);
    Timestamp::new(state.modified_secs, nanos).unwrap_or_default().to_string()
}

fn extend_shown(shown: &mut Vec<PathBuf>, paths: &[PathBuf]) {
    let room = PATHS_SHOWN.saturating_sub(shown.len());
    shown.extend(paths.iter().take(room).cloned());
}
