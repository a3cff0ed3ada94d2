//! Finds one node, in whichever format is live.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::current_store::live_store;
use super::log::bincode_reader::{Cursor, DecodeError, RangeCheck};
use super::log::episode::EpisodeView;
use super::log::extent::{Content, Frame};
use super::log::memory::MemoryView;
use super::log::node_id::{id_digest, node_id, spells_uuid, uuid_v5_of};
use super::log::reader::Batch;
use super::log::source::WalSource;
use super::log::wal::{EntryKind, HEADER_BYTES, WalHeader};
use super::log_pass::scan;
use super::migrate::plan::check_directory;
use super::options::MigrateOptions;
use super::paths::SpacePaths;
use super::policy::{Collisions, OutOfRange, Policies, Updates};
use super::store::layout::{MarkKind, RowKind};
use super::store::names::POINTER_TO_LOG;
use super::store::node::DualMemoryNode;
use super::store::node_document::{NodeDocument, PositionDocument};
use super::store::reader::{DualSpace, FoundNode};
use super::store::record_lookup::RecordLookup;
use super::store::replay::{Replay, ReplaySink};
use super::store::replay_key::Candidate;
use crate::durable::{Disk, ReaderKind};
use crate::migration::{Error, Finding};
use crate::pipeline::{Control, Silent, StopToken};

/// Memory for the windows of the log.
const SCAN_BUDGET_BYTES: u64 = 128 << 20;

/// Returns the live node whose string id is `id_or_uuid`, else the one whose node id it spells. `None` if there is
/// neither.
///
/// Reads the store if one is live, else the whole log, whose live records follow from `policies` as in a migration: what
/// a policy `fail` or `skip` would leave out is not found.
pub fn get(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    id_or_uuid: &str,
    policies: Policies,
    reader: ReaderKind,
) -> Result<Option<NodeDocument>, Error> {
    if let Some(name) = live_store(&*disk, paths)? {
        return in_store(&DualSpace::open_on(disk, &paths.store(&name))?, &name, id_or_uuid);
    }
    check_directory(paths.root())?;
    let source = Arc::new(WalSource::open(&paths.log(), reader)?);
    let options = MigrateOptions { policies, reader, memory_budget_bytes: SCAN_BUDGET_BYTES, ..Default::default() };
    let found = LogSearch { source: &source, options: &options }.find(id_or_uuid)?;
    source.check_unchanged()?;
    Ok(found)
}

fn in_store(store: &DualSpace, name: &str, wanted: &str) -> Result<Option<NodeDocument>, Error> {
    let mut found = store.get_by_episode_id(wanted)?;
    if found.is_none() && spells_uuid(wanted) {
        found = store.get(&node_id(wanted))?;
    }
    found.map(|found| store_document(store, name, &found)).transpose()
}

fn store_document(store: &DualSpace, name: &str, found: &FoundNode) -> Result<NodeDocument, Error> {
    let node = found.node();
    let (row, header) = (node.row(), found.block().header());
    let file = store.manifest().sources.get(header.source_file.get() as usize);
    let position = PositionDocument {
        file: file.map(|file| file.name.clone()).unwrap_or_default(),
        offset: row.source_offset.get(),
        sequence: row.sequence.get(),
        entry_type: row.entry_type.get(),
        timestamp_ns: row.wal_timestamp_ns.get(),
    };
    document(name, node.kind(), &node.to_node(found.id), &node.payload(), position).map_err(|error| Error::Corrupt {
        path: store.directory().to_path_buf(),
        offset: 0,
        what: format!("block {} row {}: the payload does not decode: {error};", header.block.get(), node.number()),
        next: "run `haul space verify --full`".into(),
    })
}

fn document(
    format: &str,
    kind: RowKind,
    node: &DualMemoryNode,
    payload: &[u8],
    position: PositionDocument,
) -> Result<NodeDocument, DecodeError> {
    match kind {
        RowKind::Memory => NodeDocument::of_memory(format.to_owned(), node, payload, position),
        _ => NodeDocument::of_episode(format.to_owned(), node, payload, position),
    }
}

/// A live record of the log, and the id that it is live under.
#[derive(Clone, Copy)]
struct LiveRecord {
    candidate: Candidate,
    id: Uuid,
}

struct LogSearch<'a> {
    source: &'a Arc<WalSource>,
    options: &'a MigrateOptions,
}

impl LogSearch<'_> {
    fn find(&self, wanted: &str) -> Result<Option<NodeDocument>, Error> {
        let group = node_id(wanted);
        let (candidates, rekeyed_from) = self.collect(&Interest {
            group,
            // Only a node that was rekeyed to the wanted id has it without belonging to its group.
            rekeyed_to: (spells_uuid(wanted) && self.options.policies.collisions == Collisions::Rekey).then_some(group),
        })?;
        let live = self.resolve(candidates)?;
        let digest = id_digest(wanted);
        let by_text = live.iter().find(|record| record.candidate.id_digest == digest);
        let by_node_id = || live.iter().find(|record| spells_uuid(wanted) && record.id == group);
        if let Some(record) = by_text.or_else(by_node_id) {
            return self.document(record).map(Some);
        }
        for other in rekeyed_from {
            let (candidates, _) = self.collect(&Interest { group: other, rekeyed_to: None })?;
            if let Some(record) = self.resolve(candidates)?.iter().find(|record| record.id == group) {
                return self.document(record).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the candidates of a group, and the groups of which a node may have been rekeyed to the wanted id.
    fn collect(&self, interest: &Interest) -> Result<(Vec<Candidate>, BTreeSet<Uuid>), Error> {
        let (mut candidates, mut others) = (Vec::new(), BTreeSet::new());
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let policies = &self.options.policies;
        let look = |batch: &Batch| Ok(interest.candidates(batch, policies));
        scan(self.source, policies.corruption, self.options, &control, look, |found: Vec<Candidate>| {
            for candidate in found {
                if candidate.uuid == *interest.group.as_bytes() {
                    candidates.push(candidate);
                } else {
                    others.insert(Uuid::from_bytes(candidate.uuid));
                }
            }
            Ok(())
        })?;
        Ok((candidates, others))
    }

    /// Returns the live ones of all candidates of a group.
    fn resolve(&self, mut candidates: Vec<Candidate>) -> Result<Vec<LiveRecord>, Error> {
        let policies = self.options.policies;
        candidates.sort_by_cached_key(|candidate| candidate.encode(policies.duplicates));
        let lookup = RecordLookup::new(self.source);
        let mut live = LiveRecords::default();
        let mut replay = Replay::new(policies, &lookup, &mut live);
        for candidate in candidates {
            replay.push(candidate)?;
        }
        replay.finish()?;
        Ok(live.0)
    }

    fn document(&self, record: &LiveRecord) -> Result<NodeDocument, Error> {
        let candidate = &record.candidate;
        let file = &self.source.files()[candidate.file as usize];
        let changed = |what: String| Error::SourceChanged { path: file.path().to_path_buf(), what };
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(candidate.offset, &mut bytes)?;
        let header =
            WalHeader::parse(&bytes).map_err(|_| changed(format!("no record at offset {}", candidate.offset)))?;
        let payload = RecordLookup::new(self.source).payload(candidate)?;
        let position = PositionDocument {
            file: self.source.names()[candidate.file as usize].clone(),
            offset: candidate.offset,
            sequence: header.sequence,
            entry_type: header.entry_type,
            timestamp_ns: header.timestamp_ns,
        };
        node_of(candidate.kind, &payload)
            .and_then(|mut node| {
                node.id = record.id;
                document(POINTER_TO_LOG, candidate.kind, &node, &payload, position)
            })
            .map_err(|error| changed(format!("the record at offset {}: {error}", candidate.offset)))
    }
}

fn node_of(kind: RowKind, payload: &[u8]) -> Result<DualMemoryNode, DecodeError> {
    Ok(match kind {
        RowKind::Memory => DualMemoryNode::from_memory(&MemoryView::parse(payload, RangeCheck::Keep)?),
        _ => DualMemoryNode::from_episode(&EpisodeView::parse(payload, RangeCheck::Keep)?),
    })
}

/// Which records matter.
struct Interest {
    /// Those whose id has this node id.
    group: Uuid,
    /// Also those that would be rekeyed to this one.
    rekeyed_to: Option<Uuid>,
}

impl Interest {
    fn candidates(&self, batch: &Batch, policies: &Policies) -> Vec<Candidate> {
        let mut found = Vec::new();
        for extent in &batch.extents {
            let Content::Frames(frames) = &extent.content else { continue };
            let bytes = batch.bytes_of(extent);
            for frame in frames {
                let start = (frame.offset - extent.start) as usize + HEADER_BYTES;
                let payload = &bytes[start..start + frame.header.payload_len_bytes as usize];
                found.extend(self.candidate(batch.file_number, frame, payload, policies));
            }
        }
        found
    }

    fn candidate(&self, file: u32, frame: &Frame, payload: &[u8], policies: &Policies) -> Option<Candidate> {
        let kind = row_kind(frame.header.kind(), policies)?;
        let id = match kind {
            RowKind::Delete => std::str::from_utf8(payload).ok()?,
            _ => Cursor::new(payload).str().ok()?,
        };
        let uuid = node_id(id);
        let is_rekeyed = || self.rekeyed_to.is_some_and(|to| spells_uuid(id) && uuid_v5_of(id) == to);
        if !(uuid == self.group || is_rekeyed())
            || !frame.header.payload_matches(payload)
            || !decodes(kind, payload, policies)
        {
            return None;
        }
        Some(Candidate {
            uuid: *uuid.as_bytes(),
            id_digest: id_digest(id),
            sequence: frame.header.sequence,
            file,
            offset: frame.offset,
            kind,
            block: 0,
            row: 0,
        })
    }
}

/// Returns what a migration would make of a record; `None` if it has no part in the replay.
fn row_kind(kind: EntryKind, policies: &Policies) -> Option<RowKind> {
    match kind {
        kind if kind.holds_episode() => Some(RowKind::Episode),
        EntryKind::Update if policies.updates == Updates::Import => Some(RowKind::Memory),
        EntryKind::Delete => Some(RowKind::Delete),
        _ => None,
    }
}

fn decodes(kind: RowKind, payload: &[u8], policies: &Policies) -> bool {
    let keep = policies.out_of_range == OutOfRange::Keep;
    let check = if keep { RangeCheck::Keep } else { RangeCheck::Enforce };
    match kind {
        RowKind::Delete => true,
        RowKind::Memory => MemoryView::parse(payload, check).is_ok(),
        _ => EpisodeView::parse(payload, check).is_ok(),
    }
}

#[derive(Default)]
struct LiveRecords(Vec<LiveRecord>);

impl ReplaySink for LiveRecords {
    fn live(&mut self, candidate: &Candidate, rekeyed: Option<[u8; 16]>) -> Result<(), Error> {
        self.0.push(LiveRecord { candidate: *candidate, id: Uuid::from_bytes(rekeyed.unwrap_or(candidate.uuid)) });
        Ok(())
    }

    fn mark(&mut self, _candidate: &Candidate, _kind: MarkKind) -> Result<(), Error> {
        Ok(())
    }

    fn finding(&mut self, _finding: Finding) -> Result<(), Error> {
        Ok(())
    }
}
