//! A space measured on a part of its records, and what its migration needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::files::tree;
use crate::support::space::{DELETE, STORE, Space, episode, records};
use crate::support::space_runs::{UPDATE, disk, eager};
use crate::support::taken::{Peak, assert_near};
use haul::migration::probe::Probe;
use haul::migration::{OutcomeCounts, RunOptions, SCRATCH_MARK, Stage};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::clean::{clean, clean_plan};
use haul::space::generate::GenerateOptions;
use haul::space::generate::write::generate_space;
use haul::space::log::wal::{HEADER_BYTES, MAGIC_BYTES, WalHeader};
use haul::space::migrate::migrate;
use haul::space::migrate::probe::SpaceProbe;
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn probe(space: &Space, options: &MigrateOptions) -> SpaceProbe {
    SpaceProbe::open(disk(), &space.paths(), options).unwrap()
}

/// A log of so many episodes in two files, numbered by their sequence.
fn numbered(count: u64) -> Space {
    let space = Space::new();
    let of = |range: std::ops::Range<u64>| {
        let list: Vec<_> = range.map(|at| (at, STORE, episode(&format!("episode-{at}")))).collect();
        records(&list)
    };
    space.log(1, &of(0..count / 3)).log(2, &of(count / 3..count));
    space
}

/// Makes a sample in a directory of its own, and returns that.
fn sample(space: &Space, name: &str, records: u64, seed: u64) -> (PathBuf, u64) {
    let scratch = space.root().join(name);
    fs::create_dir(&scratch).unwrap();
    let drawn = with(|control| probe(space, &eager()).sample(&scratch, records, seed, control)).unwrap();
    (scratch, drawn.amount.records)
}

/// Sequence numbers of the records of a log, which has no damage.
fn sequences(scratch: &Path) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for bytes in tree(&scratch.join("wal")).into_values() {
        let mut rest = &bytes[..];
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let header = WalHeader::parse(header).unwrap();
            assert!(found.insert(header.sequence), "{} twice", header.sequence);
            rest = &rest[HEADER_BYTES + header.payload_len_bytes as usize..];
        }
    }
    found
}

#[test]
fn a_sample_is_from_the_whole_log_and_its_seed_decides_which() {
    let space = numbered(3_000);
    let source = space.source();
    let (first, count) = sample(&space, "first", 300, 1);
    let drawn = sequences(&first);
    assert_eq!(drawn.len() as u64, count);
    assert!((250..=300).contains(&count), "{count}");
    let tenths: BTreeSet<_> = drawn.iter().map(|sequence| sequence / 300).collect();
    assert_eq!(tenths, (0..10).collect(), "also the last tenth");
    assert_eq!(sequences(&sample(&space, "again", 300, 1).0), drawn);
    assert_ne!(sequences(&sample(&space, "other", 300, 2).0), drawn);
    assert_eq!(sequences(&sample(&space, "whole", 5_000, 2).0), (0..3_000).collect());
    assert_eq!(space.source(), source);
}

#[test]
fn a_sample_is_migrated_in_its_directory() {
    let space = numbered(1_000);
    let before = tree(&space.root());
    let limited = MigrateOptions { run: RunOptions { rate_limit: 1.try_into().ok(), ..eager().run }, ..eager() };
    let probe = probe(&space, &limited);
    let scratch = probe.scratch();
    assert_eq!(scratch.parent(), Some(&*space.root()));
    fs::create_dir(&scratch).unwrap();
    let drawn = with(|control| probe.sample(&scratch, 200, 3, control)).unwrap();
    with(|control| probe.run(&scratch, 50, control)).unwrap();
    let store = fs::read_to_string(scratch.join("CURRENT")).unwrap();
    let store = haul::DualSpace::open(&scratch.join(store.trim())).unwrap();
    assert_eq!(store.len(), drawn.amount.records);
    let read = with(|control| probe.read(200, 3, control)).unwrap();
    assert_eq!((read.amount, read.refused), (drawn.amount, 0));
    assert!(read.cached_share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{read:?}");
    fs::remove_dir_all(&scratch).unwrap();
    assert_eq!(tree(&space.root()), before);
}

#[test]
fn an_empty_log_and_a_log_of_one_record_are_measured() {
    let one = Space::new();
    one.log(1, &records(&[(1, STORE, episode("a"))]));
    for (space, expected) in [(Space::new(), 0), (one, 1)] {
        let probe = probe(&space, &eager());
        assert_eq!(probe.whole().records, expected);
        let scratch = probe.scratch();
        fs::create_dir(&scratch).unwrap();
        let drawn = with(|control| probe.sample(&scratch, 100, 1, control)).unwrap();
        assert_eq!(drawn.amount, probe.whole());
        with(|control| probe.run(&scratch, 10, control)).unwrap();
        let read = with(|control| probe.read(100, 1, control)).unwrap();
        assert_eq!(read.amount.records, expected);
    }
}

#[test]
fn damaged_records_are_refused_and_do_not_break_a_sample() {
    let space = numbered(900);
    let path = space.wal().join("wal-0000000000000002.log");
    let mut bytes = fs::read(&path).unwrap();
    let record = bytes.len() / 600;
    // The payload of one record, and the header of another one.
    let at = |number: usize| number * record;
    let start =
        |from: usize, bytes: &[u8]| from + bytes[from..].windows(4).position(|four| four == MAGIC_BYTES).unwrap();
    let payload = start(at(100), &bytes) + HEADER_BYTES + 300;
    bytes[payload] ^= 1;
    let header = start(at(300), &bytes) + 10;
    bytes[header] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let probe = probe(&space, &eager());
    let read = with(|control| probe.read(u64::MAX, 1, control)).unwrap();
    assert_eq!((read.amount.records, read.refused), (899, 2));
    for records in [u64::MAX, 600] {
        let scratch = space.root().join(format!("sample-{records}"));
        fs::create_dir(&scratch).unwrap();
        let drawn = with(|control| probe.sample(&scratch, records, 1, control)).unwrap();
        assert!(drawn.amount.records > 500);
        with(|control| probe.run(&scratch, 100, control)).unwrap();
        assert!(scratch.join("CURRENT").exists());
    }
}

#[test]
fn what_a_killed_estimate_leaves_is_cleaned_and_nothing_of_somebody_else() {
    let space = numbered(100);
    let root = space.root();
    let probe = probe(&space, &eager());
    let scratch = probe.scratch();
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join(SCRATCH_MARK), "estimate").unwrap();
    for part in ["n-1", "n-2"] {
        let part = scratch.join(part);
        fs::create_dir(&part).unwrap();
        with(|control| probe.sample(&part, 20, 1, control)).unwrap();
        with(|control| probe.run(&part, 10, control)).unwrap();
    }
    fs::create_dir(root.join(".estimate-77.tmp")).unwrap();
    fs::write(root.join(".estimate-78.tmp"), b"of an older version").unwrap();
    fs::create_dir(root.join(".estimate-79.tmp")).unwrap();
    fs::write(root.join(".estimate-79.tmp/thesis"), b"x").unwrap();
    let items = clean_plan(disk(), &space.paths()).unwrap();
    assert_eq!(items.len(), 3, "{items:?}");
    let cleaned = clean(disk(), &space.paths(), &items).unwrap();
    assert!(cleaned.left.is_empty());
    let names: BTreeSet<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".estimate-79.tmp", "migration", "wal"].map(Into::into).into());
    assert!(root.join(".estimate-79.tmp/thesis").exists());
    // A later run finds nothing in its way.
    assert_eq!(space.migrate(&eager()).unwrap().stage, Stage::Published);
}

/// Compares what the plan says with what is taken.
fn check_needs(what: &str, paths: &SpacePaths, options: &MigrateOptions) {
    let probe = SpaceProbe::open(disk(), paths, options).unwrap();
    let needs = probe.needs().unwrap();
    let peak = Peak::in_directory(paths.root(), "wal");
    let control = Control { stop: &StopToken::new(), observer: &peak };
    let end = migrate(disk(), paths, options, &control).unwrap();
    assert!(end.counts.sum() > 0);
    peak.look();
    let (bytes, entries) = peak.most();
    assert_near(&format!("{what}, bytes"), needs.space_bytes, bytes);
    assert!(needs.inodes >= entries && needs.inodes <= entries + 20, "{what}: {} for {entries}", needs.inodes);
    let items = clean_plan(disk(), paths).unwrap();
    clean(disk(), paths, &items).unwrap();
    assert_near(&format!("{what}, bytes after clean"), needs.space_after_clean_bytes, peak.look().0);
}

#[test]
fn what_a_run_needs_is_said_within_a_tenth_and_never_too_low() {
    let in_files = MigrateOptions {
        run: RunOptions { memory_budget_bytes: 2 << 20, sort_memory_bytes_min: 1 << 20, ..Default::default() },
        ..MigrateOptions::default()
    };
    let in_segments = MigrateOptions { segment_bytes_max: 1 << 20, ..MigrateOptions::default() };
    for (what, options) in
        [("as it comes", &MigrateOptions::default()), ("sorted in files", &in_files), ("in segments", &in_segments)]
    {
        let space = Space::new();
        let paths = SpacePaths::new(space.root().with_file_name("generated"));
        let wanted = GenerateOptions { nodes: 3_000, seed: 1, files: 2 };
        with(|control| generate_space(disk(), paths.root(), &wanted, control)).unwrap();
        check_needs(what, &paths, options);
    }
    // Short records next to long ones, all over the log: the target of each deletion is the episode before it.
    for (what, kind) in [("deletions", DELETE), ("updates", UPDATE)] {
        let space = Space::new();
        let list: Vec<_> = (0..6_000)
            .map(|at| match at % 3 {
                0 => (at, STORE, episode(&format!("episode-{at}"))),
                rest => (at, kind, format!("episode-{}", at - rest).into_bytes()),
            })
            .collect();
        space.log(1, &records(&list));
        check_needs(what, &space.paths(), &MigrateOptions::default());
    }
}
