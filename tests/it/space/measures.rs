//! What is counted, estimated and made up.

use std::fs;
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::space::{DELETE, STORE, Space, episode, records};
use crate::support::space_runs::{UPDATE, disk, eager};
use haul::durable::{Disk, InjectedFault, ReaderKind, SimulatedDisk};
use haul::migration::{Error, exit};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};
use haul::space::generate::GenerateOptions;
use haul::space::generate::write::generate_space;
use haul::space::log::wal::encode_record;
use haul::space::paths::SpacePaths;
use haul::space::stats::{REGIONS_LISTED_MAX, Span, Stats, stats};

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn count(space: &Space) -> Stats {
    with(|control| stats(&space.paths(), ReaderKind::Auto, control)).unwrap()
}

// Stats.

#[test]
fn every_record_and_byte_is_counted() {
    let space = Space::new();
    let mut failing = encode_record(9, 50, STORE, &episode("failing"));
    let last = failing.len() - 1;
    failing[last] ^= 1;
    let good = [
        records(&[(4, STORE, episode("a")), (5, DELETE, b"a".to_vec()), (6, UPDATE, vec![]), (7, 99, episode("b"))]),
        failing,
        encode_record(10, 70, STORE, &episode("after")),
    ]
    .concat();
    space.log(1, &good).log(2, b"").log(3, &[records(&[(1, STORE, episode("c"))]), vec![0; 500]].concat());
    space.file("wal-1.log.tmp", b"12345").file("notes", b"x");
    fs::write(space.root().join("warm_tier.dat"), b"123").unwrap();
    fs::create_dir(space.root().join("hot")).unwrap();
    let before = tree(&space.root());
    let stats = count(&space);
    assert_eq!(tree(&space.root()), before, "nothing is written");
    let first = &stats.files[0].totals;
    assert_eq!((first.records, first.checksum_failures, first.bytes.framed), (6, 1, good.len() as u64));
    assert_eq!(first.records_by_type.clone().into_iter().collect::<Vec<_>>(), [(1, 3), (2, 1), (3, 1), (99, 1)]);
    assert_eq!((first.sequence, first.timestamp_ns), (Some(Span { min: 4, max: 10 }), Some(Span { min: 7, max: 70 })));
    assert_eq!(first.payload_bytes, Some(Span { min: 0, max: episode("failing").len() as u64 }));
    assert_eq!(first.payload_bytes_mean, (good.len() as u64 - 6 * 64) / 6);
    assert_eq!((stats.files[1].totals.records, stats.files[1].totals.sequence), (0, None));
    assert_eq!((stats.total.records, stats.total.bytes.zero_tail, stats.total.sequence.unwrap().min), (7, 500, 1));
    assert_eq!(stats.regions_total, 1);
    assert_eq!((stats.regions[0].file.as_str(), stats.regions[0].len_bytes), ("wal-0000000000000003.log", 500));
    assert!(!stats.regions[0].damaged);
    let others: Vec<_> = stats.others.iter().map(|other| (other.name.as_str(), other.len_bytes)).collect();
    assert_eq!(others, [("notes", 1), ("wal-1.log.tmp", 5)]);
    assert_eq!((stats.warm_tier_bytes, stats.tier_directories.as_slice()), (Some(3), &["hot".to_owned()][..]));
    assert!(stats.valid_space_name && stats.store.is_none());
}

#[test]
fn records_after_damage_are_counted_and_damage_is_listed_up_to_a_limit() {
    let space = Space::new();
    let gaps = REGIONS_LISTED_MAX + 5;
    let record = records(&[(0, STORE, episode("x"))]);
    space.log(1, &[record.as_slice(), b"gap"].concat().repeat(gaps));
    let stats = count(&space);
    assert_eq!((stats.total.records, stats.total.bytes.damaged), (gaps as u64, 3 * gaps as u64));
    assert_eq!((stats.regions.len(), stats.regions_total), (REGIONS_LISTED_MAX, gaps as u64));
    assert!(stats.regions[1].damaged && stats.regions[1].offset == 2 * record.len() as u64 + 3);
}

#[test]
fn the_live_store_is_summed_up() {
    let space = Space::new();
    space.log(1, &records(&[(0, STORE, episode("a")), (1, STORE, episode("a")), (2, STORE, episode("b"))]));
    space.migrate(&eager()).unwrap();
    let store = count(&space).store.unwrap();
    assert_eq!((store.name.as_str(), store.nodes, store.node_rows, store.records), ("dual-000001", 2, 3, 3));
    let files = tree(&space.root().join("dual-000001"));
    let bytes: usize = files.iter().filter(|(name, _)| !name.ends_with("MANIFEST")).map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(store.bytes, bytes as u64);
}

#[test]
fn a_stopped_count_is_no_count() {
    let space = Space::new();
    space.log(1, &records(&[(0, STORE, episode("a"))]));
    let stop = StopToken::new();
    stop.request();
    let error = stats(&space.paths(), ReaderKind::Auto, &Control { stop: &stop, observer: &Silent }).unwrap_err();
    assert_eq!(error.exit_code(), exit::TEMPORARY);
}

// Generate.

fn options() -> GenerateOptions {
    GenerateOptions { nodes: 700, seed: 7, files: 3 }
}

#[test]
fn a_generated_space_is_whole_and_the_same_every_time() {
    let space = Space::new();
    let to = space.root().with_file_name("made");
    let made = with(|control| generate_space(disk(), &to, &options(), control)).unwrap();
    assert_eq!((made.files, made.records, made.stopped), (3, 700, false));
    let files = tree(&to);
    assert_eq!((files.len(), files.values().map(|file| file.len() as u64).sum()), (3, made.bytes));
    let again = space.root().with_file_name("again");
    with(|control| generate_space(disk(), &again, &options(), control)).unwrap();
    assert_eq!(tree(&again), files);
    let stats = with(|control| stats(&SpacePaths::new(&to), ReaderKind::Auto, control)).unwrap();
    assert_eq!((stats.total.records, stats.total.bytes.framed), (700, made.bytes));
    let error = with(|control| generate_space(disk(), &to, &options(), control)).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE);
    assert_eq!(tree(&to), files);
}

struct StopAtFirst(StopToken);

impl Observer for StopAtFirst {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
            self.0.request();
        }
    }
}

#[test]
fn a_stopped_or_failed_generation_leaves_no_log() {
    let space = Space::new();
    let observer = StopAtFirst(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let made = generate_space(disk(), &space.root(), &options(), &control).unwrap();
    assert!(made.stopped && space.source().is_empty());
    let whole = SimulatedDisk::with_directories(&[&space.wal()]);
    with(|control| generate_space(Arc::new(whole.clone()), &space.root(), &options(), control)).unwrap();
    for n in 1..whole.operations() {
        let simulated = SimulatedDisk::with_directories(&[&space.wal()]);
        simulated.fail_operation(n, InjectedFault::Enospc);
        let target: Arc<dyn Disk> = Arc::new(simulated.clone());
        with(|control| generate_space(target, &space.root(), &options(), control)).unwrap_err();
        // A lock that could not be taken may stay; the next generator uses it.
        let left = simulated.snapshot().into_keys().find(|path| !path.ends_with("migration/lock"));
        assert_eq!(left, None, "{n}");
    }
}

#[test]
fn a_generation_that_does_not_fit_is_not_begun() {
    let space = Space::new();
    let simulated = SimulatedDisk::with_directories(&[&space.wal()]);
    simulated.set_capacity(1 << 20);
    let error = with(|control| generate_space(Arc::new(simulated.clone()), &space.root(), &options(), control));
    assert!(matches!(error.unwrap_err(), Error::NoSpace { .. }));
    assert!(simulated.snapshot().is_empty());
}
