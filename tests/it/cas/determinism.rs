//! The same old store gives the same new one, regardless of the options for speed, of the file system, and of the
//! number of stops.

use std::ffi::OsStr;
use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use crate::support::generated_store::{Made, assert_same, generated, made, mixed};
use crate::support::old_objects::{Keeping, content};
use crate::support::old_store::OldStore;
use crate::support::sharing::Sharing;
use haul::cas::format::encoding::Compress;
use haul::cas::format::generation::Generation;
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::{Linking, MigrateOptions};
use haul::cas::paths::TargetPaths;
use haul::cas::source::reader::INLINE_BYTES_MAX;
use haul::durable::{Disk, RealDisk};
use haul::migration::{Durability, OutcomeCounts, RunOptions, Stage, Start};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};

const COMPRESS: [Compress; 3] = [Compress::AsStored, Compress::Identity, Compress::Zstd(1)];

/// The source that all tests share and do not change.
static SOURCE: LazyLock<OldStore> = LazyLock::new(source);

fn source() -> OldStore {
    let store = generated(&mixed(40, 20_000));
    let inline = INLINE_BYTES_MAX as usize;
    // Objects that stay in memory and objects that go through a file, for each of the reasons.
    for (number, len) in [inline - 4, inline - 3, inline + 1].into_iter().enumerate() {
        store.keep_plain(Generation::V2, &content(number as u64, len, true));
    }
    let large = Keeping { generation: Generation::V0_7, zstd: true, created_at: 0 };
    store.keep(large, &content(7, inline + 5, true));
    store.keep(large, &content(8, 200_000, true));
    store.keep_plain(Generation::V0_5, &content(9, 150_000, true));
    // One content under keys of every algorithm, each with a time and an encoding of its own.
    for number in 100..104 {
        for (at, generation) in
            [Generation::V0_2, Generation::V0_5, Generation::V0_7, Generation::V1_3NoIndex].into_iter().enumerate()
        {
            let keeping = Keeping {
                generation,
                zstd: generation.compresses() && (number + at) % 2 == 0,
                created_at: (number * 10 + at) as u64,
            };
            store.keep(keeping, &content(number as u64, 3_000, true));
        }
        let keeping = Keeping { generation: Generation::V2, zstd: number % 3 == 0, created_at: number as u64 };
        store.keep(keeping, &content(number as u64, 3_000, true));
    }
    spoil(&store);
    store
}

/// Refused objects and entries that are no objects.
fn spoil(store: &OldStore) {
    let name = |digit: &str| digit.repeat(64);
    store.file(&format!("objects/aa/aa/{}", name("a")), b"not what its name says");
    store.file(&format!("objects/bb/bb/{}", name("b")), &content(1, 70_000, false));
    store.file(&format!("objects/cc/cc/{}", name("c")), &content(2, INLINE_BYTES_MAX as usize + 9, false));
    fs::create_dir_all(store.root().join("objects/dd/dd").join(name("d"))).unwrap();
    symlink("/dev/null", store.root().join("objects/aa/aa").join(name("e"))).unwrap();
    store.file(&format!("objects/aa/aa/{}.meta", name("0")), b"{}");
    store.file(&format!("objects/{}.meta", name("1")), b"");
    store.file("objects/aa/aa/.tmp_17", b"in flight");
    store.file("objects/foreign.sig", b"");
    store.file("objects/another/deep/file", b"");
    fs::write(store.root().join("objects").join(OsStr::from_bytes(b"\xff\xfe")), b"").unwrap();
}

/// Options that do not wait for the disk, which would take most of the time of such a small run. `durability` has tests
/// of its own.
fn options(compress: Compress) -> MigrateOptions {
    let parallel_workers = NonZeroUsize::MIN;
    MigrateOptions {
        compress,
        durability: Durability::None,
        run: RunOptions { parallel_workers, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    }
}

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// A directory for a target of the shared source.
struct Target {
    directory: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn paths(&self) -> TargetPaths {
        TargetPaths::new(&self.directory.path().join("new")).unwrap()
    }

    fn migrate(&self, disk: Arc<dyn Disk>, options: &MigrateOptions, control: &Control<'_>) -> MigrationEnd {
        let end = migrate(disk, &SOURCE.root(), &self.paths(), options, control).unwrap();
        end.counts.check_sum(end.records).unwrap();
        end
    }

    fn result(&self) -> Result {
        let findings = fs::read_to_string(self.paths().run_directory().findings_path()).unwrap();
        let mut findings: Vec<_> = findings.lines().map(str::to_owned).collect();
        findings.sort();
        Result { made: made(&self.paths()), findings }
    }
}

/// The results that must be the same. The order of findings may differ.
struct Result {
    made: Made,
    findings: Vec<String>,
}

impl Result {
    #[track_caller]
    fn assert_same(&self, expected: &Self, what: &str) {
        assert_same(&self.made, &expected.made, what);
        let findings = self.findings.iter().zip(&expected.findings);
        let differing = findings.into_iter().find(|(found, expected)| found != expected);
        assert!(differing.is_none() && self.findings.len() == expected.findings.len(), "{differing:?}: {what}");
    }
}

fn whole_on(disk: Arc<dyn Disk>, options: &MigrateOptions) -> Result {
    let target = Target::new();
    let stop = StopToken::new();
    let end = target.migrate(disk, options, &Control { stop: &stop, observer: &Silent });
    assert_eq!(end.stage, Stage::Published);
    assert_eq!((end.counts.refused_unidentified, end.counts.refused_not_a_file), (3, 2));
    assert!(end.counts.duplicate >= 16 && end.counts.skipped_lone_sidecar == 2, "{:?}", end.counts);
    target.result()
}

fn whole(options: &MigrateOptions) -> Result {
    whole_on(Arc::new(RealDisk), options)
}

/// The result that every run below must give, by encoding.
static EXPECTED: LazyLock<[Result; 3]> = LazyLock::new(|| COMPRESS.map(|compress| whole(&options(compress))));

#[test]
fn workers_batches_and_budgets_make_no_difference() {
    let before = SOURCE.seen();
    for (compress, expected) in COMPRESS.into_iter().zip(&*EXPECTED) {
        for count in [1, 2, 4] {
            for batch_records in [1, 7, 500] {
                for mib in [8, 64, 512] {
                    let parallel_workers = workers(count);
                    let memory_budget_bytes = mib << 20;
                    let varied = MigrateOptions {
                        run: RunOptions {
                            parallel_workers,
                            batch_records,
                            memory_budget_bytes,
                            ..options(compress).run
                        },
                        ..options(compress)
                    };
                    whole(&varied).assert_same(expected, &format!("{varied:?}"));
                }
            }
        }
    }
    assert!(SOURCE.seen() == before, "the source is untouched");
}

#[test]
fn the_other_settings_of_speed_make_no_difference() {
    for (compress, expected) in COMPRESS.into_iter().zip(&*EXPECTED) {
        let base = || MigrateOptions {
            run: RunOptions { parallel_workers: workers(2), ..options(compress).run },
            ..options(compress)
        };
        let variants = [
            MigrateOptions { run: RunOptions { rate_limit: NonZeroU32::new(100_000), ..base().run }, ..base() },
            MigrateOptions { run: RunOptions { backpressure_threshold: 0.0, ..base().run }, ..base() },
            MigrateOptions {
                run: RunOptions { checkpoint_interval_records: 20, checkpoint_interval_ms_min: 0, ..base().run },
                ..base()
            },
            MigrateOptions { run: RunOptions { checkpoint_interval_records: u64::MAX, ..base().run }, ..base() },
            MigrateOptions {
                run: RunOptions { memory_budget_bytes: 1, sort_memory_bytes_min: 1, batch_records: 50, ..base().run },
                ..base()
            },
            MigrateOptions { durability: Durability::Each, ..base() },
            MigrateOptions { durability: Durability::Group, ..base() },
        ];
        for varied in variants {
            whole(&varied).assert_same(expected, &format!("{varied:?}"));
        }
    }
}

/// On a file system that shares blocks, objects go through files. On others they stay in memory.
#[test]
fn a_file_system_that_shares_blocks_makes_no_difference() {
    for (compress, expected) in COMPRESS.into_iter().zip(&*EXPECTED) {
        for count in [1, 4] {
            let varied = MigrateOptions {
                run: RunOptions { parallel_workers: workers(count), ..options(compress).run },
                ..options(compress)
            };
            let shared = whole_on(Arc::new(Sharing(RealDisk)), &varied);
            shared.assert_same(expected, &format!("{varied:?} on a disk that shares blocks"));
        }
    }
}

/// zstd makes different frames in a stream and in one call. Only the object may decide which of them is used.
#[test]
fn the_frame_of_an_object_does_not_depend_on_the_file_system() {
    let store = OldStore::new();
    for (number, len) in [300_000, 700_000, 1_500_000].into_iter().enumerate() {
        let content = content(number as u64, 40_000, false).repeat(len / 40_000);
        store.keep(Keeping { generation: Generation::V2, zstd: number == 1, created_at: 0 }, &content);
    }
    let run = |disk: Arc<dyn Disk>, name: &str| {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let paths = TargetPaths::new(&store.place().join(name)).unwrap();
        migrate(disk, &store.root(), &paths, &options(Compress::Zstd(3)), &control).unwrap();
        made(&paths)
    };
    assert_same(&run(Arc::new(Sharing(RealDisk)), "shared"), &run(Arc::new(RealDisk), "copied"), "zstd:3");
}

#[test]
fn links_lead_to_the_same_bytes() {
    for (compress, expected) in COMPRESS.into_iter().zip(&*EXPECTED) {
        let linked = whole(&MigrateOptions { link: Linking::Auto, ..options(compress) });
        linked.assert_same(expected, &format!("{compress}, linked"));
    }
}

/// Runs until published, each attempt stopped at the next of `events`, with other settings each time.
fn run_in_pieces(compress: Compress, events: &mut dyn Iterator<Item = usize>) -> (Target, usize) {
    let target = Target::new();
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 500, "it gets on");
        let stop = StopToken::new();
        let observer = StopAt::new(events.next().unwrap_or(usize::MAX), &stop);
        let changed = MigrateOptions {
            durability: [Durability::None, Durability::Group, Durability::Each][attempts % 3],
            run: RunOptions {
                parallel_workers: workers(1 + attempts % 3),
                batch_records: [7, 1, 40][attempts % 3],
                memory_budget_bytes: [8 << 20, 1, 512 << 20][attempts / 2 % 3],
                checkpoint_interval_records: [1, 30, 100_000][attempts % 3],
                checkpoint_interval_ms_min: 0,
                start: if has_begun(&target) && attempts % 2 == 0 { Start::Resume } else { Start::Auto },
                ..options(compress).run
            },
            ..options(compress)
        };
        let disk: Arc<dyn Disk> = if attempts % 2 == 0 { Arc::new(Sharing(RealDisk)) } else { Arc::new(RealDisk) };
        let observer: &dyn Observer = &observer;
        let end = target.migrate(disk, &changed, &Control { stop: &stop, observer });
        if end.stage == Stage::Published {
            return (target, attempts);
        }
        assert!(end.stopped && !target.paths().target().exists(), "nothing is published half");
    }
}

/// Requests a stop at the n-th event, counted from 0.
struct StopAt {
    left: AtomicUsize,
    stop: StopToken,
}

impl StopAt {
    fn new(event: usize, stop: &StopToken) -> Self {
        Self { left: AtomicUsize::new(event), stop: stop.clone() }
    }
}

impl Observer for StopAt {
    fn observe(&self, _event: &Event) {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left.is_err() || left == Ok(0) {
            self.stop.request();
        }
    }
}

fn has_begun(target: &Target) -> bool {
    target.paths().run_directory().checkpoint_path().exists()
}

#[test]
fn a_run_stopped_once_at_any_event_and_resumed_gives_the_same_store() {
    let mut stopped = 0;
    for event in (0..90).step_by(3).chain([1, 2]) {
        let (compress, expected) = (COMPRESS[event % 3], &EXPECTED[event % 3]);
        let (target, attempts) = run_in_pieces(compress, &mut [event].into_iter());
        stopped += usize::from(attempts > 1);
        target.result().assert_same(expected, &format!("{compress}, stopped at event {event}"));
    }
    assert!(stopped > 15, "{stopped} of the runs were stopped");
}

#[test]
fn a_run_stopped_again_and_again_gives_the_same_store() {
    for (compress, expected) in COMPRESS.into_iter().zip(&*EXPECTED) {
        for step in [3, 8] {
            let (target, attempts) = run_in_pieces(compress, &mut (0..200).map(|attempt| step + attempt));
            assert!(attempts > 3, "{attempts} attempts");
            target.result().assert_same(expected, &format!("{compress}, {attempts} attempts"));
        }
    }
}

#[test]
fn neither_the_store_nor_the_map_depends_on_the_attempt() {
    let target = Target::new();
    let stop = StopToken::new();
    target.migrate(Arc::new(RealDisk), &options(Compress::AsStored), &Control { stop: &stop, observer: &Silent });
    let index = fs::read_to_string(target.paths().target().join("index.ndjson")).unwrap();
    let times: Vec<u64> = index
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["created_at"].as_u64().unwrap())
        .collect();
    assert!(times.iter().all(|&time| time <= 1_700_000_200), "every time is of the source, or 0: {times:?}");
    assert!(index.lines().is_sorted() && index.ends_with('\n'));
    let map = fs::read_to_string(target.paths().map()).unwrap();
    assert!(map.lines().skip(1).is_sorted() && !map.contains("/"), "no path in it");
}
