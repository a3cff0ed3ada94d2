//! Writes a map and its reverse file from rows in any order, in memory that does not grow with their number.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::IntoBytes;

use super::file_writer::FileWriter;
use super::reverse::{ENTRY_KEY_BYTES, ReverseEntry, ReverseHeader, reverse_path};
use super::row::{HEADER_LINE, MAP_ROW_BYTES, MapRow};
use crate::cas::format::key::Key;
use crate::durable::{Disk, create_directory_durable, parent_of, temporary_name};
use crate::migration::Error;
use crate::pipeline::{Merged, SortedRuns, StopToken, remove_run_files};

/// Rows between two checks for a requested stop.
const ROWS_BETWEEN_LOOKS: u64 = 4096;

/// The map that was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MapSummary {
    /// Rows of the map.
    pub rows: u64,
    /// Rows that were left out because an equal one exists.
    pub repeated: u64,
    /// Length of the map in bytes.
    pub bytes: u64,
    /// BLAKE3 of the map.
    pub digest: Key,
}

/// Collects the rows of a map.
pub struct MapWriter {
    disk: Arc<dyn Disk>,
    scratch: PathBuf,
    rows: SortedRuns<MAP_ROW_BYTES>,
    reverse: SortedRuns<ENTRY_KEY_BYTES>,
}

/// A map that is being written: its digest and the number of its rows.
struct MapText {
    digest: blake3::Hasher,
    file: FileWriter,
    rows: u64,
    repeated: u64,
}

impl MapWriter {
    /// Creates a writer that sorts within `memory_bytes` and in the directory `scratch`, which is created if it is
    /// missing and is used by nothing else. Files of a killed process in it are removed.
    pub fn new(disk: Arc<dyn Disk>, scratch: &Path, memory_bytes: u64) -> Result<Self, Error> {
        let directories = scratch_directories(scratch);
        for directory in &directories {
            create_directory_durable(&*disk, directory)?;
            remove_run_files(&*disk, directory)?;
        }
        // Both sorts use memory while the map is written.
        let [rows, reverse] = directories;
        let half_bytes = memory_bytes / 2;
        Ok(Self {
            rows: SortedRuns::new(disk.clone(), rows, half_bytes),
            reverse: SortedRuns::new(disk.clone(), reverse, half_bytes),
            scratch: scratch.to_path_buf(),
            disk,
        })
    }

    /// Adds one row.
    pub fn push(&mut self, row: MapRow) -> Result<(), Error> {
        Ok(self.rows.push(row.to_bytes())?)
    }

    /// Writes the map to `map_path` and the reverse file next to it, both durable on return. The bytes depend on the
    /// set of rows alone.
    ///
    /// An existing map is removed first, so that a crash leaves no map, or a complete one whose reverse file belongs to
    /// it. `None`: a stop was requested before that, and the new files are removed.
    ///
    /// # Errors
    /// [`Error::Accounting`] if two rows contradict each other about one old key.
    pub fn finish(self, map_path: &Path, stop: &StopToken) -> Result<Option<MapSummary>, Error> {
        let Self { disk, scratch, rows, mut reverse } = self;
        let reverse_path = reverse_path(map_path);
        let (new_map, new_reverse) = (temporary_name(map_path), temporary_name(&reverse_path));
        let summary = write_map(&*disk, &new_map, rows.finish()?, &mut reverse, stop)?;
        let Some(summary) = summary else {
            disk.remove_file(&new_map)?;
            return Ok(None);
        };
        let header = ReverseHeader::new(summary.bytes, summary.rows, summary.digest);
        if !write_reverse(&*disk, &new_reverse, &header, reverse.finish()?, stop)? {
            disk.remove_file(&new_map)?;
            disk.remove_file(&new_reverse)?;
            return Ok(None);
        }
        publish(&*disk, [(&new_reverse, &reverse_path), (&new_map, map_path)])?;
        for directory in scratch_directories(&scratch) {
            disk.remove_directory(&directory)?;
        }
        Ok(Some(summary))
    }
}

fn scratch_directories(scratch: &Path) -> [PathBuf; 2] {
    ["rows", "reverse"].map(|name| scratch.join(name))
}

/// Gives the new files their names, the map last: where there is a map, its reverse file exists.
fn publish(disk: &dyn Disk, [reverse, map]: [(&Path, &Path); 2]) -> Result<(), Error> {
    let directory = parent_of(map.1);
    if disk.kind(map.1)?.is_some() {
        disk.remove_file(map.1)?;
        disk.sync_directory(directory)?;
    }
    for (from, to) in [reverse, map] {
        disk.rename(from, to)?;
        disk.sync_directory(directory)?;
    }
    Ok(())
}

/// Writes the lines and collects where each begins. `None` if a stop was requested.
fn write_map(
    disk: &dyn Disk,
    path: &Path,
    mut sorted: Merged<MAP_ROW_BYTES>,
    reverse: &mut SortedRuns<ENTRY_KEY_BYTES>,
    stop: &StopToken,
) -> Result<Option<MapSummary>, Error> {
    let mut text =
        MapText { digest: blake3::Hasher::new(), file: FileWriter::create(disk, path)?, rows: 0, repeated: 0 };
    text.append(HEADER_LINE)?;
    let mut last: Option<MapRow> = None;
    let mut line = Vec::new();
    while let Some(bytes) = sorted.next()? {
        if (text.rows + text.repeated).is_multiple_of(ROWS_BETWEEN_LOOKS) && stop.is_requested() {
            return Ok(None);
        }
        let row = MapRow::from_bytes(&bytes).expect("it was made from a row");
        match last {
            Some(last) if last == row => {
                text.repeated += 1;
                continue;
            }
            Some(last) if last.identity() == row.identity() => return Err(contradiction(&last, &row)),
            _ => {}
        }
        reverse.push(ReverseEntry::sort_key(row.new_key, text.file.len_bytes()))?;
        line.clear();
        row.push_line(&mut line);
        text.append(&line)?;
        text.rows += 1;
        last = Some(row);
    }
    let MapText { digest, file, rows, repeated } = text;
    let summary = MapSummary { rows, repeated, bytes: file.len_bytes(), digest: Key(*digest.finalize().as_bytes()) };
    file.finish()?;
    Ok(Some(summary))
}

impl MapText {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.digest.update(bytes);
        Ok(self.file.append(bytes)?)
    }
}

fn contradiction(a: &MapRow, b: &MapRow) -> Error {
    let (old_key, old_algorithm) = a.identity();
    let what = format!(
        "the {old_algorithm} key {old_key} has two new keys: {} ({} bytes) and {} ({} bytes)",
        a.new_key, a.size, b.new_key, b.size
    );
    Error::Accounting { what }
}

/// Writes a reverse file. False if a stop was requested.
pub(super) fn write_reverse(
    disk: &dyn Disk,
    path: &Path,
    header: &ReverseHeader,
    mut sorted: Merged<ENTRY_KEY_BYTES>,
    stop: &StopToken,
) -> Result<bool, Error> {
    let mut file = FileWriter::create(disk, path)?;
    file.append(header.as_bytes())?;
    let mut entries: u64 = 0;
    while let Some(bytes) = sorted.next()? {
        if entries.is_multiple_of(ROWS_BETWEEN_LOOKS) && stop.is_requested() {
            return Ok(false);
        }
        file.append(ReverseEntry::from_sort_key(&bytes).as_bytes())?;
        entries += 1;
    }
    file.finish()?;
    Ok(true)
}
