//! The store as its readers see it, and that verification notices whatever is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::space::{DELETE, STORE, Space, episode_about, records};
use crate::support::space_runs::{UPDATE, disk, memory};
use haul::durable::ReaderKind;
use haul::migration::{Error, OutcomeCounts, ResumePoint, Subset, exit};
use haul::pipeline::{Budget, Control, Event, Observer, Options, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::generate::{GenerateOptions, generate};
use haul::space::log::episode::{EpisodeView, RangeCheck};
use haul::space::log::memory::MemoryView;
use haul::space::log::source::WalSource;
use haul::space::log::wal::{HEADER_BYTES, WalHeader, encode_record};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Collisions, Corruption, Policies, Undecodable, Updates};
use haul::space::store::layout::RowKind;
use haul::space::store::node::{DualMemoryNode, MemoryNodeType, memory_after_replay};
use haul::space::verify::{CHECKPOINT_KIND, Coverage, Depth, verify_source, verify_store};

const SPELT: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

fn options() -> Options {
    Options {
        parallel_workers: NonZeroUsize::new(2).unwrap(),
        budget: Budget::new(64 << 20, 0.8),
        rate_limit: None,
        checkpoint_interval_records: 1,
        checkpoint_interval_ms_min: 0,
        checkpoint_interval_ms_max: 3_600_000,
    }
}

fn verify(store: DualSpace, depth: Depth, subset: Subset) -> Result<Coverage, Error> {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    verify_store(Arc::new(store), depth, subset, None, &options(), &control).map(|done| done.expect("nobody stops it"))
}

/// A space with everything that leaves a trace in a store: generated nodes in two files, duplicates, deletions, imports,
/// collisions, refused records, damage and tails.
fn varied(nodes: u64) -> Space {
    let space = Space::new();
    let made = GenerateOptions { nodes, seed: 3, files: 2 };
    let mut files = vec![Vec::new(); 2];
    generate(&made, &mut |file, chunk: &[u8]| {
        files[file as usize].extend_from_slice(chunk);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    for (number, bytes) in files.iter().enumerate() {
        space.log(number as u64 + 1, bytes);
    }
    let list = [
        (900, STORE, episode_about("twice", "1")),
        (901, STORE, episode_about("twice", "1")),
        (902, STORE, episode_about("twice", "2")),
        (903, STORE, episode_about("gone", "")),
        (904, DELETE, b"gone".to_vec()),
        (905, UPDATE, memory("imported")),
        (906, UPDATE, memory("twice")),
        (907, STORE, episode_about(SPELT, "lower")),
        (908, STORE, episode_about(&SPELT.to_uppercase(), "upper")),
        (909, 5, b"control".to_vec()),
        (910, STORE, b"undecodable".to_vec()),
        (911, 77, episode_about("unknown type", "x")),
    ];
    let mut extra = records(&list);
    extra.extend([7; 200]);
    extra.extend(encode_record(912, 7, STORE, &episode_about("after damage", "")));
    extra.extend([0; 300]);
    space.log(3, &extra).log(4, b"").log(5, &encode_record(0, 7, STORE, &episode_about("torn", ""))[..100]);
    space
}

fn lenient() -> MigrateOptions {
    let policies = Policies {
        corruption: Corruption::Resync,
        undecodable: Undecodable::Skip,
        updates: Updates::Import,
        collisions: Collisions::Rekey,
        ..Policies::default()
    };
    MigrateOptions { policies, segment_bytes_max: 600 << 10, ..MigrateOptions::default() }
}

fn migrated(nodes: u64) -> Space {
    let space = varied(nodes);
    let end = space.migrate(&lenient()).expect("a published store");
    assert_eq!((end.counts.refused(), end.details.damaged_bytes), (1, 200));
    assert_eq!(end.counts.migrated, nodes + 6);
    space
}

/// Every record of the log that can be walked to, by file name and offset.
fn walk(space: &Space) -> BTreeMap<(u32, u64), (WalHeader, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for (number, bytes) in space.source().values().enumerate() {
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + HEADER_BYTES) {
            let Ok(header) = WalHeader::parse(head.try_into().unwrap()) else {
                at += 1;
                continue;
            };
            let end = at + HEADER_BYTES + header.payload_len_bytes as usize;
            let Some(payload) = bytes.get(at + HEADER_BYTES..end) else { break };
            found.insert((number as u32, at as u64), (header, payload.to_vec()));
            at = end;
        }
    }
    found
}

#[test]
fn every_record_is_in_the_store_byte_for_byte() {
    let space = migrated(700);
    let store = space.store();
    let mut records = walk(&space);
    for number in 0..store.table().len() {
        let entry = store.table().entry(number).unwrap();
        let Some(block) = store.block(number).unwrap() else {
            assert_ne!(entry.region.get(), 0);
            continue;
        };
        assert!(block.digest_matches());
        assert_eq!(block.embeddings().len(), block.nodes().len());
        assert_eq!(block.embeddings().as_ptr() as usize % 64, 0, "the matrix is aligned");
        for (row_number, row) in block.rows().iter().enumerate() {
            let place = (entry.source_file.get(), row.source_offset.get());
            let (header, payload) = records.remove(&place).expect("a record at this place, once");
            let mut rebuilt = Vec::new();
            block.append_payload(row_number as u32, &mut rebuilt);
            assert_eq!(rebuilt, payload);
            assert_eq!(row.sequence.get(), header.sequence);
            assert_eq!(row.entry_type.get(), header.entry_type);
            assert_eq!(row.wal_timestamp_ns.get(), header.timestamp_ns);
            assert_eq!(row.payload_crc.get(), header.payload_crc);
        }
        for node in block.nodes() {
            let payload = node.payload();
            let embedding: &[u8] = match node.kind() {
                RowKind::Memory => &MemoryView::parse(&payload, RangeCheck::Keep).unwrap().embedding[..],
                _ => &EpisodeView::parse(&payload, RangeCheck::Keep).unwrap().embedding[..],
            };
            let bits: Vec<u8> = node.embedding().iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
            assert_eq!(bits, embedding);
            assert_eq!(node.embedding(), &block.embeddings()[node.number() as usize]);
        }
        if block.rebuilds_source() {
            let mut rebuilt = Vec::new();
            block.append_source(&mut rebuilt);
            let file = space.source().into_values().nth(entry.source_file.get() as usize).unwrap();
            let range =
                entry.source_offset.get() as usize..(entry.source_offset.get() + entry.source_bytes.get()) as usize;
            assert_eq!(rebuilt, &file[range]);
        }
    }
    let left: Vec<_> = records.values().map(|(header, _)| header.sequence).collect();
    assert_eq!(left, [910], "only the refused record is missing");
}

#[test]
fn every_live_node_is_found_and_nothing_else() {
    let space = migrated(700);
    let store = space.store();
    let mut seen = HashSet::new();
    for found in store.iter() {
        let found = found.unwrap();
        let node = found.node();
        assert!(seen.insert(found.id));
        for again in [store.get(&found.id).unwrap(), store.get_by_episode_id(node.episode_id()).unwrap()] {
            let again = again.expect("a live node");
            assert_eq!(again.id, found.id);
            assert_eq!(again.node().row(), node.row());
            assert_eq!(again.node().payload(), node.payload());
        }
    }
    assert_eq!(seen.len() as u64, store.len());
    for id in ["gone", "torn", "", "nobody", &SPELT.replace('-', "")] {
        assert!(store.get_by_episode_id(id).unwrap().is_none(), "{id:?}");
    }
    for id in [uuid::Uuid::nil(), uuid::Uuid::max(), uuid::Uuid::from_u128(1)] {
        assert!(store.get(&id).unwrap().is_none());
    }
}

#[test]
fn nodes_become_memories_again() {
    let space = migrated(60);
    for found in space.store().iter() {
        let found = found.unwrap();
        let (node, payload) = (found.node(), found.node().payload());
        let made = node.to_node(found.id);
        let (expected, after_replay) = match node.kind() {
            RowKind::Memory => {
                (DualMemoryNode::from_memory(&MemoryView::parse(&payload, RangeCheck::Keep).unwrap()), None)
            }
            _ => {
                let view = EpisodeView::parse(&payload, RangeCheck::Keep).unwrap();
                assert_eq!(node.content(), Some(view.what));
                (DualMemoryNode::from_episode(&view), Some(memory_after_replay(&view)))
            }
        };
        let MemoryNodeType::Episode { episode_id, strength, consolidation_score } = &made.node_type else {
            panic!("migration makes episodes only")
        };
        assert_eq!((episode_id.as_str(), consolidation_score.to_bits()), (node.episode_id(), 0));
        assert_eq!(strength.to_bits(), made.activation.to_bits());
        assert_eq!(made.node_type.encode(), expected.node_type.encode());
        assert_eq!(made.embedding, expected.embedding);
        assert_eq!(
            (made.activation.to_bits(), made.confidence.to_bits(), made.last_access, made.created_at),
            (expected.activation.to_bits(), expected.confidence.to_bits(), expected.last_access, expected.created_at)
        );
        let memory = node.to_memory();
        assert_eq!(memory.memory.id, node.episode_id(), "also where the node was rekeyed");
        assert_eq!(memory.memory.confidence_bits, made.confidence.to_bits());
        assert_eq!(memory.activation.to_bits(), made.activation.to_bits());
        assert_eq!(memory.memory.activation_value_bits, 0);
        assert_eq!((memory.memory.access_count, &memory.memory.content), (0, &None));
        assert_eq!(memory.memory.decay_rate_bits, 0.1_f32.to_bits());
        assert_eq!(memory.memory.created_at, made.created_at.to_writer_form());
        assert_eq!(memory.memory.last_access, made.last_access.to_writer_form());
        assert!(memory.memory.provenance.is_none());
        if let Some(after) = after_replay {
            assert_eq!(after.memory.content.as_deref(), node.content());
            assert_eq!(after.memory.access_count, node.row().access_count.get());
            assert_eq!(after.memory.embedding, memory.memory.embedding);
        }
    }
}

#[test]
fn every_depth_passes_and_says_what_it_covered() {
    let space = migrated(700);
    let blocks = (0..space.store().table().len()).filter(|&n| space.store().block(n).unwrap().is_some()).count() as u64;
    assert_eq!(verify(space.store(), Depth::Quick, Subset::ALL).unwrap(), Coverage::default());
    let shallow = verify(space.store(), Depth::Blocks, Subset::ALL).unwrap();
    let full = verify(space.store(), Depth::Full, Subset::ALL).unwrap();
    assert_eq!((shallow.blocks, shallow.rebuilt_blocks, shallow.rebuilt_payloads), (blocks, 0, 0));
    // The block with the refused record is rebuilt payload by payload.
    assert_eq!((full.blocks, full.rebuilt_blocks, full.rebuilt_payloads), (blocks, blocks - 1, 11));
    assert_eq!(full.node_rows, space.store().manifest().node_rows);
    assert_eq!(full.bytes, shallow.bytes);
    for of in [1, 2, 3, 7, 100] {
        let mut sum = Coverage::default();
        for part in 1..=of {
            let share = verify(space.store(), Depth::Full, Subset { part, of }).unwrap();
            sum.blocks += share.blocks;
            sum.bytes += share.bytes;
            sum.node_rows += share.node_rows;
            sum.rebuilt_blocks += share.rebuilt_blocks;
            sum.rebuilt_payloads += share.rebuilt_payloads;
        }
        assert_eq!(sum, full, "{of} shares");
    }
}

/// A sound store, copied once, to damage one file at a time.
struct Bench {
    _directory: tempfile::TempDir,
    store: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let space = migrated(270);
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("dual-000001");
        fs::create_dir(&store).unwrap();
        let files = crate::support::files::tree(space.store().directory());
        for (name, bytes) in &files {
            fs::write(store.join(name), bytes).unwrap();
        }
        let names: Vec<_> = files.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names[..4], ["MANIFEST", "blocks.index", "ids.index", "marks.index"]);
        assert!(names.len() > 5, "several segments: {names:?}");
        let bench = Self { _directory: directory, store, files };
        bench.verified(Depth::Full).expect("sound before it is damaged");
        bench
    }

    fn verified(&self, depth: Depth) -> Result<Coverage, Error> {
        verify(DualSpace::open(&self.store)?, depth, Subset::ALL)
    }

    /// Puts `bytes` in the place of a file, verifies, puts the file back.
    fn with(&self, name: &Path, bytes: &[u8], depth: Depth) -> Result<Coverage, Error> {
        fs::write(self.store.join(name), bytes).unwrap();
        let result = self.verified(depth);
        fs::write(self.store.join(name), &self.files[name]).unwrap();
        result
    }
}

fn is_segment(name: &Path) -> bool {
    name.to_str().unwrap().starts_with("segment")
}

/// Positions in a file: all of its first bytes, some of every part, the last ones.
fn positions(name: &Path, bytes: &[u8]) -> Vec<usize> {
    let len = bytes.len();
    let mut list: Vec<usize> = (0..20).chain([63, 64, 65]).collect();
    if is_segment(name) {
        // The rest of the segment's header, the first block's header, its first rows, its digest.
        list.extend([100, 2_000, 4_095]);
        list.extend((4_096..4_096 + 256).step_by(5));
        list.extend((4_096 + 256..4_096 + 256 + 320).step_by(11));
    }
    list.extend((0..24).map(|share| share * len / 24));
    list.extend(len.saturating_sub(40)..len);
    list.retain(|&position| position < len);
    list.sort_unstable();
    list.dedup();
    list
}

#[test]
fn any_flipped_byte_is_noticed() {
    let bench = Bench::new();
    let mut tried = 0;
    for (name, bytes) in &bench.files {
        for position in positions(name, bytes) {
            let mut flipped = bytes.clone();
            flipped[position] ^= if position % 2 == 0 { 1 } else { 0x80 };
            let depth = match is_segment(name) {
                true if position % 3 == 0 => Depth::Full,
                true if position >= 4_096 => Depth::Blocks,
                _ => Depth::Quick,
            };
            let result = bench.with(name, &flipped, depth);
            let error = result.expect_err(&format!("{} byte {position} under {depth:?}", name.display()));
            let code = error.exit_code();
            let newer = matches!(error, Error::State { damaged: false, .. });
            assert!(code == exit::BAD_DATA || newer || code == exit::FAILED, "{error}");
            tried += 1;
        }
    }
    println!("{tried} bytes flipped");
    assert!(tried > 500);
    bench.verified(Depth::Full).expect("sound again");
}

#[test]
fn truncated_extended_and_missing_files_are_noticed() {
    let bench = Bench::new();
    for (name, bytes) in &bench.files {
        for len in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
            assert!(bench.with(name, &bytes[..len], Depth::Quick).is_err(), "{} cut to {len}", name.display());
        }
        for more in [&b"\n"[..], b"\0", &[0; 4_096]] {
            let longer = [bytes, more].concat();
            assert!(bench.with(name, &longer, Depth::Quick).is_err(), "{} and {} bytes", name.display(), more.len());
        }
        fs::remove_file(bench.store.join(name)).unwrap();
        assert!(bench.verified(Depth::Quick).is_err(), "{} removed", name.display());
        fs::write(bench.store.join(name), bytes).unwrap();
    }
    let segments: Vec<_> = bench.files.keys().filter(|name| is_segment(name)).collect();
    let other = &bench.files[segments[1]];
    assert!(bench.with(segments[0], other, Depth::Quick).is_err(), "one segment in the place of another");
}

/// Asks for a stop at the first batch.
struct StopAtOnce(StopToken);

impl Observer for StopAtOnce {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
            self.0.request();
        }
    }
}

#[test]
fn a_stopped_verification_goes_on_and_covers_everything_once() {
    let space = Space::new();
    for file in 0..400 {
        space.log(file, &encode_record(0, 7, STORE, &episode_about(&format!("id {file}"), "")));
    }
    space.migrate(&MigrateOptions::default()).unwrap();
    let whole = verify(space.store(), Depth::Full, Subset::ALL).unwrap();
    assert_eq!(whole.rebuilt_blocks, 400);
    let directory = tempfile::tempdir().unwrap();
    let place = ResumePoint::new(disk(), directory.path(), CHECKPOINT_KIND);
    for (depth, subset) in [(Depth::Full, Subset::ALL), (Depth::Blocks, Subset { part: 2, of: 2 })] {
        let mut stops = 0;
        let covered = loop {
            let stop = StopToken::new();
            let observer = StopAtOnce(stop.clone());
            let control = Control { stop: &stop, observer: &observer };
            let options = Options { parallel_workers: NonZeroUsize::MIN, budget: Budget::new(1, 0.8), ..options() };
            let store = Arc::new(space.store());
            match verify_store(store, depth, subset, Some(&place), &options, &control).unwrap() {
                Some(coverage) => break coverage,
                None => stops += 1,
            }
            assert!(stops < 50, "it gets on");
        };
        assert!(stops > 1, "stopped {stops} times");
        assert_eq!(covered, verify(space.store(), depth, subset).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "its place is forgotten at the end");
    }
}

#[test]
fn the_place_of_another_verification_is_not_taken_for_ones_own() {
    let space = Space::new();
    for file in 0..200 {
        space.log(file, &encode_record(0, 7, STORE, &episode_about(&format!("id {file}"), "")));
    }
    space.migrate(&MigrateOptions::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let place = ResumePoint::new(disk(), directory.path(), CHECKPOINT_KIND);
    let stop = StopToken::new();
    let observer = StopAtOnce(stop.clone());
    let narrow = Options { budget: Budget::new(1, 0.8), ..options() };
    let control = Control { stop: &stop, observer: &observer };
    let store = Arc::new(space.store());
    assert!(verify_store(store, Depth::Blocks, Subset::ALL, Some(&place), &narrow, &control).unwrap().is_none());
    assert!(fs::read_dir(directory.path()).unwrap().count() > 0);
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let store = Arc::new(space.store());
    let coverage = verify_store(store, Depth::Full, Subset::ALL, Some(&place), &options(), &control).unwrap();
    assert_eq!(coverage.unwrap().rebuilt_blocks, 200);
}

fn against_source(space: &Space, store: &DualSpace) -> Result<Coverage, Error> {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let source = Arc::new(WalSource::open(&space.wal(), ReaderKind::Auto)?);
    verify_source(source, store, &options(), &control).map(|done| done.expect("nobody stops it"))
}

#[test]
fn a_changed_source_is_refused() {
    let space = migrated(60);
    let store = space.store();
    let covered = against_source(&space, &store).unwrap();
    assert_eq!(covered.blocks, store.table().len());
    let size: usize = space.source().values().map(Vec::len).sum();
    assert_eq!(covered.bytes, size as u64);

    for (name, bytes) in space.source() {
        let path = space.wal().join(&name);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        // Records, the damaged stretch and both tails.
        for position in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let Some(byte) = bytes.get(position) else { continue };
            let mut flipped = bytes.clone();
            flipped[position] = byte ^ 1;
            fs::write(&path, &flipped).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            let error = against_source(&space, &store).unwrap_err();
            assert_eq!(error.exit_code(), exit::BAD_DATA);
            assert!(error.to_string().contains(name.to_str().unwrap()), "{error}");
        }
        fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(against_source(&space, &store).unwrap_err().to_string().contains("bytes where"));
        fs::remove_file(&path).unwrap();
        assert!(against_source(&space, &store).unwrap_err().to_string().contains("is gone"));
        fs::write(&path, &bytes).unwrap();
        against_source(&space, &store).expect("its bytes are what they were");
    }
    space.file("wal-new.log", b"");
    assert!(against_source(&space, &store).unwrap_err().to_string().contains("was not there"));
    fs::remove_file(space.wal().join("wal-new.log")).unwrap();
    space.file("notes.txt", b"no part of the log");
    against_source(&space, &store).expect("other entries do not count");
}

/// A damaged table must not be blamed on the source, nor lead outside of it.
#[test]
fn a_damaged_table_is_no_changed_source() {
    let space = migrated(60);
    let store = space.store();
    let path = store.directory().join("blocks.index");
    let bytes = fs::read(&path).unwrap();
    // Segment, source file, source offset, source bytes and source digest of the first entry.
    for position in [64, 68, 71, 88, 91, 96, 103, 64 + 96, 103 + 128] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0xFF;
        fs::write(&path, &flipped).unwrap();
        let error = against_source(&space, &store).unwrap_err();
        assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
        assert!(error.to_string().contains("blocks.index"), "{error}");
    }
}
