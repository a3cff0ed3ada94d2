//! A small migration to a simulated disk, and checks of its target after interruptions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::Key;
use haul::cas::format::generation::Generation;
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::{MigrateOptions, Placement};
use haul::cas::outcome::Counts;
use haul::cas::paths::{TargetPaths, blob_path, sidecar_path};
use haul::durable::{CrashFault, Disk, SimulatedDisk};
use haul::migration::{Durability, Error, OutcomeCounts, RunOptions, Stage};
use haul::pipeline::{Control, Observer, Silent, StopToken};

use super::old_objects::{Keeping, content};
use super::old_store::OldStore;
use super::seen::Seen;
use super::sharing::Sharing;

/// Files by path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The commits of such a small migration must not wait for records or for time.
const INTERVAL_RECORDS: u64 = 4;

/// A migration from a real source to a target on a simulated disk, and its result without interruptions.
pub struct Scene {
    pub store: OldStore,
    pub options: MigrateOptions,
    /// Whether the disk reports that it shares blocks. Then objects of 64 KiB count as large.
    pub is_sharing: bool,
    /// Whether syncs of the whole file system do nothing, as on FUSE.
    pub keeps_syncs: bool,
    source: BTreeMap<PathBuf, Seen>,
    /// The files of the target before the run, by relative path.
    pub before: Files,
    /// The target afterwards.
    pub after: Files,
    /// The other files of the run directory that must not depend on the attempt.
    pub run_files: Files,
    counts: Counts,
    findings: Vec<u8>,
}

/// The numbers of the contents that are in the target before a merge or a replacement.
const CONTENTS_BEFORE: [u64; 3] = [900, 901, 3];
/// A content whose blob is in the target without a line of its index, as a writer that crashed leaves it.
const CONTENT_UNLISTED: u64 = 2;

impl Scene {
    /// Objects of every generation with a duplicate, a refused and a misplaced one, one without a sidecar, a sidecar
    /// without one, and large ones; settings that commit as often as they can. What is at the target before depends
    /// on the placement.
    pub fn new(placement: Placement, durability: Durability) -> Self {
        let store = source();
        let options = MigrateOptions {
            placement,
            durability,
            // The target is on the simulated disk.
            verify_merged_into: false,
            run: RunOptions {
                batch_records: 1,
                checkpoint_interval_records: INTERVAL_RECORDS,
                checkpoint_interval_ms_min: 0,
                sort_memory_bytes_min: 1_000,
                memory_budget_bytes: 1_000,
                parallel_workers: NonZeroUsize::MIN,
                ..RunOptions::default()
            },
            ..MigrateOptions::default()
        };
        Self::of(store, options)
    }

    /// A migration of `store`.
    pub fn of(store: OldStore, options: MigrateOptions) -> Self {
        let before = if options.placement == Placement::New { Files::new() } else { store_before() };
        let source = store.seen();
        let (after, run_files, findings) = (Files::new(), Files::new(), Vec::new());
        let (is_sharing, keeps_syncs, counts) = (true, false, Counts::default());
        let mut scene =
            Self { store, options, is_sharing, keeps_syncs, source, before, after, run_files, counts, findings };
        let disk = scene.disk();
        let end = scene.run(&disk).expect("an uninterrupted run");
        assert_eq!((end.stage, end.resumed), (Stage::Published, false));
        (scene.after, scene.counts) = (scene.target(&disk), end.counts);
        scene.run_files = scene.run_files_of(&disk);
        scene.findings = scene.state_file(&disk, "findings.jsonl").expect("findings");
        scene.check_expected();
        scene
    }

    /// Checks the uninterrupted result, with which the other runs are compared.
    fn check_expected(&self) {
        let lines = |files: &Files| files.get(Path::new("index.ndjson")).map_or(0, |index| keys_of(index).len());
        let added = usize::try_from(self.counts.migrated).expect("few");
        let (before, after) = (lines(&self.before), lines(&self.after));
        match self.options.placement {
            // The torn line of the old index is whole again.
            Placement::Merge => assert_eq!(after, before + 1 + added),
            Placement::New | Placement::Replace => assert_eq!(after, added),
        }
        if self.options.placement == Placement::Merge {
            assert_eq!(self.counts.duplicate_in_target, 1);
        }
        for key in keys_of(&self.after[Path::new("index.ndjson")]) {
            let root = Path::new("");
            assert!(self.after.contains_key(&relative(&blob_path(root, key))), "{key}");
            assert!(self.after.contains_key(&relative(&sidecar_path(root, key))), "{key}");
        }
    }

    pub fn paths(&self) -> TargetPaths {
        self.store.paths()
    }

    /// Returns a disk with the files of the target before the run.
    pub fn disk(&self) -> SimulatedDisk {
        let disk = SimulatedDisk::with_directories(&[self.store.place()]);
        for (path, bytes) in &self.before {
            disk.install_file(&self.paths().target().join(path), bytes);
        }
        if self.keeps_syncs {
            disk.keep_syncs_from_medium(self.store.place());
        }
        disk
    }

    pub fn run(&self, disk: &SimulatedDisk) -> Result<MigrationEnd, Error> {
        self.run_with(disk, &self.options, &Silent)
    }

    pub fn run_with(
        &self,
        disk: &SimulatedDisk,
        options: &MigrateOptions,
        observer: &dyn Observer,
    ) -> Result<MigrationEnd, Error> {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer };
        let disk: Arc<dyn Disk> =
            if self.is_sharing { Arc::new(Sharing(disk.clone())) } else { Arc::new(disk.clone()) };
        let end = migrate(disk, &self.store.root(), &self.paths(), options, &control)?;
        end.counts.check_sum(end.records).expect("counts that add up");
        Ok(end)
    }

    #[track_caller]
    pub fn check_source(&self) {
        assert!(self.store.seen() == self.source, "the source is untouched");
    }

    pub fn state_path(&self, name: &str) -> PathBuf {
        self.paths().run_directory().path().join(name)
    }

    pub fn state_file(&self, disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
        disk.snapshot().remove(&self.state_path(name))
    }

    /// The files of the target.
    pub fn target(&self, disk: &SimulatedDisk) -> Files {
        below(disk, self.paths().target())
    }

    /// The parts of the run directory that depend on the source alone.
    fn run_files_of(&self, disk: &SimulatedDisk) -> Files {
        let mut files = below(disk, self.paths().run_directory().path());
        let kept = ["key-map.tsv", "key-map.reverse", "moved", "index-before.ndjson"];
        files.retain(|path, _| path.starts_with("replaced") || kept.iter().any(|name| path == Path::new(name)));
        files
    }

    /// Checks every image before another run: readers of the target see the old store or the new one.
    pub fn check_found(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        let found = self.target(disk);
        match self.options.placement {
            Placement::New => {
                let is_absent = disk.kind(self.paths().target()).unwrap().is_none();
                assert!(is_absent || found == self.after, "half a store is published: {}", what());
            }
            Placement::Replace => {
                let mut found = found;
                // This file marks the run's own store until the exchange is complete. No reader uses it.
                found.remove(Path::new(".haul-run"));
                assert!(found == self.before || found == self.after, "the target is neither store: {}", what());
                let kept = [self.paths().staging(), self.paths().replaced()].map(|path| below(disk, &path));
                let is_kept = found == self.before || kept.contains(&self.before);
                assert!(is_kept, "the store that was replaced is gone: {}", what());
            }
            Placement::Merge => self.check_listed(&found, what),
        }
    }

    /// Checks that the index is the old one or the new one, and that its objects exist.
    fn check_listed(&self, found: &Files, what: &dyn Fn() -> String) {
        let index = found.get(Path::new("index.ndjson"));
        let index = index.unwrap_or_else(|| panic!("the target has no index: {}", what()));
        let whole = [&self.before, &self.after].map(|files| &files[Path::new("index.ndjson")]);
        assert!(whole.contains(&index), "the index is neither the old one nor the new: {}", what());
        for key in keys_of(index) {
            for path in [blob_path(Path::new(""), key), sidecar_path(Path::new(""), key)] {
                let path = relative(&path);
                assert!(found.get(&path) == self.after.get(&path), "{} is listed: {}", path.display(), what());
            }
        }
    }

    /// Checks the result of a run that succeeded: the target is the expected one, and no other files remain.
    pub fn check_complete(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_target(disk, what);
        let run_files = self.run_files_of(disk);
        let names = run_files.keys().chain(self.run_files.keys());
        let differing: Vec<_> = names.filter(|name| run_files.get(*name) != self.run_files.get(*name)).collect();
        assert!(differing.is_empty(), "{differing:?} differ: {}", what());
        let findings = self.state_file(disk, "findings.jsonl");
        assert!(findings.as_ref() == Some(&self.findings), "the findings differ: {}", what());
        let report = self.state_file(disk, "report.json").expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("a JSON report");
        assert_eq!(
            (report["outcome"].as_str(), report["noun"].as_str()),
            (Some("published"), Some("cas")),
            "{}",
            what()
        );
        assert_eq!(report["counts"], serde_json::to_value(self.counts).expect("plain data"), "{}", what());
        assert_eq!(report["records_read"], self.counts.sum(), "{}", what());
        self.check_left(disk, what);
    }

    pub fn check_target(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        let found = self.target(disk);
        let names = found.keys().chain(self.after.keys());
        let differing: Vec<_> = names.filter(|name| found.get(*name) != self.after.get(*name)).take(4).collect();
        assert!(differing.is_empty(), "{differing:?} differ in the target: {}", what());
    }

    /// Checks that only files that a migration keeps remain, and no scratch directory.
    fn check_left(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        let state = ["lock", "plan.json", "checkpoint.bin", "checkpoint.prev", "journal.jsonl", "findings.jsonl"];
        let mut expected: BTreeSet<_> = state.iter().map(|name| self.state_path(name)).collect();
        expected.insert(self.state_path("report.json"));
        expected.extend(self.run_files.keys().map(|path| self.paths().run_directory().path().join(path)));
        expected.extend(self.after.keys().map(|path| self.paths().target().join(path)));
        let found = disk.snapshot();
        let is_left = |path: &PathBuf| !expected.contains(path) && !self.is_map_of_earlier_run(&found, path);
        let left: Vec<_> = found.keys().filter(|path| is_left(path)).collect();
        assert!(left.is_empty(), "left over {left:?}: {}", what());
        for directory in [self.paths().scratch(), self.paths().incoming()] {
            assert_eq!(disk.kind(&directory).unwrap(), None, "{}: {}", directory.display(), what());
        }
    }

    /// This file depends only on the source, so it is the same.
    fn is_map_of_earlier_run(&self, found: &BTreeMap<PathBuf, Vec<u8>>, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("key-map-")
            && found.contains_key(&path.with_extension("tsv"))
            && found.get(path)
                == self.run_files.get(&Path::new("key-map").with_extension(path.extension().unwrap_or_default()))
    }

    /// Completes the run on the disk that a crash left, and loses the power once more right after it.
    pub fn recover(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.recover_with(disk, &self.options, what);
    }

    pub fn recover_with(&self, disk: &SimulatedDisk, options: &MigrateOptions, what: &dyn Fn() -> String) {
        self.check_found(disk, what);
        let end = self.run_with(disk, options, &Silent).unwrap_or_else(|error| panic!("{error}: {}", what()));
        assert_eq!((end.stage, end.stopped), (Stage::Published, false), "{}", what());
        self.check_complete(disk, what);
        if self.options.durability != Durability::None {
            let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
            self.check_target(&lost, &|| format!("{}, and the power lost after the end", what()));
        }
    }
}

/// Files below a directory of the disk, by names relative to it.
pub fn below(disk: &SimulatedDisk, directory: &Path) -> Files {
    let files = disk.snapshot().into_iter();
    files.filter_map(|(path, bytes)| Some((path.strip_prefix(directory).ok()?.to_path_buf(), bytes))).collect()
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_path_buf()
}

/// The keys of whole lines.
fn keys_of(index: &[u8]) -> Vec<Key> {
    let whole = index.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let lines = index[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Key::parse(&line[11..75]).expect("a key")).collect()
}

/// The old store.
fn source() -> OldStore {
    let store = OldStore::new();
    let keeping = |generation, zstd, created_at| Keeping { generation, zstd, created_at };
    store.keep(keeping(Generation::V0_2, false, 0), &content(1, 40, false));
    store.keep(keeping(Generation::V2, true, 11), &content(2, 2_000, true));
    store.keep(keeping(Generation::V0_5, false, 0), &content(3, 1_500, false));
    store.keep(keeping(Generation::V0_7, true, 0), &content(4, 900, true));
    // One content under two keys.
    store.keep(keeping(Generation::V0_7, false, 0), &content(5, 700, true));
    store.keep(keeping(Generation::V2, true, 55), &content(5, 700, true));
    // Large ones: one that stays, one that is refused when it is copied.
    store.keep(keeping(Generation::V2, false, 66), &content(6, 66_000, false));
    store.file(&format!("objects/7{}", "7".repeat(63)), &content(7, 66_001, false));
    store.file(&format!("objects/88/88/{}", "8".repeat(64)), b"not what its name says");
    let misplaced = store.keep_plain(Generation::V1_3NoIndex, &content(8, 100, false)).0;
    fs::rename(&misplaced, store.root().join("objects").join(misplaced.file_name().expect("a name"))).expect("a move");
    store.file(&format!("objects/00/{}.meta", "0".repeat(64)), b"{}");
    store.file("objects/.tmp_1", b"in flight");
    store
}

/// A v2 store with a torn line at the end of its index, and a blob without a line.
fn store_before() -> Files {
    let store = OldStore::new();
    for number in CONTENTS_BEFORE {
        store.keep(
            Keeping { generation: Generation::V2, zstd: false, created_at: number },
            &content(number, 1_500, false),
        );
    }
    let disk = SimulatedDisk::with_directories(&[store.place()]);
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let options = MigrateOptions {
        run: RunOptions { parallel_workers: NonZeroUsize::MIN, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    migrate(Arc::new(disk.clone()), &store.root(), &store.paths(), &options, &control).expect("a store");
    let mut files = below(&disk, store.paths().target());
    let index = files.get_mut(Path::new("index.ndjson")).expect("an index");
    index.truncate(index.len() - 40);
    let (unlisted, key) = store.keep(
        Keeping { generation: Generation::V2, zstd: true, created_at: 0 },
        &content(CONTENT_UNLISTED, 2_000, true),
    );
    let half = fs::read(unlisted).expect("a blob");
    files.insert(relative(&blob_path(Path::new(""), key)), half[..half.len() / 2].to_vec());
    files
}
