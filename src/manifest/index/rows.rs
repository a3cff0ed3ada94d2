//! Reads the rows of the index from the manifests of a tree. haul never reads the index to decide anything
//! (docs/source-sigilzero.md, invariant 5).

use std::fs::metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::IndexRow;
use crate::durable::{FileState, NewModes, ReadRoot};
use crate::manifest::document::json::{Document, ReadOptions, Value};
use crate::manifest::migrate::document_reader::{DocumentReader, NotRead};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::file_faults::concerns_one_file;
use crate::manifest::tree::reader::EntryReader;
use crate::manifest::tree::scan::{Found, ScanEntry, SkipReason};
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// The directory of runs from before jobs had directories of their own.
const LEGACY: &str = "artifacts/runs/";
const BYTE_ORDER_MARK: char = '\u{feff}';
/// The most generous options of a migration: what a migration can accept belongs into the index.
const READ: ReadOptions =
    ReadOptions { depth_max: 1000, bom_strip: true, last_member_wins: true, compat_numbers: false };

/// The result of building an index.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReindexEnd {
    /// Number of rows.
    pub rows: u64,
    /// Number of manifests that are not in the index: they are not JSON, lack a part of the key, have a NUL in a column,
    /// or have the same key as another one.
    pub left_out: u64,
    /// Of these, manifests and directories that cannot be read.
    pub unreadable: u64,
    /// Of these, those with the key of another one.
    pub same_key: u64,
    /// Number of manifests that could be in the index.
    #[serde(skip)]
    candidates: u64,
    /// Number of links in the tree. Their targets are indexed under their own paths.
    pub links: u64,
    /// Number of links whose target does not exist.
    pub dangling_links: u64,
    /// True if it was asked to stop. The index is unchanged then.
    pub stopped: bool,
    /// The paths of the first manifests that are left out.
    pub left_out_paths: Vec<PathBuf>,
    /// The paths of the first links whose target does not exist.
    pub dangling_paths: Vec<PathBuf>,
}

/// The length up to which manifests wait with others until they are written.
const WAITING_BYTES_MAX: u64 = 16 << 10;
/// The deepest directories whose permissions count.
const DIRECTORIES_MAX: usize = 8;
/// The largest number of paths of each kind in the result.
const PATHS_SHOWN: usize = 100;

/// Reads every manifest of the tree and passes the rows to `take`, in the order of their paths.
pub(super) fn read_rows(
    root: &Arc<dyn ReadRoot>,
    options: &MigrateOptions,
    control: &Control<'_>,
    mut take: impl FnMut(IndexRow, NewModes) -> Result<(), Error> + Send,
) -> Result<ReindexEnd, Error> {
    let reader = EntryReader::new(root.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?;
    let mut end = ReindexEnd::default();
    let ended = control.phase(Phase::Index, Expected::UNKNOWN, || {
        let maker =
            RowMaker { root: &**root, documents: DocumentReader::new(&options.run, options.transform.depth_max) };
        let mut buffer = Vec::new();
        pass(reader, &maker, &options.run.engine(), control, |mut found: Rows| {
            for row in std::mem::take(&mut found.rows) {
                match row {
                    Made::Row(row, modes) => {
                        end.candidates += 1;
                        take(*row, modes)?;
                    }
                    Made::Long(path) => match maker.row(&path, &mut buffer)? {
                        Ok(Some((row, modes))) => {
                            end.candidates += 1;
                            take(row, modes)?;
                        }
                        Ok(None) => found.left_out.push(path),
                        Err(Unread) => found.leave_out_unread(path),
                    },
                }
            }
            end.add(&found);
            Ok(())
        })
    })?;
    end.stopped = ended == Ended::Stopped;
    Ok(end)
}

impl IndexRow {
    /// Returns true if the manifest is in the directory for runs of no job. Of two manifests of one run, the other one
    /// wins.
    pub(super) fn is_legacy(&self) -> bool {
        self.artifact_dir.starts_with(LEGACY)
    }
}

impl ReindexEnd {
    /// Sets the number of rows that are left of all candidates.
    pub(super) fn set_rows(&mut self, rows: u64) {
        self.rows = rows;
        self.same_key = self.candidates.saturating_sub(rows);
        self.left_out += self.same_key;
    }

    fn add(&mut self, rows: &Rows) {
        self.links += rows.links;
        self.left_out += rows.left_out.len() as u64;
        self.unreadable += rows.unreadable;
        self.dangling_links += rows.dangling.len() as u64;
        extend_shown(&mut self.left_out_paths, &rows.left_out);
        extend_shown(&mut self.dangling_paths, &rows.dangling);
    }
}

/// A manifest cannot be read.
struct Unread;

struct RowMaker<'a> {
    root: &'a dyn ReadRoot,
    documents: DocumentReader,
}

/// What the converters make of a manifest.
enum Made {
    /// Its row, and who may read the manifest.
    Row(Box<IndexRow>, NewModes),
    /// The path of one that is too long to wait with others until it is written.
    Long(PathBuf),
}

#[derive(Default)]
struct Rows {
    rows: Vec<Made>,
    left_out: Vec<PathBuf>,
    unreadable: u64,
    links: u64,
    dangling: Vec<PathBuf>,
}

impl Rows {
    fn leave_out_unread(&mut self, path: PathBuf) {
        self.unreadable += 1;
        self.left_out.push(path);
    }
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
                Found::Unreadable(error) if concerns_one_file(&error) => made.leave_out_unread(path),
                Found::Unreadable(error) => return Err(error.into()),
                Found::Manifest => match self.root.read_file(&path, WAITING_BYTES_MAX, scratch) {
                    Ok(state) => match self.row_of(&path, scratch, &state) {
                        Some((row, modes)) => made.rows.push(Made::Row(Box::new(row), modes)),
                        None => made.left_out.push(path),
                    },
                    // Also one that cannot be read now, which is tried again.
                    Err(_) => made.rows.push(Made::Long(path)),
                },
            }
        }
        Ok(made)
    }
}

impl RowMaker<'_> {
    /// Reads a manifest of any length and makes its row, if it has one and can be read.
    fn row(&self, path: &Path, buffer: &mut Vec<u8>) -> Result<Result<Option<(IndexRow, NewModes)>, Unread>, Error> {
        let read = |max_bytes, buffer: &mut Vec<u8>| self.root.read_file(path, max_bytes, buffer);
        match self.documents.read(buffer, read, |bytes, state| self.row_of(path, bytes, state)) {
            Ok(row) => Ok(Ok(row)),
            Err(NotRead::TooLarge(_)) => Ok(Ok(None)),
            Err(NotRead::Item(_)) => Ok(Err(Unread)),
            Err(NotRead::Failed(error)) => Err(error.into()),
        }
    }

    fn row_of(&self, path: &Path, bytes: &[u8], state: &FileState) -> Option<(IndexRow, NewModes)> {
        let row = row_of(path, bytes, state)?;
        // Those who may not enter the directories of the job and of the run cannot read the manifest either.
        let above = path.ancestors().skip(1).take(DIRECTORIES_MAX);
        let directories = above.map(|directory| self.root.path().join(directory));
        let modes = NewModes::of_sources(directories).unwrap_or(NewModes::PRIVATE);
        Some((row, modes.and(NewModes::of_file(state.mode))))
    }
}

/// Makes the row of a manifest, if it has a key and nothing that an index cannot hold.
fn row_of(path: &Path, bytes: &[u8], state: &FileState) -> Option<IndexRow> {
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
        indexed_at: modified_at(state),
        schema_version: field("schema_version"),
    };
    (!has_nul(&row)).then_some(row)
}

/// Returns true if a column has a NUL. PostgreSQL does not accept it, and one such row would fail the whole
/// transaction.
fn has_nul(row: &IndexRow) -> bool {
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
