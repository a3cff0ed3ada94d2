//! Makes the index and the map from the log of objects, and everything durable. All files are written again if this
//! runs again: the same log gives the same bytes.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::object_log::{ObjectOutcome, for_each_logged};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::map::{MapRow, MapWriter};
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::paths::{INDEX_NAME, TargetPaths};
use crate::cas::state::{RunState, SealedIndex};
use crate::cas::store::torn_line::copy_index;
use crate::durable::{Disk, DiskFile, DiskFileSystem, create_directory_durable, remove_tree};
use crate::migration::{Durability, Error, OutcomeCounts};
use crate::pipeline::{Control, SortedRuns};

/// Length of a record of the index's sort: key, blob hash, encoding, sizes, `created_at`.
const INDEX_ROW_BYTES: usize = 32 + 32 + 1 + 8 + 8 + 8;
/// Bytes of one write.
const WRITE_BYTES: usize = 1 << 20;
/// Rows between two checks for a requested stop.
const ROWS_PER_STEP: u64 = 16_384;

/// The input of sealing.
pub struct SealInput<'a> {
    /// The disk of the target.
    pub disk: &'a Arc<dyn Disk>,
    /// The paths of the target.
    pub paths: &'a TargetPaths,
    /// The run, whose objects are all placed.
    pub state: &'a RunState,
    /// Settings.
    pub options: &'a MigrateOptions,
    /// The file system of the target.
    pub file_system: &'a dyn DiskFileSystem,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

/// Seals the staged store. `Ok(None)`: a stop was requested.
pub fn seal(input: &SealInput<'_>) -> Result<Option<SealedIndex>, Error> {
    input.state.counts.check_sum(input.state.records)?;
    let SealInput { disk, paths, .. } = input;
    let scratch = paths.scratch();
    remove_tree(&***disk, &scratch)?;
    let sort_directory = scratch.join("index");
    create_directory_durable(&***disk, &sort_directory)?;
    let memory_bytes = input.options.run.sort_memory_bytes(input.options.run.memory_budget_bytes / 2);
    let mut rows = SortedRuns::<INDEX_ROW_BYTES>::new(Arc::clone(disk), sort_directory, memory_bytes);
    let mut map = MapWriter::new(Arc::clone(disk), &scratch.join("map"), memory_bytes)?;
    if !collect(input, &mut rows, &mut map)? {
        return Ok(None);
    }
    let Some(index) = write_index(input, rows)? else { return Ok(None) };
    if map.finish(&paths.map(), input.control.stop)?.is_none() {
        return Ok(None);
    }
    remove_tree(&***disk, &scratch)?;
    remove_tree(&***disk, &paths.incoming())?;
    if index.rows != input.state.counts.migrated {
        let what = format!("{} objects were migrated, the index has {}", input.state.counts.migrated, index.rows);
        return Err(Error::Accounting { what });
    }
    if input.options.durability != Durability::None {
        input.file_system.sync()?;
    }
    Ok(Some(index))
}

fn collect(input: &SealInput<'_>, rows: &mut SortedRuns<INDEX_ROW_BYTES>, map: &mut MapWriter) -> Result<bool, Error> {
    let mut taken = 0_u64;
    for_each_logged(&**input.disk, &input.paths.object_log(), input.state.progress.objects, |object| {
        if object.outcome == ObjectOutcome::Migrated {
            rows.push(index_row(&object.record))?;
        }
        if object.outcome != ObjectOutcome::Refused {
            let (new_key, size) = (object.record.digest, object.record.original_size);
            map.push(MapRow { old_key: object.old_key, old_algorithm: object.algorithm, new_key, size })?;
        }
        taken += 1;
        if taken.is_multiple_of(ROWS_PER_STEP) {
            input.control.progress(ROWS_PER_STEP, 0);
        }
        Ok(!(taken.is_multiple_of(ROWS_PER_STEP) && input.control.stop.is_requested()))
    })
}

fn index_row(record: &ObjectRecord) -> [u8; INDEX_ROW_BYTES] {
    let mut row = [0; INDEX_ROW_BYTES];
    row[..32].copy_from_slice(&record.digest.0);
    row[32..64].copy_from_slice(&record.stored_blob_hash.0);
    row[64] = record.encoding as u8;
    for (at, number) in [(65, record.original_size), (73, record.stored_size), (81, record.created_at)] {
        row[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    row
}

fn record_of(row: &[u8; INDEX_ROW_BYTES]) -> ObjectRecord {
    let key = |at: usize| Key(row[at..at + 32].try_into().expect("32 bytes"));
    let number = |at: usize| u64::from_le_bytes(row[at..at + 8].try_into().expect("8 bytes"));
    ObjectRecord {
        digest: key(0),
        encoding: Encoding::from_number(row[64]).expect("the sort returns what was pushed"),
        original_size: number(65),
        stored_size: number(73),
        stored_blob_hash: key(32),
        created_at: number(81),
    }
}

fn write_index(input: &SealInput<'_>, rows: SortedRuns<INDEX_ROW_BYTES>) -> Result<Option<SealedIndex>, Error> {
    let is_merge = input.options.placement == Placement::Merge;
    // The index of a store in use keeps its owner, its permissions and its access control list.
    let live = input.paths.target().join(INDEX_NAME);
    let like = is_merge.then_some(&*live);
    let mut out = IndexFile::create(&**input.disk, &input.paths.staging().join(INDEX_NAME), like)?;
    if is_merge {
        copy_index(&**input.disk, input.paths.target(), input.control.stop, |bytes| out.push_bytes(bytes))?;
    }
    let mut rows = rows.finish()?;
    let mut written = 0_u64;
    while let Some(row) = rows.next()? {
        out.push(&record_of(&row))?;
        written += 1;
        if written.is_multiple_of(ROWS_PER_STEP) && input.control.stop.is_requested() {
            return Ok(None);
        }
    }
    out.finish(written).map(Some)
}

/// An index that is being written.
pub(in crate::cas) struct IndexFile {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written_bytes: u64,
    hasher: blake3::Hasher,
}

impl IndexFile {
    /// Creates the file, with the attributes of another one if there is one.
    pub(in crate::cas) fn create(disk: &dyn Disk, path: &Path, like: Option<&Path>) -> Result<Self, Error> {
        match disk.remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let buffer = Vec::with_capacity(WRITE_BYTES + 1024);
        let file = match like {
            Some(like) => disk.create_file_like(path, like)?.0,
            None => disk.create_file(path)?,
        };
        Ok(Self { file, buffer, written_bytes: 0, hasher: blake3::Hasher::new() })
    }

    pub(in crate::cas) fn push(&mut self, record: &ObjectRecord) -> Result<(), Error> {
        record.push_json(&mut self.buffer);
        self.push_bytes(b"\n")
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.written_bytes, &self.buffer)?;
        self.hasher.update(&self.buffer);
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub(in crate::cas) fn finish(mut self, rows: u64) -> Result<SealedIndex, Error> {
        self.flush()?;
        Ok(SealedIndex { rows, len_bytes: self.written_bytes, digest: *self.hasher.finalize().as_bytes() })
    }
}
