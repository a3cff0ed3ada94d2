//! Builds `ids.index` and `marks.index` from the rows of the staged blocks: external sort, replay, merge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{
    BLOCK_HEADER_BYTES, ID_ENTRY_BYTES, IDS_MAGIC, INDEX_HEADER_BYTES, IdEntry, IndexHeader, MARK_ENTRY_BYTES,
    MARKS_MAGIC, MarkEntry, MarkKind, NO_SEGMENT, ROW_BYTES, Row,
};
use super::names::{IDS, MARKS, segment_path};
use super::record_lookup::RecordLookup;
use super::replay::{Replay, ReplaySink};
use super::replay_key::{CANDIDATE_BYTES, Candidate};
use super::table::TableReader;
use crate::durable::{Disk, DiskFile};
use crate::migration::{Error, Finding, FindingsLog, Severity, check_stop};
use crate::pipeline::{Event, Merged, Observer, SortedRuns, StopToken};
use crate::space::outcome::Counts;
use crate::space::policy::{Duplicates, Policies};

pub(in crate::space) const IDS_UNMERGED: &str = "ids.unmerged";
const REKEYED_BYTES: usize = 16 + CANDIDATE_BYTES;

/// What the index phase needs.
pub struct IndexInput<'a> {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The staged store.
    pub staging: &'a Path,
    /// An existing directory for sorted runs.
    pub scratch: PathBuf,
    /// Memory for sorting.
    pub memory_bytes: u64,
    /// The rules.
    pub policies: Policies,
    /// The source, to compare duplicates and name ids.
    pub records: &'a RecordLookup<'a>,
    /// Ends the phase early.
    pub stop: &'a StopToken,
    /// Receives the progress.
    pub observer: &'a dyn Observer,
}

/// What the index phase found.
#[derive(Debug, Clone)]
pub struct IndexOutcome {
    /// Outcomes of all node rows.
    pub counts: Counts,
    /// Findings under a policy `fail`.
    pub fatal_findings: u64,
}

/// Builds both indexes.
///
/// # Errors
/// [`Error::Stopped`] if a stop was requested.
pub fn build(input: &IndexInput<'_>, findings: &mut FindingsLog) -> Result<IndexOutcome, Error> {
    let mut candidates = collect(input)?;
    let mut sink = IndexSink::new(input, findings)?;
    let mut replay = Replay::new(input.policies, input.records, &mut sink);
    while let Some(key) = candidates.next()? {
        check_stop(input.stop)?;
        replay.push(Candidate::decode(&key))?;
    }
    let counts = replay.finish()?;
    let fatal_findings = sink.finish(input)?;
    Ok(IndexOutcome { counts, fatal_findings })
}

/// Reads the rows of every block and sorts them into the order of the replay.
fn collect(input: &IndexInput<'_>) -> Result<Merged<CANDIDATE_BYTES>, Error> {
    let mut runs =
        SortedRuns::new(input.disk.clone(), input.scratch.join("ids"), input.memory_bytes / 32).stopped_by(input.stop);
    let table = TableReader::open(&*input.disk, input.staging)?;
    let mut segment: Option<(u32, Arc<dyn DiskFile>)> = None;
    let mut rows = Vec::new();
    for (block, entry) in table.entries().enumerate() {
        let entry = entry?;
        check_stop(input.stop)?;
        let number = entry.segment.get();
        if number == NO_SEGMENT {
            continue;
        }
        if segment.as_ref().is_none_or(|(open, _)| *open != number) {
            segment = Some((number, input.disk.open_for_read(&segment_path(input.staging, number))?));
        }
        let (_, file) = segment.as_ref().expect("opened above");
        let row_count = entry.node_rows.get() + entry.other_rows.get();
        rows.resize(row_count as usize * ROW_BYTES, 0);
        // Only the rows are read: the embeddings, nine tenths of a block, decide nothing here.
        file.read_exact_at(entry.block_offset.get() + BLOCK_HEADER_BYTES as u64, &mut rows)?;
        let parsed = <[Row]>::ref_from_bytes(&rows).expect("the length is a multiple of a row's");
        for (row_number, row) in parsed.iter().enumerate() {
            let candidate = Candidate::from_row(row, entry.source_file.get(), block as u64, row_number as u32);
            if let Some(candidate) = candidate {
                runs.push(candidate.encode(input.policies.duplicates))?;
            }
        }
        input.observer.observe(&Event::Progressed {
            records: u64::from(row_count),
            source_bytes: entry.source_bytes.get(),
            budget_in_use_bytes: runs.resident_bytes(),
        });
    }
    Ok(runs.finish()?)
}

struct IndexSink<'a> {
    ids: EntryFile,
    marks: SortedRuns<MARK_ENTRY_BYTES>,
    rekeyed: SortedRuns<REKEYED_BYTES>,
    rekeyed_count: u64,
    findings: &'a mut FindingsLog,
    fatal_findings: u64,
}

impl<'a> IndexSink<'a> {
    fn new(input: &IndexInput<'_>, findings: &'a mut FindingsLog) -> Result<Self, Error> {
        let share = input.memory_bytes / 64;
        Ok(Self {
            ids: EntryFile::create(&*input.disk, &input.staging.join(IDS), IDS_MAGIC, ID_ENTRY_BYTES)?,
            marks: SortedRuns::new(input.disk.clone(), input.scratch.join("marks"), share).stopped_by(input.stop),
            rekeyed: SortedRuns::new(input.disk.clone(), input.scratch.join("rekeyed"), share).stopped_by(input.stop),
            rekeyed_count: 0,
            findings,
            fatal_findings: 0,
        })
    }

    fn finish(mut self, input: &IndexInput<'_>) -> Result<u64, Error> {
        self.ids.finish()?;
        let mut marks = EntryFile::create(&*input.disk, &input.staging.join(MARKS), MARKS_MAGIC, MARK_ENTRY_BYTES)?;
        let mut sorted = std::mem::replace(&mut self.marks, SortedRuns::in_memory()).finish()?;
        while let Some(key) = sorted.next()? {
            check_stop(input.stop)?;
            marks.push(decode_mark(&key).as_bytes())?;
        }
        marks.finish()?;
        if self.rekeyed_count > 0 {
            self.merge_rekeyed(input)?;
        }
        Ok(self.fatal_findings)
    }

    /// Puts the rekeyed nodes at their places. An id that is taken already is a finding.
    fn merge_rekeyed(&mut self, input: &IndexInput<'_>) -> Result<(), Error> {
        let (ids, unmerged) = (input.staging.join(IDS), input.staging.join(IDS_UNMERGED));
        input.disk.rename(&ids, &unmerged)?;
        let mut rekeyed = std::mem::replace(&mut self.rekeyed, SortedRuns::in_memory()).finish()?;
        let mut out = EntryFile::create(&*input.disk, &ids, IDS_MAGIC, ID_ENTRY_BYTES)?;
        let mut plain = EntryStream::open(&*input.disk, &unmerged, ID_ENTRY_BYTES)?;
        let mut next_plain = plain.next()?;
        let mut last: Option<[u8; 16]> = None;
        while let Some(key) = rekeyed.next()? {
            check_stop(input.stop)?;
            let (uuid, candidate) = decode_rekeyed(&key);
            while let Some(bytes) = next_plain.filter(|bytes| bytes[..16] <= uuid[..]) {
                check_stop(input.stop)?;
                out.push(&bytes)?;
                last = Some(bytes[..16].try_into().expect("16 bytes"));
                next_plain = plain.next()?;
            }
            if last == Some(uuid) {
                self.report_taken(input, &candidate, uuid)?;
            }
            out.push(id_entry(&candidate, uuid, 1).as_bytes())?;
            last = Some(uuid);
        }
        while let Some(bytes) = next_plain {
            check_stop(input.stop)?;
            out.push(&bytes)?;
            next_plain = plain.next()?;
        }
        out.finish()?;
        Ok(input.disk.remove_file(&unmerged)?)
    }

    fn report_taken(&mut self, input: &IndexInput<'_>, candidate: &Candidate, uuid: [u8; 16]) -> Result<(), Error> {
        self.finding(Finding {
            severity: Severity::Fatal,
            file: input.records.file_name(candidate.file).to_owned(),
            offset: candidate.offset,
            length: input.records.total_bytes(candidate)?,
            reason: format!("the rekeyed node id {} is taken too", uuid::Uuid::from_bytes(uuid)),
            id: Some(input.records.id_of(candidate)?),
            sequence: Some(candidate.sequence),
            related: None,
        })
    }
}

impl ReplaySink for IndexSink<'_> {
    fn live(&mut self, candidate: &Candidate, rekeyed: Option<[u8; 16]>) -> Result<(), Error> {
        let Some(uuid) = rekeyed else {
            return self.ids.push(id_entry(candidate, candidate.uuid, 0).as_bytes());
        };
        self.rekeyed_count += 1;
        self.rekeyed.push(encode_rekeyed(&uuid, candidate))?;
        Ok(self.marks.push(encode_mark(candidate, MarkKind::Rekeyed, &uuid))?)
    }

    fn mark(&mut self, candidate: &Candidate, kind: MarkKind) -> Result<(), Error> {
        Ok(self.marks.push(encode_mark(candidate, kind, &[0; 16]))?)
    }

    fn finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.fatal_findings += u64::from(finding.severity == Severity::Fatal);
        self.findings.append(&finding)
    }
}

fn id_entry(candidate: &Candidate, uuid: [u8; 16], rekeyed: u32) -> IdEntry {
    IdEntry { uuid, block: U64::new(candidate.block), row: U32::new(candidate.row), rekeyed: U32::new(rekeyed) }
}

/// Returns the sort key of a mark: block, row, kind, all big-endian.
fn encode_mark(candidate: &Candidate, kind: MarkKind, uuid: &[u8; 16]) -> [u8; MARK_ENTRY_BYTES] {
    let mut key = [0; MARK_ENTRY_BYTES];
    key[..8].copy_from_slice(&candidate.block.to_be_bytes());
    key[8..12].copy_from_slice(&candidate.row.to_be_bytes());
    key[12..16].copy_from_slice(&(kind as u32).to_be_bytes());
    key[16..].copy_from_slice(uuid);
    key
}

fn decode_mark(key: &[u8; MARK_ENTRY_BYTES]) -> MarkEntry {
    let word = |at: usize| U32::new(u32::from_be_bytes(key[at..at + 4].try_into().expect("4 bytes")));
    MarkEntry {
        block: U64::new(u64::from_be_bytes(key[..8].try_into().expect("8 bytes"))),
        row: word(8),
        kind: word(12),
        uuid: key[16..].try_into().expect("16 bytes"),
    }
}

/// Returns the sort key of a rekeyed node: its new id, then its candidate.
fn encode_rekeyed(uuid: &[u8; 16], candidate: &Candidate) -> [u8; REKEYED_BYTES] {
    let mut key = [0; REKEYED_BYTES];
    key[..16].copy_from_slice(uuid);
    key[16..].copy_from_slice(&candidate.encode(Duplicates::Engram));
    key
}

/// Returns the new id and the candidate.
fn decode_rekeyed(key: &[u8; REKEYED_BYTES]) -> ([u8; 16], Candidate) {
    let uuid = key[..16].try_into().expect("16 bytes");
    (uuid, Candidate::decode(key[16..].try_into().expect("the rest is a candidate")))
}

/// A file of fixed-width entries behind an index header, written front to back.
struct EntryFile {
    file: Arc<dyn DiskFile>,
    pending: Vec<u8>,
    written_bytes: u64,
}

impl EntryFile {
    const CHUNK_BYTES: usize = 1 << 20;

    fn create(disk: &dyn Disk, path: &Path, magic: [u8; 8], entry_bytes: usize) -> Result<Self, Error> {
        if disk.kind(path)?.is_some() {
            disk.remove_file(path)?;
        }
        let pending = IndexHeader::new(magic, entry_bytes).as_bytes().to_vec();
        Ok(Self { file: disk.create_file(path)?, pending, written_bytes: 0 })
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), Error> {
        self.pending.extend_from_slice(entry);
        if self.pending.len() >= Self::CHUNK_BYTES { self.write_pending() } else { Ok(()) }
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.written_bytes, &self.pending)?;
        self.file.start_writeback(self.written_bytes, self.pending.len() as u64);
        self.written_bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the rest and makes the bytes durable.
    fn finish(&mut self) -> Result<(), Error> {
        self.write_pending()?;
        Ok(self.file.sync()?)
    }
}

/// The entries of such a file, front to back.
struct EntryStream {
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl EntryStream {
    fn open(disk: &dyn Disk, path: &Path, entry_bytes: usize) -> Result<Self, Error> {
        let file = disk.open_for_read(path)?;
        let end = file.len()?;
        debug_assert_eq!((end - INDEX_HEADER_BYTES) % entry_bytes as u64, 0);
        Ok(Self { file, at: INDEX_HEADER_BYTES, end, buffer: Vec::new(), used: 0 })
    }

    fn next(&mut self) -> Result<Option<[u8; ID_ENTRY_BYTES]>, Error> {
        if self.used == self.buffer.len() {
            let more = (self.end - self.at).min((ID_ENTRY_BYTES * 4096) as u64);
            if more == 0 {
                return Ok(None);
            }
            self.buffer.resize(more as usize, 0);
            self.file.read_exact_at(self.at, &mut self.buffer)?;
            self.at += more;
            self.used = 0;
        }
        let entry = self.buffer[self.used..self.used + ID_ENTRY_BYTES].try_into().expect("whole entries");
        self.used += ID_ENTRY_BYTES;
        Ok(Some(entry))
    }
}
