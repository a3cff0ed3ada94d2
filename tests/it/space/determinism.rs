//! The same source gives the same store: whatever the settings of speed, and however often the run was stopped.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::files::tree;
use crate::support::space::{DELETE, STORE, Space, episode_about, records};
use crate::support::space_runs::disk;
use haul::durable::ReaderKind;
use haul::migration::{Error, RunOptions, Severity, Stage, Start};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};
use haul::space::generate::{GenerateOptions, generate};
use haul::space::log::wal::encode_record;
use haul::space::migrate::migrate;
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;
use haul::space::policy::{Collisions, Corruption, Policies, Undecodable};

const SMALL_SEGMENT_BYTES: u64 = 1_500_000;

/// The source that all tests share, and never change.
static SOURCE: LazyLock<Space> = LazyLock::new(source);

fn source() -> Space {
    let space = Space::new();
    let options = GenerateOptions { nodes: 3_000, seed: 11, files: 3 };
    let mut files = vec![Vec::new(); 3];
    generate(&options, &mut |file, chunk: &[u8]| {
        files[file as usize].extend_from_slice(chunk);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    // Damage in the middle of a file: a bad header and a bad payload; a torn and a zero tail.
    let middle = files[1].len() / 2;
    files[1][middle] ^= 1;
    files[1][20] ^= 1;
    files[0].extend([0; 1_000]);
    files[2].extend(&encode_record(1, 7, STORE, &episode_about("torn", ""))[..200]);
    for (number, bytes) in files.iter().enumerate() {
        space.log(number as u64, bytes);
    }
    // The second file once more, as an interrupted compaction leaves it, and colliding ids.
    space.log(7, &files[1][..middle]);
    let spelt = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    let large = "large ".repeat(300_000);
    space.log(
        8,
        &records(&[
            (0, STORE, episode_about(spelt, "1")),
            (1, STORE, episode_about(&spelt.to_uppercase(), "2")),
            (2, DELETE, b"a".to_vec()),
            (3, STORE, episode_about("a", &large)),
            (4, STORE, b"undecodable".to_vec()),
            (5, 4, b"".to_vec()),
        ]),
    );
    space
}

fn options() -> MigrateOptions {
    let policies = Policies {
        corruption: Corruption::Resync,
        undecodable: Undecodable::Skip,
        collisions: Collisions::Rekey,
        ..Policies::default()
    };
    MigrateOptions { policies, segment_bytes_max: SMALL_SEGMENT_BYTES, ..MigrateOptions::default() }
}

/// A place for a store of the shared source: a space whose `wal` is a link to it.
struct Target {
    directory: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(SOURCE.wal(), directory.path().join("wal")).unwrap();
        Self { directory }
    }

    fn paths(&self) -> SpacePaths {
        SpacePaths::new(self.directory.path())
    }

    fn migrate(&self, options: &MigrateOptions, control: &Control<'_>) -> Result<Stage, Error> {
        migrate(disk(), &self.paths(), options, control).map(|end| end.stage)
    }

    fn store(&self) -> Files {
        tree(&self.directory.path().join("dual-000001"))
    }

    /// Notes and refusals, in no order.
    fn findings(&self) -> Vec<String> {
        let path = self.paths().run_directory().findings_path();
        let mut lines: Vec<_> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn whole(options: &MigrateOptions) -> (Files, Vec<String>) {
    let target = Target::new();
    let stop = StopToken::new();
    let stage = target.migrate(options, &Control { stop: &stop, observer: &Silent }).unwrap();
    assert_eq!(stage, Stage::Published);
    (target.store(), target.findings())
}

/// The store and the findings that every run below must give.
static EXPECTED: LazyLock<(Files, Vec<String>)> = LazyLock::new(|| {
    whole(&MigrateOptions { run: RunOptions { parallel_workers: NonZeroUsize::MIN, ..options().run }, ..options() })
});

/// What only one of two sorted lists of findings holds.
#[track_caller]
fn assert_same_findings(found: &[String], expected: &[String], what: &str) {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| other.binary_search(line).is_err()).take(3).cloned().collect()
    };
    assert_eq!((only(found, expected), only(expected, found)), (vec![], vec![]), "{what}");
    assert_eq!(found.len(), expected.len(), "{what}");
}

#[track_caller]
fn assert_same(found: &Files, expected: &Files, what: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in found {
        assert!(*bytes == expected[name], "{}: {what}", name.display());
    }
}

#[test]
fn settings_of_speed_make_no_difference() {
    let workers = |count| MigrateOptions {
        run: RunOptions { parallel_workers: NonZeroUsize::new(count).unwrap(), ..options().run },
        ..options()
    };
    let mut variants = vec![
        ("2 workers", workers(2)),
        ("4 workers", workers(4)),
        ("mapped", MigrateOptions { reader: ReaderKind::Mmap, ..options() }),
        ("read", MigrateOptions { reader: ReaderKind::Pread, ..options() }),
        (
            "rate limit",
            MigrateOptions { run: RunOptions { rate_limit: NonZeroU32::new(200_000), ..options().run }, ..options() },
        ),
        (
            "threshold 0",
            MigrateOptions { run: RunOptions { backpressure_threshold: 0.0, ..options().run }, ..options() },
        ),
        (
            "every checkpoint",
            MigrateOptions {
                run: RunOptions { checkpoint_interval_ms_min: 0, checkpoint_interval_records: 1, ..options().run },
                ..options()
            },
        ),
        (
            "no checkpoint",
            MigrateOptions { run: RunOptions { checkpoint_interval_records: u64::MAX, ..options().run }, ..options() },
        ),
        (
            "1 byte of budget",
            MigrateOptions {
                run: RunOptions { memory_budget_bytes: 1, batch_records: 50, ..workers(2).run },
                ..workers(2)
            },
        ),
    ];
    for batch_records in [1, 7, 1_000] {
        variants
            .push(("batch size", MigrateOptions { run: RunOptions { batch_records, ..workers(2).run }, ..workers(2) }));
    }
    for mib in [8, 64, 512] {
        variants.push((
            "budget",
            MigrateOptions { run: RunOptions { memory_budget_bytes: mib << 20, ..workers(2).run }, ..workers(2) },
        ));
    }
    let source = SOURCE.source();
    for (what, variant) in &variants {
        let (store, findings) = whole(variant);
        assert_same(&store, &EXPECTED.0, what);
        assert_same_findings(&findings, &EXPECTED.1, what);
    }
    assert_eq!(SOURCE.source(), source, "the source is untouched");
}

#[test]
fn the_size_of_segments_is_part_of_the_plan() {
    let large = |workers| {
        let workers = NonZeroUsize::new(workers).unwrap();
        let default = MigrateOptions::default().segment_bytes_max;
        whole(&MigrateOptions {
            segment_bytes_max: default,
            run: RunOptions { parallel_workers: workers, ..options().run },
            ..options()
        })
        .0
    };
    let (one, two) = (large(1), large(2));
    assert_same(&two, &one, "2 workers with large segments");
    let segments = |files: &Files| files.keys().filter(|name| name.to_string_lossy().starts_with("segment")).count();
    assert_eq!(segments(&one), 1);
    assert!(segments(&EXPECTED.0) > 5);
    assert_ne!(one[Path::new("MANIFEST")], EXPECTED.0[Path::new("MANIFEST")]);
}

/// Asks for a stop at the n-th event from 0.
struct StopAt {
    left: AtomicUsize,
    stop: StopToken,
}

impl Observer for StopAt {
    fn observe(&self, _event: &Event) {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left.is_err() || left == Ok(0) {
            self.stop.request();
        }
    }
}

/// Runs until `published`, each attempt stopped at the next of `events`, with other settings each time.
fn run_in_pieces(events: &mut dyn Iterator<Item = usize>) -> (Target, usize) {
    let target = Target::new();
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 500, "it gets on");
        let stop = StopToken::new();
        let observer = StopAt { left: AtomicUsize::new(events.next().unwrap_or(usize::MAX)), stop: stop.clone() };
        let changed = MigrateOptions {
            reader: [ReaderKind::Auto, ReaderKind::Mmap, ReaderKind::Pread][attempts % 3],
            run: RunOptions {
                parallel_workers: NonZeroUsize::new(1 + attempts % 3).unwrap(),
                batch_records: [1, 300, 1_000][attempts % 3],
                memory_budget_bytes: [8 << 20, 1, 512 << 20][attempts / 2 % 3],
                checkpoint_interval_records: [1, 500, 100_000][attempts % 3],
                checkpoint_interval_ms_min: 0,
                start: if attempts > 1 && attempts % 2 == 0 { Start::Resume } else { Start::Auto },
                ..options().run
            },
            ..options()
        };
        let stage = target.migrate(&changed, &Control { stop: &stop, observer: &observer }).unwrap();
        if stage == Stage::Published {
            return (target, attempts);
        }
        assert!(!target.directory.path().join("CURRENT").exists(), "nothing is published half");
    }
}

#[test]
fn a_run_stopped_once_at_any_event_and_resumed_gives_the_same_store() {
    let mut stopped = 0;
    for event in (0..60).step_by(4).chain([1, 2, 3]) {
        let (target, attempts) = run_in_pieces(&mut [event].into_iter());
        stopped += usize::from(attempts > 1);
        assert_same(&target.store(), &EXPECTED.0, &format!("stopped at event {event}"));
        assert_same_findings(&target.findings(), &EXPECTED.1, &format!("stopped at event {event}"));
    }
    assert!(stopped > 8, "{stopped} of the runs were stopped");
}

#[test]
fn a_run_stopped_again_and_again_gives_the_same_store() {
    for step in [3, 5] {
        let (target, attempts) = run_in_pieces(&mut (0..200).map(|attempt| step + attempt));
        assert!(attempts > 2, "{attempts} attempts");
        assert_same(&target.store(), &EXPECTED.0, &format!("{attempts} attempts"));
        assert_same_findings(&target.findings(), &EXPECTED.1, &format!("{attempts} attempts"));
    }
}

#[test]
fn the_manifest_says_nothing_of_host_time_or_attempt() {
    let text = String::from_utf8(EXPECTED.0[Path::new("MANIFEST")].clone()).unwrap();
    let host = rustix_host();
    assert!(!text.contains(&host), "no host name");
    for word in ["host", "pid", "duration", "workers", "budget", "/tmp", "run_id", "_ms", "modified", "inode"] {
        assert!(!text.contains(word), "{word:?} is in the manifest");
    }
    let (document, seal) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(seal.starts_with("seal blake3:"));
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 13, "{keys:?}");
    let space = Space::new();
    space.log(1, b"").migrate(&MigrateOptions::default()).unwrap();
    assert_eq!(space.findings(Severity::Note), []);
}

fn rustix_host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or("no such host".into(), |name| name.trim().to_owned())
}
