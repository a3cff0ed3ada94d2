//! Writes encoded batches into the segments of a staged store, and makes points of it durable.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U32, U64};

use super::convert::{EncodedBatch, EncodedExtent, sequence_gap};
use crate::durable::{Disk, DiskError, DiskFile};
use crate::migration::{
    CheckpointFile, Error, Finding, Findings, FindingsCount, FindingsLog, OutcomeCounts, Severity, counted,
};
use crate::pipeline::{Commit, Counted, Writer};
use crate::space::state::RunState;
use crate::space::store::layout::{
    INDEX_HEADER_BYTES, IndexHeader, SEGMENT_HEADER_BYTES, TABLE_ENTRY_BYTES, TABLE_MAGIC, segment_header,
};
use crate::space::store::names::{TABLE, segment_number, segment_path};
use crate::space::store::parts::{BLOCKS, SEGMENTS};

const PREALLOCATE_BYTES: u64 = 64 << 20;

/// Where a store is staged and its state kept.
#[derive(Clone)]
pub struct StagingPaths {
    /// The directory that becomes the store.
    pub staging: PathBuf,
    /// The findings file.
    pub findings: PathBuf,
}

/// The writer of a store.
pub struct StoreWriter {
    disk: Arc<dyn Disk>,
    paths: StagingPaths,
    checkpoint: Arc<CheckpointFile>,
    source_names: Arc<Vec<String>>,
    state: RunState,
    segment: Arc<dyn DiskFile>,
    preallocated_bytes: u64,
    table: Arc<dyn DiskFile>,
    table_pending: Vec<u8>,
    table_bytes: u64,
    findings: FindingsLog,
    findings_count: FindingsCount,
    /// Bytes of the segments before the one that is being filled.
    full_segments_bytes: u64,
    unsynced: Vec<Arc<dyn DiskFile>>,
    names_changed: bool,
}

impl StoreWriter {
    /// Returns a writer into a staging directory that holds what `state` says, and perhaps more, which is cut off.
    pub fn open(
        disk: Arc<dyn Disk>,
        paths: StagingPaths,
        checkpoint: Arc<CheckpointFile>,
        state: RunState,
        source_names: Arc<Vec<String>>,
    ) -> Result<Self, Error> {
        let segment = open_segment(&*disk, &paths, &state)?;
        let table_path = paths.staging.join(TABLE);
        let table_bytes = INDEX_HEADER_BYTES + state.progress.cursor.extent * TABLE_ENTRY_BYTES as u64;
        let table = open_cut(&*disk, &table_path, table_bytes, &|file| {
            file.write_all_at(0, IndexHeader::new(TABLE_MAGIC, TABLE_ENTRY_BYTES).as_bytes())
        })?;
        remove_later_segments(&*disk, &paths, state.progress.segment)?;
        let full_segments_bytes = full_segments_bytes(&*disk, &paths, state.progress.segment)?;
        let findings = FindingsLog::open(&*disk, &paths.findings, state.findings_bytes)?;
        let findings_count = FindingsCount::of(&*disk, &Findings::new(&*paths.findings, state.findings_bytes))?;
        Ok(Self {
            preallocated_bytes: state.progress.segment_bytes,
            disk,
            paths,
            checkpoint,
            source_names,
            state,
            segment,
            table,
            table_pending: Vec::new(),
            table_bytes,
            findings,
            findings_count,
            full_segments_bytes,
            unsynced: Vec::new(),
            names_changed: true,
        })
    }

    /// Ends writing: gives back what was allocated ahead, and the state.
    pub fn finish(self) -> Result<RunState, Error> {
        self.segment.set_len(self.state.progress.segment_bytes)?;
        Ok(self.state)
    }

    fn place(&mut self, batch: &EncodedBatch) -> Result<(), Error> {
        let mut pending = 0..0;
        for extent in &batch.extents {
            let block_bytes = extent.entry.block_bytes.get();
            // Blocks that follow each other in the batch are written with one call: the range grows until a segment ends.
            if self.must_roll(self.state.progress.segment_bytes + pending.len() as u64, block_bytes) {
                self.append(&batch.bytes[pending.clone()])?;
                pending = extent.at..extent.at;
                self.roll()?;
            }
            self.enter(extent, self.state.progress.segment_bytes + pending.len() as u64);
            pending.end = extent.at + block_bytes as usize;
        }
        self.append(&batch.bytes[pending])
    }

    /// Returns true if a block does not fit behind `filled_bytes` of a segment, unless it is the segment's first: it
    /// depends on the blocks alone, not on how they are batched.
    fn must_roll(&self, filled_bytes: u64, block_bytes: u64) -> bool {
        filled_bytes > SEGMENT_HEADER_BYTES && filled_bytes + block_bytes > self.state.rules.segment_bytes_max
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (start, len) = (self.state.progress.segment_bytes, bytes.len() as u64);
        if start + len > self.preallocated_bytes {
            self.preallocate(start, PREALLOCATE_BYTES.max(len))?;
        }
        self.segment.write_all_at(start, bytes)?;
        // The device works while the next blocks are converted, so the sync of a checkpoint has little left to wait for.
        self.segment.start_writeback(start, len);
        self.state.progress.segment_bytes += len;
        Ok(())
    }

    /// Allocates space ahead. If the disk has no room for that, it may still have enough for the data itself: the rest of
    /// the segment is then written without.
    fn preallocate(&mut self, start: u64, ahead_bytes: u64) -> Result<(), Error> {
        match self.segment.preallocate(start, ahead_bytes) {
            Ok(()) => self.preallocated_bytes = start + ahead_bytes,
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                self.segment.set_len(start)?;
                self.preallocated_bytes = u64::MAX;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), Error> {
        self.segment.set_len(self.state.progress.segment_bytes)?;
        self.unsynced.push(self.segment.clone());
        self.full_segments_bytes += self.state.progress.segment_bytes;
        self.state.progress.segment += 1;
        self.state.progress.segment_bytes = SEGMENT_HEADER_BYTES;
        self.preallocated_bytes = SEGMENT_HEADER_BYTES;
        let path = segment_path(&self.paths.staging, self.state.progress.segment);
        self.segment = self.disk.create_file(&path)?;
        write_segment_header(&*self.segment, self.state.progress.segment)?;
        self.names_changed = true;
        Ok(())
    }

    fn enter(&mut self, extent: &EncodedExtent, block_offset: u64) {
        let mut entry = extent.entry;
        if entry.region.get() == 0 {
            entry.segment = U32::new(self.state.progress.segment);
            entry.block_offset = U64::new(block_offset);
        }
        self.state.progress.node_rows += u64::from(entry.node_rows.get());
        self.table_pending.extend_from_slice(entry.as_bytes());
    }

    fn flush_table(&mut self) -> Result<(), Error> {
        self.table.write_all_at(self.table_bytes, &self.table_pending)?;
        self.table_bytes += self.table_pending.len() as u64;
        self.table_pending.clear();
        Ok(())
    }

    /// Records a finding where the sequence does not continue from one extent to the next of the same file.
    fn note_sequence(&mut self, batch: &EncodedBatch) -> Result<(), Error> {
        for extent in &batch.extents {
            let file = extent.entry.source_file.get();
            if file != self.state.progress.cursor.file {
                self.state.progress.cursor.file = file;
                self.state.progress.last_sequence = None;
            }
            let Some((first, offset, last)) = extent.sequences else { continue };
            let previous = self.state.progress.last_sequence;
            if let Some(reason) = previous.and_then(|previous| sequence_gap(previous, first)) {
                let file = self.source_names[file as usize].clone();
                self.note(&Finding {
                    severity: Severity::Note,
                    file,
                    offset,
                    length: 0,
                    reason,
                    id: None,
                    sequence: Some(first),
                    related: None,
                })?;
            }
            self.state.progress.last_sequence = Some(last);
        }
        Ok(())
    }

    fn note(&mut self, finding: &Finding) -> Result<(), Error> {
        self.state.progress.fatal_findings += u64::from(finding.severity == Severity::Fatal);
        self.findings_count.add(finding.severity);
        self.findings.append(finding)
    }
}

impl Writer for StoreWriter {
    type Output = EncodedBatch;
    type Error = Error;
    type Commit = StoreCommit;

    fn write(&mut self, batch: EncodedBatch) -> Result<(), Error> {
        self.note_sequence(&batch)?;
        for finding in &batch.findings {
            self.note(finding)?;
        }
        self.place(&batch)?;
        self.state.counts.merge(&batch.counts);
        self.state.progress.source.merge(&batch.source);
        self.state.records += batch.records;
        self.state.progress.cursor = batch.after;
        Ok(())
    }

    fn commit_point(&mut self) -> Result<StoreCommit, Error> {
        self.flush_table()?;
        self.state.findings_bytes = self.findings.flush()?;
        let mut files = std::mem::take(&mut self.unsynced);
        files.extend([self.segment.clone(), self.table.clone(), self.findings.file()]);
        Ok(StoreCommit {
            disk: self.disk.clone(),
            files,
            directory: std::mem::take(&mut self.names_changed).then(|| self.paths.staging.clone()),
            checkpoint: self.checkpoint.clone(),
            state: self.state.clone(),
        })
    }

    fn counted(&self) -> Option<Counted> {
        let segments = self.full_segments_bytes + self.state.progress.segment_bytes;
        let blocks = self.table_bytes + self.table_pending.len() as u64;
        // The replay decides about rows of nodes; until then they are on their way into the store.
        let mut counts = self.state.counts;
        counts.migrated += self.state.progress.node_rows;
        Some(counted(&counts, [(SEGMENTS, segments), (BLOCKS, blocks)], &self.findings_count))
    }
}

/// Syncs what was written, then replaces the checkpoint.
pub struct StoreCommit {
    disk: Arc<dyn Disk>,
    files: Vec<Arc<dyn DiskFile>>,
    directory: Option<PathBuf>,
    checkpoint: Arc<CheckpointFile>,
    state: RunState,
}

impl Commit for StoreCommit {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        for file in &self.files {
            file.sync()?;
        }
        if let Some(directory) = &self.directory {
            self.disk.sync_directory(directory)?;
        }
        self.checkpoint.store(&*self.disk, &self.state)
    }
}

fn open_segment(disk: &dyn Disk, paths: &StagingPaths, state: &RunState) -> Result<Arc<dyn DiskFile>, Error> {
    let path = segment_path(&paths.staging, state.progress.segment);
    open_cut(disk, &path, state.progress.segment_bytes, &|file| write_segment_header(file, state.progress.segment))
}

fn write_segment_header(file: &dyn DiskFile, segment: u32) -> Result<(), DiskError> {
    file.write_all_at(0, &segment_header(segment))
}

/// Opens a staged file and cuts it to the durable length, or creates it with its header.
fn open_cut(
    disk: &dyn Disk,
    path: &std::path::Path,
    durable_bytes: u64,
    write_header: &dyn Fn(&dyn DiskFile) -> Result<(), DiskError>,
) -> Result<Arc<dyn DiskFile>, Error> {
    if disk.kind(path)?.is_none() {
        let file = disk.create_file(path)?;
        write_header(&*file)?;
        let len_bytes = file.len()?;
        return if len_bytes == durable_bytes { Ok(file) } else { Err(shorter(path, len_bytes, durable_bytes)) };
    }
    let file = disk.open_file(path)?;
    let len_bytes = file.len()?;
    if len_bytes < durable_bytes {
        return Err(shorter(path, len_bytes, durable_bytes));
    }
    file.set_len(durable_bytes)?;
    Ok(file)
}

fn shorter(path: &std::path::Path, len_bytes: u64, durable_bytes: u64) -> Error {
    Error::State {
        path: path.to_path_buf(),
        what: format!("holds {len_bytes} bytes where the checkpoint says {durable_bytes}"),
        next: "start over with --restart; the source is untouched".into(),
        damaged: true,
        source: None,
    }
}

/// Returns the bytes of the segments before this one.
fn full_segments_bytes(disk: &dyn Disk, paths: &StagingPaths, segment: u32) -> Result<u64, Error> {
    let full = (0..segment).map(|number| Ok(disk.open_for_read(&segment_path(&paths.staging, number))?.len()?));
    full.sum()
}

/// Not only those that follow on each other: a crash may have taken the name of one between.
fn remove_later_segments(disk: &dyn Disk, paths: &StagingPaths, segment: u32) -> Result<(), Error> {
    for entry in disk.list(&paths.staging)? {
        if entry.name.to_str().and_then(segment_number).is_some_and(|number| number > segment) {
            disk.remove_file(&paths.staging.join(entry.name))?;
        }
    }
    Ok(())
}
