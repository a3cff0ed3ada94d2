//! Converts a batch of log records into encoded blocks: checks every payload, fills the rows, hashes source and block.

use std::sync::Arc;

use zerocopy::byteorder::little_endian::{F32, I64, U32, U64};

use crate::durable::SourceFile;
use crate::migration::{Error, Finding, Severity, SourceBytes};
use crate::pipeline::{Buffer, BufferPool, Converter, StopToken};
use crate::space::log::bincode_reader::DecodeError;
use crate::space::log::episode::{EpisodeView, RangeCheck};
use crate::space::log::extent::{Content, Extent, Frame, Region, RegionKind};
use crate::space::log::memory::MemoryView;
use crate::space::log::node_id::{id_digest, node_id};
use crate::space::log::reader::{Batch, Cursor};
use crate::space::log::source::hash_range;
use crate::space::log::wal::{EntryKind, HEADER_BYTES};
use crate::space::outcome::{Counts, Outcome, RefusalReason, SkipReason};
use crate::space::policy::{Corruption, OutOfRange, Policies, TornTail, Undecodable, Updates};
use crate::space::store::block::{Entry, Origin, block_bytes_max, encode_block};
use crate::space::store::layout::{
    BLOCK_REBUILDS_SOURCE, DIGEST_BYTES, NO_CONTENT, NO_SEGMENT, NODE_TYPE_EPISODE, NOTE_HEADER_BYTES, NOTE_NON_FINITE,
    NOTE_OUT_OF_RANGE, NOTE_REPEATED_KEY, NOTE_TIME_FORM, NOTE_TRAILING_BYTES, NOTE_UNKNOWN_TYPE, Row, RowKind,
    TableEntry,
};
use crate::space::store::node::clamp_unit;

/// One extent, encoded: its table entry (segment and offset are set by the writer) and where its block lies in the
/// batch's buffer.
#[derive(Debug, Clone, Copy)]
pub struct EncodedExtent {
    /// The entry.
    pub entry: TableEntry,
    /// Offset of the block in [`EncodedBatch::bytes`].
    pub at: usize,
    /// Sequence number and offset of the first record, and the last sequence number.
    pub sequences: Option<(u64, u64, u64)>,
}

/// What the writer takes.
pub struct EncodedBatch {
    /// The blocks, back to back.
    pub bytes: Buffer,
    /// The extents in source order.
    pub extents: Vec<EncodedExtent>,
    /// What was unusual, in source order.
    pub findings: Vec<Finding>,
    /// Records whose outcome is decided. Node rows and deletions are decided by the replay.
    pub counts: Counts,
    /// Records framed.
    pub records: u64,
    /// Source bytes by kind.
    pub source: SourceBytes,
    /// Where the source continues.
    pub after: Cursor,
}

/// The converter of a space.
pub struct LogConverter {
    policies: Policies,
    names: Arc<Vec<String>>,
    pool: BufferPool,
    stop: StopToken,
}

impl LogConverter {
    /// Returns a converter under these policies; `names` are those of the source files. A stop ends it within an extent.
    pub fn new(policies: Policies, names: Arc<Vec<String>>, stop: &StopToken) -> Self {
        Self { policies, names, pool: BufferPool::new(usize::MAX), stop: stop.clone() }
    }
}

impl Converter for LogConverter {
    type Batch = Batch;
    type Output = EncodedBatch;
    type Scratch = ();
    type Error = Error;

    fn convert(&self, _scratch: &mut (), batch: Batch) -> Result<EncodedBatch, Error> {
        let bytes = self.pool.take(batch.extents.iter().map(encoded_bytes_max).sum());
        let mut conversion = BatchConversion {
            policies: &self.policies,
            file_name: &self.names[batch.file_number as usize],
            file_number: batch.file_number,
            bytes,
            extents: Vec::with_capacity(batch.extents.len()),
            findings: Vec::new(),
            counts: Counts::default(),
            source: SourceBytes::default(),
        };
        let first = batch.after.extent - batch.extents.len() as u64;
        for (number, extent) in (first..).zip(&batch.extents) {
            match &extent.content {
                Content::Frames(frames) => conversion.frames(extent, frames, batch.bytes_of(extent), number),
                Content::Region(region) => conversion.region(&batch.file, extent, region, &self.stop)?,
            }
        }
        Ok(EncodedBatch {
            bytes: conversion.bytes,
            records: batch.extents.iter().map(Extent::records).sum(),
            extents: conversion.extents,
            findings: conversion.findings,
            counts: conversion.counts,
            source: conversion.source,
            after: batch.after,
        })
    }
}

/// What is unusual about a payload that decodes.
struct Oddities {
    trailing_bytes: bool,
    repeated_key: bool,
    non_finite: bool,
    foreign_timestamp: bool,
    out_of_range: Option<DecodeError>,
}

struct BatchConversion<'a> {
    policies: &'a Policies,
    file_name: &'a str,
    file_number: u32,
    bytes: Buffer,
    extents: Vec<EncodedExtent>,
    findings: Vec<Finding>,
    counts: Counts,
    source: SourceBytes,
}

impl BatchConversion<'_> {
    fn frames(&mut self, extent: &Extent, frames: &[Frame], bytes: &[u8], number: u64) {
        let mut nodes = Vec::with_capacity(frames.len());
        let mut others = Vec::new();
        for frame in frames {
            let start = (frame.offset - extent.start) as usize + HEADER_BYTES;
            let payload = &bytes[start..start + frame.header.payload_len_bytes as usize];
            match self.record(frame, payload) {
                Some(row) if row.kind.get() <= RowKind::Memory as u32 => nodes.push(Entry { row, payload }),
                Some(row) => others.push(Entry { row, payload }),
                None => {}
            }
        }
        let complete =
            nodes.len() + others.len() == frames.len() && !frames.iter().any(|frame| frame.header.has_extra_bytes());
        let origin = Origin {
            block: number,
            source_file: self.file_number,
            source_offset: extent.start,
            source_bytes: extent.len_bytes,
            source_digest: *blake3::hash(bytes).as_bytes(),
            flags: if complete { BLOCK_REBUILDS_SOURCE } else { 0 },
        };
        let at = self.bytes.len();
        let digest = encode_block(&mut self.bytes, &origin, &nodes, &others);
        self.note_sequence_gaps(frames);
        self.source.framed += extent.len_bytes;
        self.source.total += extent.len_bytes;
        self.extents.push(EncodedExtent {
            entry: TableEntry {
                segment: U32::new(0),
                source_file: U32::new(self.file_number),
                block_offset: U64::new(0),
                block_bytes: U64::new((self.bytes.len() - at) as u64),
                source_offset: U64::new(extent.start),
                source_bytes: U64::new(extent.len_bytes),
                node_rows: U32::new(nodes.len() as u32),
                other_rows: U32::new(others.len() as u32),
                region: U32::new(0),
                reserved: [0; 12],
                block_digest: digest,
                source_digest: origin.source_digest,
            },
            at,
            sequences: frames
                .first()
                .zip(frames.last())
                .map(|(first, last)| (first.header.sequence, first.offset, last.header.sequence)),
        });
    }

    fn note_sequence_gaps(&mut self, frames: &[Frame]) {
        for pair in frames.windows(2) {
            if let Some(reason) = sequence_gap(pair[0].header.sequence, pair[1].header.sequence) {
                let mut finding = self.finding(Severity::Note, &pair[1], reason);
                finding.length = 0;
                self.findings.push(finding);
            }
        }
    }

    fn region(&mut self, file: &SourceFile, extent: &Extent, region: &Region, stop: &StopToken) -> Result<(), Error> {
        self.source.total += extent.len_bytes;
        match region.kind {
            RegionKind::TornTail => self.source.torn_tail += extent.len_bytes,
            RegionKind::ZeroTail => self.source.zero_tail += extent.len_bytes,
            RegionKind::Damaged => self.source.damaged += extent.len_bytes,
        }
        let severity = match region.kind {
            RegionKind::Damaged if self.policies.corruption == Corruption::Fail => Severity::Fatal,
            RegionKind::Damaged => Severity::Refused,
            _ if self.policies.torn_tail == TornTail::Fail => Severity::Fatal,
            _ => Severity::Note,
        };
        self.findings.push(Finding {
            severity,
            file: self.file_name.to_owned(),
            offset: extent.start,
            length: extent.len_bytes,
            reason: region.reason.to_owned(),
            id: None,
            sequence: None,
            related: None,
        });
        self.extents.push(EncodedExtent {
            entry: TableEntry {
                segment: U32::new(NO_SEGMENT),
                source_file: U32::new(self.file_number),
                block_offset: U64::new(0),
                block_bytes: U64::new(0),
                source_offset: U64::new(extent.start),
                source_bytes: U64::new(extent.len_bytes),
                node_rows: U32::new(0),
                other_rows: U32::new(0),
                region: U32::new(region.kind as u32),
                reserved: [0; 12],
                block_digest: [0; DIGEST_BYTES],
                source_digest: hash_range(file, extent.start, extent.len_bytes, stop)?,
            },
            at: self.bytes.len(),
            sequences: None,
        });
        Ok(())
    }

    /// Returns the row of a record, or `None` if it is refused.
    fn record(&mut self, frame: &Frame, payload: &[u8]) -> Option<Row> {
        if crc32c::crc32c(payload) != frame.header.payload_crc {
            let fatal = self.policies.corruption == Corruption::Fail;
            return self.refuse(frame, RefusalReason::Corrupt, fatal, "payload checksum mismatch".into());
        }
        if frame.header.has_extra_bytes() {
            self.note(frame, "reserved or pad bytes of the header are not zero".into());
        }
        match EntryKind::from_number(frame.header.entry_type) {
            EntryKind::Store => self.episode(frame, payload, 0),
            EntryKind::Unknown(number) => {
                self.note(frame, format!("unknown entry type {number}, read as an episode as Engram does"));
                self.episode(frame, payload, NOTE_UNKNOWN_TYPE)
            }
            EntryKind::Update if self.policies.updates == Updates::Import => self.memory(frame, payload),
            EntryKind::Update => {
                self.note(frame, "memory update not applied".into());
                self.counts.add(Outcome::Skipped(SkipReason::UpdateNotApplied));
                Some(base_row(frame, RowKind::Update))
            }
            EntryKind::Delete => self.delete(frame, payload),
            EntryKind::Consolidation | EntryKind::Checkpoint | EntryKind::Compaction => {
                self.note(frame, format!("control record of type {}", frame.header.entry_type));
                self.counts.add(Outcome::Skipped(SkipReason::Control));
                Some(base_row(frame, RowKind::Control))
            }
        }
    }

    fn episode(&mut self, frame: &Frame, payload: &[u8], notes: u32) -> Option<Row> {
        let view = match EpisodeView::parse(payload, RangeCheck::Keep) {
            Ok(view) => view,
            Err(error) => {
                let fatal = self.policies.undecodable == Undecodable::Fail;
                return self.refuse(frame, RefusalReason::Undecodable, fatal, format!("undecodable episode: {error}"));
            }
        };
        let oddities = Oddities {
            trailing_bytes: view.used_len_bytes < payload.len(),
            repeated_key: view.has_repeated_key(),
            non_finite: view.has_non_finite_embedding(),
            foreign_timestamp: view.has_foreign_timestamp(),
            out_of_range: view.out_of_range,
        };
        let notes = notes | self.judge(frame, view.id, &oddities)?;
        let mut row = base_row(frame, RowKind::Episode);
        let strength = F32::new(clamp_unit(f32::from_bits(view.encoding_confidence_bits)));
        fill_id(&mut row, view.id);
        row.created_at_seconds = I64::new(view.when.time.seconds);
        row.created_at_nanos = U32::new(view.when.time.nanos);
        row.last_access_seconds = I64::new(view.last_recall.time.seconds);
        row.last_access_nanos = U32::new(view.last_recall.time.nanos);
        row.strength = strength;
        row.activation = strength;
        row.confidence = F32::new(f32::from_bits(view.encoding_confidence_bits));
        row.access_count = U64::new(u64::from(view.recall_count));
        row.embedding_offset = U32::new(view.embedding_offset as u32);
        row.content_offset = U32::new(offset_within(payload, view.what) as u32);
        row.content_bytes = U32::new(view.what.len() as u32);
        row.notes = U32::new(row.notes.get() | notes);
        Some(row)
    }

    fn memory(&mut self, frame: &Frame, payload: &[u8]) -> Option<Row> {
        let view = match MemoryView::parse(payload, RangeCheck::Keep) {
            Ok(view) => view,
            Err(error) => {
                let fatal = self.policies.undecodable == Undecodable::Fail;
                return self.refuse(frame, RefusalReason::Undecodable, fatal, format!("undecodable memory: {error}"));
            }
        };
        let oddities = Oddities {
            trailing_bytes: view.used_len_bytes < payload.len(),
            repeated_key: view.has_repeated_key(),
            non_finite: view.has_non_finite_embedding(),
            foreign_timestamp: view.has_foreign_timestamp(),
            out_of_range: view.out_of_range,
        };
        let notes = self.judge(frame, view.id, &oddities)?;
        let mut row = base_row(frame, RowKind::Memory);
        fill_id(&mut row, view.id);
        row.created_at_seconds = I64::new(view.created_at.time.seconds);
        row.created_at_nanos = U32::new(view.created_at.time.nanos);
        row.last_access_seconds = I64::new(view.last_access.time.seconds);
        row.last_access_nanos = U32::new(view.last_access.time.nanos);
        row.confidence = F32::new(f32::from_bits(view.confidence_bits));
        row.access_count = U64::new(view.access_count);
        row.embedding_offset = U32::new(view.embedding_offset as u32);
        if let Some(content) = view.content {
            // The content stands behind the embedding, which the heap entry leaves out.
            let at = offset_within(payload, content) - crate::space::store::layout::EMBEDDING_BYTES;
            row.content_offset = U32::new(at as u32);
            row.content_bytes = U32::new(content.len() as u32);
        } else {
            row.content_bytes = U32::new(NO_CONTENT);
        }
        row.notes = U32::new(row.notes.get() | notes);
        Some(row)
    }

    fn delete(&mut self, frame: &Frame, payload: &[u8]) -> Option<Row> {
        let Ok(id) = std::str::from_utf8(payload) else {
            let fatal = self.policies.undecodable == Undecodable::Fail;
            let reason = "undecodable deletion: id is not UTF-8".to_owned();
            return self.refuse(frame, RefusalReason::Undecodable, fatal, reason);
        };
        self.counts.add(Outcome::Skipped(SkipReason::DeleteEntry));
        let mut row = base_row(frame, RowKind::Delete);
        fill_id(&mut row, id);
        Some(row)
    }

    /// Returns the note bits of a record that decodes; `None` if a value is out of range and that is refused.
    fn judge(&mut self, frame: &Frame, id: &str, oddities: &Oddities) -> Option<u32> {
        let mut notes = 0;
        if let Some(violation) = &oddities.out_of_range {
            if self.policies.out_of_range != OutOfRange::Keep {
                let fatal = self.policies.out_of_range == OutOfRange::Fail;
                return self.refuse(frame, RefusalReason::OutOfRange, fatal, format!("out of range: {violation}"));
            }
            notes |= NOTE_OUT_OF_RANGE;
            self.note_about(frame, id, format!("out of range, exact bits kept: {violation}"));
        }
        let texts = [
            (oddities.trailing_bytes, NOTE_TRAILING_BYTES, "bytes after the decoded payload, kept"),
            (oddities.repeated_key, NOTE_REPEATED_KEY, "repeated metadata key, all pairs kept"),
            (oddities.non_finite, NOTE_NON_FINITE, "NaN or infinity in the embedding, kept"),
            (
                oddities.foreign_timestamp,
                NOTE_TIME_FORM,
                "timestamp not in the form that Engram writes, exact text kept",
            ),
        ];
        for (present, bit, text) in texts {
            if present {
                notes |= bit;
                self.note_about(frame, id, text.to_owned());
            }
        }
        Some(notes)
    }

    fn note_about(&mut self, frame: &Frame, id: &str, text: String) {
        let mut finding = self.finding(Severity::Note, frame, text);
        finding.id = Some(id.to_owned());
        self.findings.push(finding);
    }

    fn refuse<T>(&mut self, frame: &Frame, reason: RefusalReason, fatal: bool, text: String) -> Option<T> {
        self.counts.add(Outcome::Refused(reason));
        let severity = if fatal { Severity::Fatal } else { Severity::Refused };
        let finding = self.finding(severity, frame, text);
        self.findings.push(finding);
        None
    }

    fn note(&mut self, frame: &Frame, text: String) {
        let finding = self.finding(Severity::Note, frame, text);
        self.findings.push(finding);
    }

    fn finding(&self, severity: Severity, frame: &Frame, reason: String) -> Finding {
        Finding {
            severity,
            file: self.file_name.to_owned(),
            offset: frame.offset,
            length: frame.total_bytes(),
            reason,
            id: None,
            sequence: Some(frame.header.sequence),
            related: None,
        }
    }
}

/// Upper bound of the block made from an extent.
fn encoded_bytes_max(extent: &Extent) -> usize {
    match &extent.content {
        Content::Frames(frames) => block_bytes_max(frames.len(), extent.len_bytes as usize),
        Content::Region(_) => 0,
    }
}

/// Returns the finding for a `next` that does not follow `previous`.
pub fn sequence_gap(previous: u64, next: u64) -> Option<String> {
    (previous.checked_add(1) != Some(next)).then(|| format!("sequence goes from {previous} to {next}"))
}

fn base_row(frame: &Frame, kind: RowKind) -> Row {
    Row {
        uuid: [0; 16],
        id_digest: [0; 16],
        sequence: U64::new(frame.header.sequence),
        source_offset: U64::new(frame.offset),
        wal_timestamp_ns: U64::new(frame.header.timestamp_ns),
        entry_type: U32::new(frame.header.entry_type),
        payload_bytes: U32::new(frame.header.payload_len_bytes),
        payload_crc: U32::new(frame.header.payload_crc),
        kind: U32::new(kind as u32),
        created_at_seconds: I64::new(0),
        last_access_seconds: I64::new(0),
        created_at_nanos: U32::new(0),
        last_access_nanos: U32::new(0),
        strength: F32::new(0.0),
        activation: F32::new(0.0),
        confidence: F32::new(0.0),
        consolidation_score: F32::new(0.0),
        access_count: U64::new(0),
        heap_offset: U32::new(0),
        heap_bytes: U32::new(0),
        embedding_offset: U32::new(0),
        id_bytes: U32::new(0),
        content_offset: U32::new(0),
        content_bytes: U32::new(NO_CONTENT),
        node_type: U32::new(NODE_TYPE_EPISODE),
        notes: U32::new(flag(frame.header.has_extra_bytes(), NOTE_HEADER_BYTES)),
        reserved: [0; 8],
    }
}

fn fill_id(row: &mut Row, id: &str) {
    row.uuid = *node_id(id).as_bytes();
    row.id_digest = id_digest(id);
    row.id_bytes = U32::new(id.len() as u32);
}

fn flag(condition: bool, bit: u32) -> u32 {
    if condition { bit } else { 0 }
}

/// Returns the offset of `part`, a slice of `whole`, in it.
fn offset_within(whole: &[u8], part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}
