//! Loses the power, kills the process or fails an operation at every operation of a migration, and lets the next run
//! find its way. The source is real; the target lies on the simulated disk. `docs/crash-model.md` says what it proves.
//!
//! `cargo test --test crash space:: -- --nocapture` prints how many images were tried: a sample of them unless
//! `HAUL_CRASH_FULL=1`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::sample::{is_taken, sampled_or_full, seeds, thinned};
use crate::support::space::{DELETE, STORE, Space, episode, episode_about, records};
use crate::support::written::Written;
use crate::two_hosts::take_over;
use haul::durable::{CrashFault, Disk, InjectedFault, SimulatedDisk, read_file};
use haul::migration::checkpoint::Kind;
use haul::migration::{CheckpointFile, Error, RunOptions, Stage, Start, Subset, checkpoint, exit, pointer};
use haul::pipeline::{Control, Observer, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::clean::{clean, clean_plan};
use haul::space::migrate::{MigrationEnd, migrate};
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;
use haul::space::policy::{Collisions, Policies};
use haul::space::publish::publish;
use haul::space::rollback::{RollbackEnd, rollback};
use haul::space::state::{CHECKPOINT_KIND, Progress, RunState};
use haul::space::verify::{Depth, verify_store};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Of what there is, a sample holds one in so many.
fn share() -> usize {
    sampled_or_full(11, 1)
}

fn logs() -> u64 {
    sampled_or_full(5, 6)
}

fn faults() -> impl Iterator<Item = CrashFault> {
    let scattered = seeds(2, 6).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(scattered)
}

/// A space, and what an uninterrupted migration of it gives.
pub struct Scene {
    space: Space,
    options: MigrateOptions,
    source: Files,
    /// The store, by names relative to the space.
    store: Files,
    findings: Vec<u8>,
    report: serde_json::Value,
}

impl Scene {
    /// A space with several files, a duplicate, a deletion, a collision, a gap in the sequence and a torn tail;
    /// settings that commit after every batch, roll segments and spill the sort of the index.
    pub fn new() -> Self {
        let space = Space::new();
        (0..logs()).for_each(|number| _ = space.log(number, &log(number)));
        let options = MigrateOptions {
            policies: Policies { collisions: Collisions::Rekey, ..Policies::default() },
            segment_bytes_max: 70_000,
            run: RunOptions {
                batch_records: 1,
                checkpoint_interval_records: 1,
                checkpoint_interval_ms_min: 0,
                memory_budget_bytes: 4096,
                sort_memory_bytes_min: 32 << 10,
                parallel_workers: NonZeroUsize::MIN,
                ..RunOptions::default()
            },
            ..MigrateOptions::default()
        };
        let source = space.source();
        let mut scene =
            Self { space, options, source, store: Files::new(), findings: Vec::new(), report: serde_json::Value::Null };
        let disk = scene.disk();
        assert_eq!(scene.run(&disk).unwrap().stage, Stage::Published);
        assert_eq!(scene.live(&disk).as_deref(), Some("dual-000001"));
        scene.verify(&disk, "dual-000001");
        scene.store = scene.store_files(&disk, "dual-000001");
        scene.findings = scene.state_file(&disk, "findings.jsonl").unwrap();
        scene.report = scene.report_of(&disk);
        assert!(scene.store.len() >= 6, "several segments: {:?}", scene.store.keys());
        assert!(scene.report["findings"].as_array().unwrap().len() >= 3);
        let counts = &scene.report["counts"];
        assert!(counts["duplicate_different"] == 1 && counts["skipped_deleted"] == 1, "{counts}");
        scene
    }

    pub fn root(&self) -> PathBuf {
        self.space.root()
    }

    fn paths(&self) -> SpacePaths {
        self.space.paths()
    }

    /// A disk that holds the space directory and nothing in it.
    pub fn disk(&self) -> SimulatedDisk {
        SimulatedDisk::with_directories(&[&self.root()])
    }

    pub fn run(&self, disk: &SimulatedDisk) -> Result<MigrationEnd, Error> {
        self.run_with(disk, &self.options, &Silent)
    }

    fn run_with(
        &self,
        disk: &SimulatedDisk,
        options: &MigrateOptions,
        observer: &dyn Observer,
    ) -> Result<MigrationEnd, Error> {
        let stop = StopToken::new();
        migrate(Arc::new(disk.clone()), &self.paths(), options, &Control { stop: &stop, observer })
    }

    fn restarting(&self) -> MigrateOptions {
        MigrateOptions { run: RunOptions { start: Start::Restart, ..self.options.run }, ..self.options.clone() }
    }

    pub fn live(&self, disk: &SimulatedDisk) -> Option<String> {
        pointer::read(disk, &self.root()).expect("a whole pointer")
    }

    fn state_path(&self, name: &str) -> PathBuf {
        self.root().join("migration").join(name)
    }

    fn state_file(&self, disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
        disk.snapshot().remove(&self.state_path(name))
    }

    /// The report without what depends on the attempt.
    fn report_of(&self, disk: &SimulatedDisk) -> serde_json::Value {
        let bytes = self.state_file(disk, "report.json").expect("a report");
        let mut report: serde_json::Value = serde_json::from_slice(&bytes).expect("a JSON report");
        let of_attempt = ["run_id", "duration_ms", "settings", "attempts", "phases", "stages", "peaks", "timeline"];
        of_attempt.iter().for_each(|key| _ = report.as_object_mut().unwrap().remove(*key));
        report
    }

    fn store_files(&self, disk: &SimulatedDisk, name: &str) -> Files {
        let directory = self.root().join(name);
        let files = disk.snapshot().into_iter();
        files.filter_map(|(path, bytes)| Some((path.strip_prefix(&directory).ok()?.to_path_buf(), bytes))).collect()
    }

    fn verify(&self, disk: &SimulatedDisk, name: &str) {
        let store = DualSpace::open_on(Arc::new(disk.clone()), &self.root().join(name)).expect("a sound store");
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        verify_store(Arc::new(store), Depth::Full, Subset::ALL, None, &self.options.run.engine(), &control)
            .expect("a store that verifies")
            .expect("not stopped");
    }

    /// What must hold on every image before anything is run on it: no half of a store is live.
    fn check_found(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        if let Some(name) = self.live(disk).filter(|name| name != "wal") {
            assert!(self.store_files(disk, &name) == self.store, "{name} is live and not whole: {}", what());
        }
    }

    /// What must hold after a run that ended well: this store is live and whole, and nothing else lies about.
    pub fn check_complete(&self, disk: &SimulatedDisk, name: &str, what: &dyn Fn() -> String) {
        assert_eq!(self.live(disk).as_deref(), Some(name), "{}", what());
        assert!(self.store_files(disk, name) == self.store, "the store differs: {}", what());
        assert!(self.state_file(disk, "findings.jsonl").as_ref() == Some(&self.findings), "findings: {}", what());
        let mut expected = self.report.clone();
        let target = self.root().join(name).display().to_string();
        expected["target"] = target.into();
        expected["details"]["live"] = name.into();
        assert_eq!(self.report_of(disk), expected, "{}", what());
        for directory in [self.paths().staging(), self.paths().scratch()] {
            assert_eq!(disk.kind(&directory).unwrap(), None, "{}: {}", directory.display(), what());
        }
        let known = [
            "lock",
            "plan.json",
            "checkpoint.bin",
            "checkpoint.prev",
            "journal.jsonl",
            "findings.jsonl",
            "report.json",
        ];
        let mut expected: BTreeSet<_> = known.iter().map(|name| self.state_path(name)).collect();
        expected.insert(self.root().join("CURRENT"));
        expected.extend(self.store.keys().map(|file| self.root().join(name).join(file)));
        let found: BTreeSet<_> = disk.snapshot().into_keys().collect();
        let left: Vec<_> = found.difference(&expected).collect();
        assert!(left.is_empty(), "left over {left:?}: {}", what());
    }

    /// Runs until the end on what a crash left, and loses the power once more right after it.
    pub fn recover(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.recover_into(disk, "dual-000001", what);
    }

    fn recover_into(&self, disk: &SimulatedDisk, name: &str, what: &dyn Fn() -> String) {
        self.check_found(disk, what);
        let end = self.run(disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
        assert_eq!((end.stage, end.stopped), (Stage::Published, false), "{}", what());
        self.check_complete(disk, name, what);
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        let what = || format!("{}, and the power lost after the end", what());
        assert_eq!(self.live(&lost).as_deref(), Some(name), "{}", what());
        assert!(self.store_files(&lost, name) == self.store, "the store differs: {}", what());
    }

    /// Loses the power behind every `stride`-th operation that `disk` recorded, in every way, and recovers.
    fn enumerate(
        &self,
        disk: &SimulatedDisk,
        faults: impl Iterator<Item = CrashFault>,
        stride: usize,
        what: &str,
    ) -> usize {
        let mut images = 0;
        for (turn, fault) in faults.enumerate() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                if !is_taken(after + turn, stride) {
                    continue;
                }
                self.recover(&image, &|| format!("{what}, {fault:?} behind {after}: {}", behind(disk, after)));
                images += 1;
            }
            assert!(self.space.source() == self.source, "the source is untouched");
        }
        images
    }
}

/// The records of one log file.
fn log(number: u64) -> Vec<u8> {
    let first = number * 20;
    let mut list: Vec<_> = (first..first + 9).map(|at| (at, STORE, episode(&format!("e-{at:04}")))).collect();
    match number {
        1 => list.push((first + 9, STORE, episode_about("e-0003", "told again"))),
        2 => list.push((first + 9, DELETE, b"e-0004".to_vec())),
        3 => {
            let id = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";
            list.push((first + 9, STORE, episode(id)));
            list.push((first + 10, STORE, episode(&id.to_uppercase())));
        }
        _ => list.push((first + 9, STORE, episode(&format!("e-{:04}", first + 9)))),
    }
    let mut bytes = records(&list);
    if number + 1 == logs() {
        bytes.truncate(bytes.len() - 700);
    }
    bytes
}

/// The operation before a boundary.
fn behind(disk: &SimulatedDisk, after: usize) -> String {
    after.checked_sub(1).map_or_else(|| "nothing".to_owned(), |index| disk.operation_label(index))
}

/// The first boundary behind an operation whose label holds this text.
fn boundary(disk: &SimulatedDisk, text: &str) -> usize {
    let found = (0..disk.operations()).find(|&index| disk.operation_label(index).contains(text));
    found.unwrap_or_else(|| panic!("no operation like {text:?}")) + 1
}

/// The boundary behind the first checkpoint that names records. The one before it says that a run has begun.
fn first_commit(disk: &SimulatedDisk) -> usize {
    let is_checkpoint = |&index: &usize| disk.operation_label(index).contains(".checkpoint.bin.tmp to");
    (0..disk.operations()).filter(is_checkpoint).nth(1).expect("a commit") + 1
}

fn tell(part: &str, images: usize, started: Instant) {
    println!("{part}: {images} images in {:.1} s", started.elapsed().as_secs_f64());
}

/// An uninterrupted migration and the disk that recorded it.
fn recorded(scene: &Scene) -> SimulatedDisk {
    let disk = scene.disk();
    scene.run(&disk).unwrap();
    scene.check_complete(&disk, "dual-000001", &|| "no crash".into());
    disk
}

/// Boundaries of a migration after which something else is at stake.
fn turning_points(disk: &SimulatedDisk) -> Vec<(&'static str, usize)> {
    let at = |text: &str| boundary(disk, text);
    vec![
        ("at the start", at("create directory")),
        ("with the plan half written", at(".plan.json.tmp")),
        ("with a first block", at("segment-000000.dual") + 8),
        ("with a run that has begun", at(".checkpoint.bin.tmp to")),
        ("with a first commit", first_commit(disk)),
        ("after a roll of the segment", at("segment-000001.dual") + 2),
        ("with a spilled sort", at("scratch/ids/run-000001")),
        ("within the id index", at("staging/ids.index") + 1),
        ("within the merge of the rekeyed", at("ids.unmerged") + 2),
        ("with the manifest in place", at(".MANIFEST.tmp to")),
        ("before the rename of the store", at("migration/staging to") - 1),
        ("behind the rename of the store", at("migration/staging to")),
        ("before the pointer", at(".CURRENT.tmp to") - 1),
        ("behind the pointer", at(".CURRENT.tmp to")),
        ("within the report", at(".report.json.tmp")),
    ]
}

#[test]
fn findings_of_the_index_survive_a_crash_behind_the_rename_of_the_store() {
    let scene = Scene::new();
    let first = recorded(&scene);
    let disk = first.crash_image(boundary(&first, "migration/staging to"), CrashFault::AllKept);
    scene.recover(&disk, &|| "behind the rename of the store".into());
}

#[test]
fn a_crash_within_a_restart_leaves_no_checkpoint_of_what_is_half_removed() {
    let scene = Scene::new();
    let first = recorded(&scene);
    for before in ["ids.index", ".CURRENT.tmp"] {
        let disk = first.crash_image(boundary(&first, before), CrashFault::AllKept);
        scene.run_with(&disk, &scene.restarting(), &Silent).unwrap();
        let within = boundary(&disk, "remove file") - 1..boundary(&disk, ".plan.json.tmp");
        for (after, image) in disk.crash_images(CrashFault::AllKept).enumerate().skip(within.start).take(within.len()) {
            let what = || format!("restarted before {before}, crashed behind {after}: {}", behind(&disk, after));
            scene.recover_restarted(&image, &scene.options, &what);
        }
    }
}

#[test]
fn a_rename_that_a_killed_run_left_unsynced_is_made_durable() {
    let scene = Scene::new();
    let first = recorded(&scene);
    let disk = first.kill_image(boundary(&first, "migration/staging to"));
    scene.run(&disk).unwrap();
    scene.enumerate(&disk, [CrashFault::UnsyncedDropped, CrashFault::RenamesLost].into_iter(), 1, "killed");
}

/// Of several segments that a crash left beyond the checkpoint, the one before another may be missing.
#[test]
fn segments_beyond_the_checkpoint_need_not_follow_on_each_other() {
    let scene = Scene::new();
    let first = recorded(&scene);
    let disk = first.crash_image(first_commit(&first), CrashFault::AllKept);
    let segment = |number: u32| scene.paths().staging().join(format!("segment-{number:06}.dual"));
    (1..4).for_each(|number| remove(&disk, &segment(number)));
    (2..4).for_each(|number| _ = disk.create_file(&segment(number)).unwrap());
    scene.recover(&disk, &|| "with segments 2 and 3 but no 1".into());
}

#[test]
fn a_published_run_that_died_before_its_report_writes_it() {
    let scene = Scene::new();
    let first = recorded(&scene);
    for after in boundary(&first, ".report.json.tmp") - 1..first.operations() {
        let disk = first.crash_image(after, CrashFault::AllKept);
        assert!(scene.run(&disk).unwrap().already_done);
        scene.check_complete(&disk, "dual-000001", &|| format!("died behind {}", behind(&first, after)));
    }
}

#[test]
fn a_migration_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let disk = recorded(&scene);
    let images = scene.enumerate(&disk, faults(), share(), "migration");
    tell(&format!("migration, {} operations, one worker", disk.operations()), images, started);

    let started = Instant::now();
    let options = MigrateOptions {
        run: RunOptions {
            parallel_workers: NonZeroUsize::new(2).unwrap(),
            memory_budget_bytes: 64 << 20,
            ..scene.options.run
        },
        ..scene.options.clone()
    };
    let disk = scene.disk();
    scene.run_with(&disk, &options, &Silent).unwrap();
    let images = scene.enumerate(&disk, faults(), 2 * share(), "migration with two workers");
    tell(&format!("migration, {} operations, two workers", disk.operations()), images, started);
}

#[test]
fn a_resumed_migration_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let first = recorded(&scene);
    let mut images = 0;
    for (name, after) in turning_points(&first) {
        for fault in [CrashFault::UnsyncedDropped, CrashFault::RenamesEarly] {
            let disk = first.crash_image(after, fault);
            scene.run(&disk).unwrap();
            let what = format!("resumed {name} ({fault:?})");
            images += scene.enumerate(&disk, faults(), 6 * share(), &what);
        }
    }
    tell("resume after a loss of power", images, started);
}

/// A killed process leaves on the disk what is not durable yet; the power may still take it from the run that resumes.
#[test]
fn a_migration_resumed_after_a_kill_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let first = recorded(&scene);
    let mut images = 0;
    for after in thinned(0..=first.operations(), share()) {
        let what = format!("killed behind {after}: {}", behind(&first, after));
        let disk = first.kill_image(after);
        scene.recover(&disk, &|| what.clone());
        let seed = after as u64;
        let lossy = [
            CrashFault::UnsyncedDropped,
            CrashFault::RenamesLost,
            CrashFault::ScatteredWrites(seed),
            CrashFault::ScatteredNames(seed),
        ];
        images += 1 + scene.enumerate(&disk, lossy.into_iter(), 41, &what);
    }
    for (name, after) in turning_points(&first) {
        let disk = first.kill_image(after);
        scene.run(&disk).unwrap();
        images += scene.enumerate(&disk, faults(), 6 * share(), &format!("killed {name}"));
    }
    tell("resume after a kill", images, started);
}

#[test]
fn a_restart_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let first = recorded(&scene);
    let mut images = 0;
    let points = turning_points(&first).into_iter().skip(3).step_by(2);
    for (name, after) in points.chain([("when published", first.operations())]) {
        let disk = first.crash_image(after, CrashFault::AllKept);
        scene.run_with(&disk, &scene.restarting(), &Silent).unwrap();
        for (turn, fault) in faults().enumerate() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                if !is_taken(after + turn, 6 * share()) {
                    continue;
                }
                let what = || format!("restarted {name}, {fault:?} behind {after}: {}", behind(&disk, after));
                let options = if turn.is_multiple_of(2) { scene.options.clone() } else { scene.restarting() };
                scene.recover_restarted(&image, &options, &what);
                images += 1;
            }
        }
        assert!(scene.space.source() == scene.source, "the source is untouched");
    }
    tell("restart", images, started);
}

impl Scene {
    /// Runs until the end on what a crash left of a restart. An earlier store may stay beside the live one, whole or
    /// not at all.
    fn recover_restarted(&self, disk: &SimulatedDisk, options: &MigrateOptions, what: &dyn Fn() -> String) {
        self.check_found(disk, what);
        self.run_with(disk, options, &Silent).unwrap_or_else(|error| panic!("{error}: {}", what()));
        let live = self.live(disk).expect("a live store");
        for entry in disk.list(&self.root()).unwrap() {
            let name = entry.name.to_str().unwrap();
            if name.starts_with("dual-") && name != live {
                assert!(self.store_files(disk, name) == self.store, "{name} is a remnant: {}", what());
                remove(disk, &self.root().join(name));
            }
        }
        self.check_complete(disk, &live, what);
    }
}

fn remove(disk: &SimulatedDisk, directory: &Path) {
    haul::durable::remove_tree(disk, directory).unwrap();
}

#[test]
fn a_failing_operation_ends_a_run_that_can_be_resumed() {
    let started = Instant::now();
    let scene = Scene::new();
    let (mut failures, mut tolerated) = (0, 0);
    for kind in InjectedFault::ALL {
        for n in thinned(0.., share()) {
            let disk = scene.disk();
            disk.fail_operation(n, kind);
            let result = scene.run(&disk);
            if disk.fault_is_pending() {
                break;
            }
            let what = || format!("{kind:?} at {n}, behind {}", behind(&disk, n));
            match result {
                Err(error) => {
                    let expected: &[u8] = match kind {
                        InjectedFault::Enospc => &[exit::TEMPORARY],
                        InjectedFault::ShortWrite => &[exit::TEMPORARY, exit::FAILED],
                        _ => &[exit::FAILED],
                    };
                    assert!(matches!(error, Error::Disk(_)), "{error}: {}", what());
                    assert!(expected.contains(&error.exit_code()), "exit {}, {error}: {}", error.exit_code(), what());
                    failures += 1;
                }
                Ok(_) => {
                    // A report that the disk does not take is a note; the next call writes it.
                    if scene.state_file(&disk, "report.json").is_some() {
                        scene.check_complete(&disk, "dual-000001", &what);
                    } else {
                        assert_eq!(scene.live(&disk).as_deref(), Some("dual-000001"), "{}", what());
                        assert!(scene.store_files(&disk, "dual-000001") == scene.store, "the store: {}", what());
                    }
                    tolerated += 1;
                }
            }
            scene.recover(&disk, &what);
        }
    }
    assert!(scene.space.source() == scene.source, "the source is untouched");
    tell(&format!("failing operations ({tolerated} tolerated)"), failures + tolerated, started);
}

#[test]
fn a_full_disk_is_temporary() {
    let scene = Scene::new();
    let whole: usize = recorded(&scene).snapshot().values().map(Vec::len).sum();
    let mut failures = 0;
    for percent in (5..100).step_by(sampled_or_full(30, 5)) {
        let disk = scene.disk();
        disk.set_capacity((whole * percent / 100) as u64);
        let error = scene.run(&disk).expect_err("a full disk");
        assert_eq!(error.exit_code(), exit::TEMPORARY, "{percent} %: {error}");
        assert!(error.next_step().is_some_and(|next| next.contains("free space")), "{error}");
        disk.set_capacity(1 << 40);
        scene.recover(&disk, &|| format!("disk full at {percent} %"));
        failures += 1;
    }
    println!("full disks: {failures}");
}

/// Everything below `migration/` that a refused run must leave alone.
fn staged(scene: &Scene, disk: &SimulatedDisk) -> Files {
    let kept = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.starts_with(scene.paths().staging()) || name.starts_with("checkpoint") || name == "plan.json"
    };
    disk.snapshot().into_iter().filter(|(path, _)| kept(path)).collect()
}

/// The checkpoint as a haul writes it that knows more policies. Its digest is right.
fn with_newer_rules(path: &Path, state: &RunState) -> Vec<u8> {
    #[derive(checkpoint::Encode)]
    struct NewerRules {
        policies: [u32; 8],
        segment_bytes_max: u64,
    }
    let rules = NewerRules { policies: [9; 8], segment_bytes_max: state.rules.segment_bytes_max };
    let RunState {
        plan_digest, run_id, stage, durability, findings_bytes, records, counts, progress, attempts, ..
    } = state.clone();
    let newer = haul::migration::RunState {
        plan_digest,
        run_id,
        stage,
        durability,
        findings_bytes,
        records,
        counts,
        rules,
        progress,
        attempts,
    };
    checkpoint::encode(CHECKPOINT_KIND, path, &newer).unwrap()
}

#[test]
fn a_checkpoint_that_cannot_be_continued_is_refused() {
    let scene = Scene::new();
    let first = recorded(&scene);
    let after = first_commit(&first);
    let path = scene.state_path("checkpoint.bin");
    let whole = read_file(&first.crash_image(after, CrashFault::AllKept), &path, 1 << 20).unwrap();
    let state: RunState = checkpoint::decode(CHECKPOINT_KIND, &path, &whole).unwrap();
    let torn = |len: usize| whole[..len].to_vec();
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= byte;
        bytes
    };
    let foreign = RunState { plan_digest: [7; 32], ..state.clone() };
    let longer = Progress { segment_bytes: state.progress.segment_bytes + (1 << 20), ..state.progress.clone() };
    let longer = RunState { progress: longer, ..state.clone() };
    let encode = |kind, state: &RunState| checkpoint::encode(kind, &path, state).unwrap();
    let foreign_kind = Kind { tag: *b"cas\0\0\0\0\0", ..CHECKPOINT_KIND };
    let cases: [(&str, Vec<u8>, u8, &str); 11] = [
        ("empty", Vec::new(), 65, "torn"),
        ("torn in the header", torn(40), 65, "torn"),
        ("torn at a sector", torn(whole.len().min(512) - 1), 65, "torn"),
        ("a bit flipped", changed(100, 1), 65, "digest"),
        ("no checkpoint", changed(0, 1), 65, "not a checkpoint"),
        ("an older version", changed(8, 3), 2, "format version 1"),
        ("a newer version", changed(8, 1), 2, "format version 3"),
        ("rules of another version", with_newer_rules(&path, &state), 65, "cannot decode"),
        ("another kind", encode(foreign_kind, &state), 2, "another kind"),
        ("another plan", encode(CHECKPOINT_KIND, &foreign), 2, "another plan"),
        ("more than is staged", encode(CHECKPOINT_KIND, &longer), 65, "checkpoint says"),
    ];
    for (name, bytes, code, reason) in cases {
        let disk = first.crash_image(after, CrashFault::AllKept);
        let file = disk.open_file(&path).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        file.write_all_at(0, &bytes).unwrap();
        let before = staged(&scene, &disk);
        for start in [Start::Auto, Start::Resume] {
            let options = MigrateOptions { run: RunOptions { start, ..scene.options.run }, ..scene.options.clone() };
            let error = scene.run_with(&disk, &options, &Silent).expect_err(name);
            assert_eq!(error.exit_code(), code, "{name}: {error}");
            assert!(error.to_string().contains(reason), "{name}: {error}");
            assert!(error.next_step().is_some_and(|next| next.contains("--restart") || name == "a newer version"));
            assert!(staged(&scene, &disk) == before, "{name}: the state of the run is untouched");
        }
        scene.run_with(&disk, &scene.restarting(), &Silent).expect(name);
        scene.check_complete(&disk, "dual-000001", &|| name.into());
    }
    let disk = first.crash_image(after, CrashFault::AllKept);
    let options = MigrateOptions { policies: Policies::default(), ..scene.options.clone() };
    let error = scene.run_with(&disk, &options, &Silent).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE, "{error}");
    scene.recover(&disk, &|| "refused under another plan before".into());
    assert!(scene.space.source() == scene.source, "the source is untouched");
}

/// A run that records how far it had come, and whose writer waits for the disk.
fn paced(scene: &Scene, options: &MigrateOptions) -> (SimulatedDisk, Written) {
    for _ in 0..20 {
        let disk = scene.disk();
        let written = Written::new(&disk, Some(options.run.checkpoint_interval_records));
        scene.run_with(&disk, options, &written).unwrap();
        if !written.got_ahead() {
            return (disk, written);
        }
    }
    panic!("commits that are due are not made");
}

/// The most records that a crash made the next run read again, over all boundaries and faults.
fn most_work_lost(scene: &Scene, disk: &SimulatedDisk, first: &Written) -> (u64, usize) {
    let total = first.records();
    let (mut lost_max, mut images) = (0, 0);
    for fault in faults().skip(1) {
        for (after, image) in thinned(disk.crash_images(fault).enumerate(), share()) {
            let again = Written::new(&image, None);
            scene.run_with(&image, &scene.options, &again).unwrap();
            // What is read once more by both runs together was lost; what the first had not come to was not.
            lost_max = lost_max.max((first.before(after) + again.records()).saturating_sub(total));
            images += 1;
        }
    }
    (lost_max, images)
}

#[test]
fn no_more_work_is_lost_than_a_checkpoint_interval() {
    let started = Instant::now();
    let scene = Scene::new();
    let mut images = 0;
    for interval in [1, 15, 30] {
        let options = MigrateOptions {
            run: RunOptions { checkpoint_interval_records: interval, ..scene.options.run },
            ..scene.options.clone()
        };
        let (disk, first) = paced(&scene, &options);
        let (lost, tried) = most_work_lost(&scene, &disk, &first);
        let batch = first.batch_records_max();
        println!("work lost: at most {lost} records, interval {interval}, batches of up to {batch}");
        // A commit falls due with the batch that completes the interval, and one more is written while it is made.
        assert!(lost < interval + 2 * batch, "{lost} records of {interval}, {batch} and {batch}");
        images += tried;
    }
    let disk = scene.disk();
    let first = Written::new(&disk, None);
    let options = MigrateOptions {
        run: RunOptions { checkpoint_interval_records: 15, ..scene.options.run },
        ..scene.options.clone()
    };
    scene.run_with(&disk, &options, &first).unwrap();
    let (lost, tried) = most_work_lost(&scene, &disk, &first);
    println!("work lost: at most {lost} records, interval 15, writer free to get ahead of the disk");
    tell("work lost", images + tried, started);
}

#[test]
fn a_checkpoint_file_is_found_where_the_crash_left_it() {
    let scene = Scene::new();
    let disk = recorded(&scene);
    let file = CheckpointFile::new(scene.state_path(""), CHECKPOINT_KIND);
    let mut records_before = 0;
    for (after, image) in disk.crash_images(CrashFault::UnsyncedDropped).enumerate() {
        let state: Option<RunState> = file.load(&image).unwrap();
        let records = state.map_or(0, |state| state.records);
        assert!(records >= records_before, "a checkpoint went back behind {after}: {}", behind(&disk, after));
        records_before = records;
    }
}

impl Scene {
    fn roll_back(&self, disk: &SimulatedDisk) -> Result<RollbackEnd, Error> {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        rollback(Arc::new(disk.clone()), &self.paths(), &self.options, &control)
    }

    fn publish_again(&self, disk: &SimulatedDisk) -> Result<MigrationEnd, Error> {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        publish(Arc::new(disk.clone()), &self.paths(), &self.options, &control)
    }

    /// What must hold however far a change of the pointer came: one of the two is live, and the store is whole.
    fn check_either(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        let live = self.live(disk);
        assert!(matches!(live.as_deref(), Some("wal" | "dual-000001")), "{live:?}: {}", what());
        assert!(self.store_files(disk, "dual-000001") == self.store, "the store differs: {}", what());
    }

    /// Rolls back until the end on what a crash left, then publishes again.
    fn recover_rollback(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_either(disk, what);
        self.roll_back(disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        for disk in [disk, &lost] {
            self.check_either(disk, what);
            assert_eq!(self.live(disk).as_deref(), Some("wal"), "{}", what());
            let file = CheckpointFile::new(self.state_path(""), CHECKPOINT_KIND);
            let state: RunState = file.load(disk).unwrap().expect("a checkpoint");
            assert_eq!(state.stage, Stage::RolledBack, "{}", what());
        }
        self.recover_publish(&lost, what);
    }

    fn recover_publish(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_either(disk, what);
        self.publish_again(disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
        self.check_complete(disk, "dual-000001", what);
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        assert_eq!(self.live(&lost).as_deref(), Some("dual-000001"), "{}", what());
        self.check_either(&lost, what);
    }

    /// Every boundary of what `disk` recorded, by every fault and as a kill.
    fn each_image(
        &self,
        disk: &SimulatedDisk,
        what: &str,
        recover: impl Fn(&SimulatedDisk, &dyn Fn() -> String),
    ) -> usize {
        let mut images = 0;
        for (turn, fault) in faults().enumerate() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                if is_taken(after + turn, share()) {
                    recover(&image, &|| format!("{what}, {fault:?} behind {after}: {}", behind(disk, after)));
                    images += 1;
                }
            }
        }
        for after in 0..=disk.operations() {
            recover(&disk.kill_image(after), &|| format!("{what}, killed behind {after}: {}", behind(disk, after)));
            images += 1;
        }
        assert!(self.space.source() == self.source, "the source is untouched");
        images
    }
}

#[test]
fn a_rollback_and_a_second_publication_survive_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let first = recorded(&scene);
    let disk = first.crash_image(first.operations(), CrashFault::AllKept);
    assert_eq!(scene.roll_back(&disk).unwrap().store.as_deref(), Some("dual-000001"));
    let images = scene.each_image(&disk, "rollback", |image, what| scene.recover_rollback(image, what));
    tell(&format!("rollback, {} operations", disk.operations()), images, started);

    let started = Instant::now();
    let rolled_back = disk.crash_image(disk.operations(), CrashFault::AllKept);
    let resumed = rolled_back.crash_image(0, CrashFault::AllKept);
    scene.publish_again(&rolled_back).unwrap();
    let images = scene.each_image(&rolled_back, "publish", |image, what| scene.recover_publish(image, what));
    tell(&format!("publish again, {} operations", rolled_back.operations()), images, started);

    // The migration itself publishes a rolled-back run again too.
    let started = Instant::now();
    scene.run(&resumed).unwrap();
    let images = scene.each_image(&resumed, "migrate again", |image, what| scene.recover(image, what));
    tell(&format!("migrate after a rollback, {} operations", resumed.operations()), images, started);

    let mut failures = 0;
    for kind in InjectedFault::ALL {
        for n in 0.. {
            let disk = first.crash_image(first.operations(), CrashFault::AllKept);
            disk.fail_operation(n, kind);
            let result = scene.roll_back(&disk);
            if disk.fault_is_pending() {
                break;
            }
            let error = result.expect_err("a failed operation");
            assert!(matches!(error, Error::Disk(_)), "{error}");
            scene.recover_rollback(&disk, &|| format!("{kind:?} at {n} of a rollback"));
            failures += 1;
        }
    }
    println!("rollback, failing operations: {failures}");
}

impl Scene {
    fn clean_all(&self, disk: &SimulatedDisk) -> Result<u64, Error> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let items = clean_plan(disk.clone(), &self.paths())?;
        Ok(clean(disk, &self.paths(), &items)?.bytes)
    }

    /// Cleans until the end on what a crash left of a clean-up, or migrates at once.
    fn recover_clean(&self, disk: &SimulatedDisk, again: bool, what: &dyn Fn() -> String) {
        self.check_found(disk, what);
        if again {
            // What a killed clean-up removed last may come back with the next loss of power: nothing speaks of it.
            self.clean_all(disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
            let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
            self.clean_all(&lost).unwrap_or_else(|error| panic!("{error}: {}", what()));
            for disk in [disk, &lost] {
                assert_eq!(self.live(disk).as_deref(), Some("wal"), "{}", what());
                let names: Vec<_> = disk.list(&self.root()).unwrap().into_iter().map(|entry| entry.name).collect();
                assert_eq!(names, ["CURRENT", "migration"], "{}", what());
            }
            self.recover(&lost, what);
        } else {
            self.recover_restarted(disk, &self.options, what);
        }
    }
}

#[test]
fn a_clean_up_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new();
    let first = recorded(&scene);
    let published = first.crash_image(first.operations(), CrashFault::AllKept);
    assert_eq!(scene.clean_all(&published).unwrap(), 0);
    scene.check_complete(&published, "dual-000001", &|| "nothing to clean".into());
    scene.roll_back(&published).unwrap();
    let disk = published.crash_image(published.operations(), CrashFault::AllKept);
    assert!(scene.clean_all(&disk).unwrap() > 0);
    let mut images = 0;
    for again in [true, false] {
        let recover = |image: &SimulatedDisk, what: &dyn Fn() -> String| scene.recover_clean(image, again, what);
        images += scene.each_image(&disk, "clean", recover);
    }
    tell(&format!("clean, {} operations", disk.operations()), images, started);
}

#[test]
fn whoever_takes_a_space_over_ends_it_and_the_other_is_told_so() {
    let scene = Scene::new();
    take_over(
        || scene.disk(),
        |disk, observer| scene.run_with(disk, &scene.options, observer),
        |disk, about| scene.check_complete(disk, "dual-000001", about),
        &scene.root().join("migration"),
    );
}
