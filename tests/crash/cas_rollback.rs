//! Rollbacks of a migration: the source is checked and the target is restored, whatever happened in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sample::{is_taken, sampled_or_full, seeds, thinned};
use crate::support::nodes::{Node, tree};
use crate::support::old_objects::{object_path, zstd};
use crate::support::old_store::OldStore;
use crate::support::store_runs::{eager, stopped, with};
use haul::cas::Algorithm;
use haul::cas::format::record::parse;
use haul::cas::migrate::migrate;
use haul::cas::options::{Linking, MigrateOptions, Placement};
use haul::cas::rollback::{RollbackEnd, RollbackRequest, rollback};
use haul::cas::source::location::Shape;
use haul::cas::state::{CHECKPOINT_KIND, RunState};
use haul::durable::{CrashFault, Disk, InjectedFault, RealDisk, SimulatedDisk};
use haul::migration::{CheckpointFile, Error, RunOptions, Stage, Start, checkpoint, exit, journal};

const PLACEMENTS: [Placement; 3] = [Placement::New, Placement::Replace, Placement::Merge];

fn placed(placement: Placement) -> MigrateOptions {
    MigrateOptions { placement, ..eager() }
}

fn sealed(placement: Placement) -> MigrateOptions {
    MigrateOptions { publish: false, ..placed(placement) }
}

/// A source with an object of each kind: every algorithm, a duplicate, zstd, a large one, good and bad sidecars, and
/// refused objects.
fn source() -> OldStore {
    let store = OldStore::new();
    let large = vec![7; (4 << 20) + 3];
    store
        .object(Algorithm::Sha256, b"one", Shape::Flat)
        .object(Algorithm::Blake2s, b"one", Shape::TwoLevels)
        .object(Algorithm::Blake3, b"two", Shape::OneLevel)
        .sidecar(Algorithm::Blake3, b"two", Shape::OneLevel, 9)
        .stored(Algorithm::Cas, b"three", &zstd(b"three"), Shape::TwoLevels)
        .sidecar_of(Algorithm::Cas, b"three", &zstd(b"three"), Shape::TwoLevels, 8)
        .object(Algorithm::Cas, &large, Shape::TwoLevels)
        .file(&format!("{}.meta", object_path(Algorithm::Cas, &large, Shape::TwoLevels)), &vec![b'x'; 100_000])
        .stored(Algorithm::Cas, b"damaged", b"damagex", Shape::TwoLevels)
        .file("objects/README", b"not an object");
    symlink("/nowhere", store.root().join(object_path(Algorithm::Cas, b"link", Shape::Flat))).unwrap();
    fs::create_dir(store.root().join(object_path(Algorithm::Cas, b"directory", Shape::Flat))).unwrap();
    store
}

/// Puts a v2 store at the target, made from another source, with what such a store may have on it: foreign files,
/// modes, and an index that was cut short.
fn prepare(store: &OldStore, placement: Placement) {
    if placement == Placement::New {
        return;
    }
    let other = OldStore::new();
    for content in [&b"one"[..], b"before", b"also before"] {
        other.object(Algorithm::Cas, content, Shape::TwoLevels).sidecar(Algorithm::Cas, content, Shape::TwoLevels, 5);
    }
    with(|control| migrate(Arc::new(RealDisk), &other.root(), &store.paths(), &eager(), control)).unwrap();
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
    let index = store.target().join("index.ndjson");
    let mut bytes = fs::read(&index).unwrap();
    bytes.truncate(bytes.len() - 40);
    fs::write(&index, bytes).unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(store.target().join("notes"), b"mine").unwrap();
}

fn roll_back(store: &OldStore) -> Result<RollbackEnd, Error> {
    roll_back_with(store, false)
}

fn roll_back_with(store: &OldStore, force: bool) -> Result<RollbackEnd, Error> {
    let before = store.seen();
    let end = with(|control| {
        rollback(Arc::new(RealDisk), &store.paths(), &eager(), &RollbackRequest { force, source: None }, control)
    });
    assert_eq!(store.seen(), before, "the source is untouched");
    end
}

fn state(store: &OldStore) -> RunState {
    let file = CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND);
    file.load(&RealDisk).unwrap().expect("a checkpoint")
}

fn set_stage(store: &OldStore, stage: Stage) {
    let file = CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND);
    file.store(&RealDisk, &RunState { stage, ..state(store) }).unwrap();
}

fn events(store: &OldStore) -> Vec<String> {
    let entries = journal::read(&RealDisk, store.paths().run_directory().path()).unwrap().entries;
    entries.into_iter().map(|entry| entry.event).collect()
}

/// The names in the run directory.
fn kept(store: &OldStore) -> BTreeSet<String> {
    let entries = fs::read_dir(store.paths().run_directory().path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const KEPT_ALWAYS: [&str; 9] = [
    "checkpoint.bin",
    "checkpoint.prev",
    "findings.jsonl",
    "journal.jsonl",
    "key-map.reverse",
    "key-map.tsv",
    "lock",
    "plan.json",
    "report.json",
];

fn always() -> BTreeSet<String> {
    KEPT_ALWAYS.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_rollback_restores_the_state_before_the_publication() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        let before = tree(&store.target());
        store.migrate(&placed(placement)).unwrap();
        assert_ne!(tree(&store.target()), before);
        let end = roll_back(&store).unwrap();
        assert_eq!(tree(&store.target()), before, "{placement}");
        let sum = (3 + 3 + 3 + zstd(b"three").len() + (4 << 20) + 3 + 7) as u64;
        assert!(!end.already_rolled_back && !end.stopped && end.placement == placement);
        // Links and directories have lengths of their own.
        assert!(end.source_objects == 8 && end.source_bytes >= sum, "{end:?}");
        assert_eq!(state(&store).stage, Stage::RolledBack);
        assert_eq!(events(&store).last().unwrap(), "rolled-back");
        assert_eq!(kept(&store), always(), "{placement}");
    }
}

#[test]
fn a_rollback_of_a_linked_store_leaves_the_source_unchanged() {
    let store = source();
    let before = store.seen();
    store.migrate(&MigrateOptions { link: Linking::Auto, ..eager() }).unwrap();
    roll_back(&store).unwrap();
    assert!(!store.target().exists());
    assert_eq!(store.seen(), before);
}

#[test]
fn a_second_rollback_changes_nothing() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        store.migrate(&placed(placement)).unwrap();
        roll_back(&store).unwrap();
        // Files that are created there later must not affect it.
        fs::create_dir_all(store.target()).unwrap();
        fs::write(store.target().join("new"), b"new").unwrap();
        let (target, journal) = (tree(&store.target()), events(&store));
        let end = roll_back(&store).unwrap();
        assert!(end.already_rolled_back && end.source_objects == 0, "{end:?}");
        assert_eq!((tree(&store.target()), events(&store)), (target, journal));
    }
}

#[test]
fn a_rollback_without_a_publication_is_an_error() {
    let store = source();
    let refused = |store: &OldStore| {
        let error = roll_back(store).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{error}");
        assert!(error.to_string().contains("was published"), "{error}");
    };
    refused(&store);
    assert!(!store.paths().run_directory().path().exists(), "nothing is created");
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        let before = tree(&store.target());
        stopped(|control| migrate(Arc::new(RealDisk), &store.root(), &store.paths(), &placed(placement), control))
            .unwrap();
        refused(&store);
        assert_eq!(store.migrate(&sealed(placement)).unwrap().stage, Stage::Verified);
        let staged = tree(&store.paths().staging());
        refused(&store);
        assert_eq!((tree(&store.target()), tree(&store.paths().staging())), (before, staged));
        assert_eq!(store.migrate(&placed(placement)).unwrap().stage, Stage::Published);
    }
}

#[test]
fn a_rollback_refuses_a_source_that_changed() {
    type Change = fn(&OldStore);
    let changes: [(&str, Change); 9] = [
        ("a byte of a blob", |store| {
            let path = store.root().join(object_path(Algorithm::Sha256, b"one", Shape::Flat));
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, b"onf").unwrap();
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }),
        ("a byte of a large blob", |store| {
            let mut bytes = vec![7; (4 << 20) + 3];
            let path = store.root().join(object_path(Algorithm::Cas, &bytes, Shape::TwoLevels));
            bytes[1 << 20] = 8;
            fs::write(path, bytes).unwrap();
        }),
        ("a byte of what was refused", |store| {
            _ = store.stored(Algorithm::Cas, b"damaged", b"damagey", Shape::TwoLevels);
        }),
        ("a sidecar", |store| _ = store.sidecar(Algorithm::Blake3, b"two", Shape::OneLevel, 10)),
        ("a sidecar that came", |store| _ = store.sidecar(Algorithm::Sha256, b"one", Shape::Flat, 10)),
        ("an object that came", |store| _ = store.object(Algorithm::Cas, b"late", Shape::Flat)),
        ("an object that went", |store| {
            fs::remove_file(store.root().join(object_path(Algorithm::Blake2s, b"one", Shape::TwoLevels))).unwrap();
        }),
        ("a link that became a file", |store| {
            let path = object_path(Algorithm::Cas, b"link", Shape::Flat);
            fs::remove_file(store.root().join(&path)).unwrap();
            store.file(&path, b"");
        }),
        ("all of it", |store| fs::remove_dir_all(store.root()).unwrap()),
    ];
    for (what, change) in changes {
        let store = source();
        store.migrate(&eager()).unwrap();
        change(&store);
        let (target, journal) = (tree(&store.target()), events(&store));
        for force in [false, true] {
            let error = roll_back_with(&store, force).unwrap_err();
            assert!(matches!(error, Error::Verification { .. }), "{what}: {error}");
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{what}");
        }
        assert_eq!((tree(&store.target()), events(&store)), (target, journal), "{what}");
        assert_eq!((state(&store).stage, kept(&store).contains("scratch")), (Stage::Published, false), "{what}");
    }
}

/// Writes the checkpoint as a version of haul with another placement would.
fn store_newer_rules(store: &OldStore) {
    #[derive(checkpoint::Encode)]
    struct NewerRules {
        compress: u32,
        placement: u32,
        strict: bool,
    }
    let RunState {
        plan_digest, run_id, stage, durability, findings_bytes, records, counts, progress, attempts, ..
    } = state(store);
    let rules = NewerRules { compress: 0, placement: 99, strict: false };
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
    let file = CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND);
    file.store(&RealDisk, &newer).unwrap();
}

fn assert_rules_unknown(error: &Error) {
    assert!(matches!(error, Error::State { .. }), "{error}");
    assert_eq!(error.exit_code(), exit::BAD_DATA);
    let version = format!("haul {} cannot decode this checkpoint", env!("CARGO_PKG_VERSION"));
    assert!(error.to_string().contains(&version), "{error}");
    assert!(error.next_step().unwrap().starts_with("use the version of haul that began the run"), "{error}");
}

#[test]
fn a_run_with_unknown_rules_is_neither_rolled_back_nor_continued() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        store.migrate(&placed(placement)).unwrap();
        store_newer_rules(&store);
        let checkpoint = || fs::read(store.paths().run_directory().checkpoint_path()).unwrap();
        let (target, before) = (tree(&store.target()), checkpoint());
        for force in [false, true] {
            assert_rules_unknown(&roll_back_with(&store, force).unwrap_err());
        }
        assert_rules_unknown(&store.migrate(&placed(placement)).unwrap_err());
        assert_eq!((tree(&store.target()), checkpoint()), (target, before), "nothing is touched");
    }
}

#[test]
fn a_restart_after_unknown_rules_keeps_the_store_at_the_target() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        let before = tree(&store.target());
        store.migrate(&sealed(placement)).unwrap();
        store_newer_rules(&store);
        let run = RunOptions { start: Start::Restart, ..eager().run };
        let end = store.migrate(&MigrateOptions { run, ..placed(placement) }).unwrap();
        assert_eq!((end.stage, end.resumed), (Stage::Published, false), "{placement}");
        roll_back(&store).unwrap();
        assert_eq!(tree(&store.target()), before, "{placement}");
    }
}

#[test]
fn other_files_and_file_times_do_not_prevent_a_rollback() {
    let store = source();
    store.migrate(&eager()).unwrap();
    store.file("objects/CHANGES", b"foreign").file("objects/ab/.tmp_7", b"");
    let path = store.root().join(object_path(Algorithm::Sha256, b"one", Shape::Flat));
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"one").unwrap();
    roll_back(&store).unwrap();
    assert!(!store.target().exists());
}

#[test]
fn a_rollback_keeps_a_changed_target_unless_forced() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        let before = tree(&store.target());
        store.migrate(&placed(placement)).unwrap();
        let index = store.target().join("index.ndjson");
        let mut bytes = fs::read(&index).unwrap();
        bytes.extend_from_slice(b"{\"put\":\"since\"}\n");
        fs::write(&index, bytes).unwrap();
        let since = tree(&store.target());
        let error = roll_back(&store).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{error}");
        assert!(error.next_step().unwrap().contains("--force"), "{error}");
        assert_eq!(tree(&store.target()), since, "{placement}");
        roll_back_with(&store, true).unwrap();
        assert_eq!(tree(&store.target()), before, "{placement}");
        assert_eq!(kept(&store), always(), "{placement}");
    }
}

#[test]
fn a_target_that_is_gone_is_no_obstacle_to_a_forced_rollback() {
    let store = source();
    store.migrate(&eager()).unwrap();
    fs::remove_dir_all(store.target()).unwrap();
    assert_eq!(roll_back(&store).unwrap_err().exit_code(), exit::USAGE);
    roll_back_with(&store, true).unwrap();
    assert_eq!((state(&store).stage, store.target().exists()), (Stage::RolledBack, false));

    let store = source();
    prepare(&store, Placement::Replace);
    let before = tree(&store.target());
    store.migrate(&placed(Placement::Replace)).unwrap();
    fs::remove_dir_all(store.target()).unwrap();
    assert_eq!(roll_back(&store).unwrap_err().exit_code(), exit::USAGE);
    roll_back_with(&store, true).unwrap();
    assert_eq!(tree(&store.target()), before);
}

#[test]
fn stores_that_look_alike_are_distinguished() {
    let store = source();
    store.migrate(&eager()).unwrap();
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
    // The same index, but a damaged blob: a store that is replaced in order to repair it.
    let blob = tree(&store.target()).into_keys().find(|path| path.as_os_str().len() > 70).unwrap();
    fs::write(store.target().join(&blob), b"damaged").unwrap();
    let damaged = tree(&store.target());
    store.migrate(&placed(Placement::Replace)).unwrap();
    assert_ne!(tree(&store.target()), damaged, "the new store is the one that is published");
    assert_eq!(tree(&store.paths().replaced()), damaged);
    roll_back(&store).unwrap();
    assert_eq!(tree(&store.target()), damaged);
}

#[test]
fn a_rollback_without_the_replaced_store_is_refused() {
    for (placement, names) in [
        (Placement::Replace, &["replaced"][..]),
        (Placement::Merge, &["moved"]),
        (Placement::Merge, &["index-before.ndjson"]),
    ] {
        let store = source();
        prepare(&store, placement);
        store.migrate(&placed(placement)).unwrap();
        for name in names {
            haul::durable::remove_tree(&RealDisk, &store.paths().run_directory().path().join(name)).unwrap();
        }
        let target = tree(&store.target());
        let error = roll_back_with(&store, true).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{error}");
        assert!(error.to_string().contains("removed"), "{error}");
        assert_eq!((tree(&store.target()), state(&store).stage), (target, Stage::Published));
    }
}

#[test]
fn a_publication_without_its_checkpoint_can_be_rolled_back() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        let before = tree(&store.target());
        store.migrate(&placed(placement)).unwrap();
        set_stage(&store, Stage::Verified);
        roll_back(&store).unwrap();
        assert_eq!((tree(&store.target()), state(&store).stage), (before, Stage::RolledBack), "{placement}");
    }
}

#[test]
fn a_stopped_rollback_changes_nothing() {
    let store = source();
    store.migrate(&eager()).unwrap();
    let target = tree(&store.target());
    let end =
        stopped(|control| rollback(Arc::new(RealDisk), &store.paths(), &eager(), &RollbackRequest::default(), control))
            .unwrap();
    assert!(end.stopped && !end.already_rolled_back);
    assert_eq!((tree(&store.target()), state(&store).stage), (target, Stage::Published));
    assert!(!kept(&store).contains("scratch"));
}

#[test]
fn one_command_at_a_time() {
    let store = source();
    store.migrate(&eager()).unwrap();
    let _lock = store.paths().run_directory().lock(&RealDisk).unwrap();
    assert_eq!(roll_back(&store).unwrap_err().exit_code(), exit::TEMPORARY);
}

#[test]
fn the_plan_has_the_absolute_path_of_the_source() {
    let store = source();
    let plan = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(store.paths().run_directory().plan_path()).unwrap()).unwrap()
    };
    store.migrate(&eager()).unwrap();
    assert!(Path::new(plan()["source"].as_str().unwrap()).is_absolute());
    let mut foreign = plan();
    foreign["digest"] = "00".into();
    fs::write(store.paths().run_directory().plan_path(), foreign.to_string()).unwrap();
    let error = roll_back(&store).unwrap_err();
    assert!(matches!(error, Error::State { damaged: true, .. }), "{error}");
    fs::write(store.paths().run_directory().plan_path(), b"{ rubbish").unwrap();
    assert!(matches!(roll_back(&store).unwrap_err(), Error::State { damaged: true, .. }));
    assert!(store.target().exists());
}

#[test]
fn a_rolled_back_run_is_repeated_on_request() {
    for placement in PLACEMENTS {
        let store = source();
        prepare(&store, placement);
        store.migrate(&placed(placement)).unwrap();
        let published = tree(&store.target());
        for _ in 0..2 {
            roll_back(&store).unwrap();
            let error = store.migrate(&placed(placement)).unwrap_err();
            assert!(error.next_step().unwrap().contains("--restart"), "{error}");
            store
                .migrate(&MigrateOptions {
                    run: RunOptions { start: Start::Restart, ..placed(placement).run },
                    ..placed(placement)
                })
                .unwrap();
            assert_eq!(tree(&store.target()), published, "{placement}");
        }
    }
}

#[test]
fn an_old_index_is_used_only_by_its_own_run() {
    let store = source();
    prepare(&store, Placement::Merge);
    store.migrate(&placed(Placement::Merge)).unwrap();
    let merged = tree(&store.target());
    // A second merge, after a clean start that left the first one's index behind.
    let second = OldStore::new();
    second.object(Algorithm::Cas, b"second", Shape::Flat);
    fs::remove_file(store.paths().run_directory().checkpoint_path()).unwrap();
    fs::remove_file(store.paths().run_directory().path().join("checkpoint.prev")).unwrap();
    let merge = placed(Placement::Merge);
    with(|control| migrate(Arc::new(RealDisk), &second.root(), &store.paths(), &merge, control)).unwrap();
    with(|control| rollback(Arc::new(RealDisk), &store.paths(), &eager(), &RollbackRequest::default(), control))
        .unwrap();
    assert_eq!(tree(&store.target()), merged, "the first merge stays");
}

#[test]
fn an_index_that_was_written_to_since_it_was_read_is_not_replaced() {
    let store = source();
    prepare(&store, Placement::Merge);
    store.migrate(&sealed(Placement::Merge)).unwrap();
    let index = store.target().join("index.ndjson");
    let mut bytes = fs::read(&index).unwrap();
    bytes.extend_from_slice(b"\n{\"put\":\"since\"}\n");
    fs::write(&index, &bytes).unwrap();
    let error = store.migrate(&placed(Placement::Merge)).unwrap_err();
    assert!(error.to_string().contains("written to since"), "{error}");
    assert_eq!(fs::read(&index).unwrap(), bytes);
    store
        .migrate(&MigrateOptions {
            run: RunOptions { start: Start::Restart, ..placed(Placement::Merge).run },
            ..placed(Placement::Merge)
        })
        .unwrap();
    assert!(fs::read(&index).unwrap().starts_with(&bytes));
}

// Crashes: the source on the real disk, the target on the simulated one.

/// Of the images that a release build tries, a debug build tries one in this many.
fn share() -> usize {
    sampled_or_full(5, 1)
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn faults() -> impl Iterator<Item = CrashFault> {
    let scattered = seeds(1, 6).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(scattered)
}

/// A source, the disk before and after its migration, and the target on both.
struct Scene {
    store: OldStore,
    placement: Placement,
    before: SimulatedDisk,
    sealed: SimulatedDisk,
    published: SimulatedDisk,
    files_before: Files,
    files_published: Files,
}

fn settled(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.crash_image(disk.operations(), CrashFault::AllKept)
}

impl Scene {
    /// `alike`: the target has the store that the migration makes.
    fn new(placement: Placement, alike: bool) -> Self {
        let store = OldStore::new();
        for (content, created_at) in [(&b"one"[..], 1), (b"two", 2), (b"three", 3)] {
            store.object(Algorithm::Sha256, content, Shape::TwoLevels);
            store.sidecar(Algorithm::Sha256, content, Shape::TwoLevels, created_at);
        }
        store.object(Algorithm::Blake3, b"three", Shape::TwoLevels);
        let mut before = SimulatedDisk::with_directories(&[store.place()]);
        if placement != Placement::New {
            let other = OldStore::new();
            let contents = if alike { [&b"one"[..], b"two", b"three"] } else { [&b"one"[..], b"before", b"also"] };
            for (content, created_at) in contents.into_iter().zip(1..) {
                other.object(Algorithm::Cas, content, Shape::TwoLevels);
                other.sidecar(Algorithm::Cas, content, Shape::TwoLevels, created_at);
            }
            let disk: Arc<dyn Disk> = Arc::new(before.clone());
            with(|control| migrate(disk, &other.root(), &store.paths(), &eager(), control)).unwrap();
            haul::durable::remove_tree(&before, store.paths().run_directory().path()).unwrap();
            before.create_file(&store.target().join("old")).unwrap();
            before = settled(&before);
        }
        let sealed_disk = settled(&before);
        store.migrate_on(Arc::new(sealed_disk.clone()), &sealed(placement)).unwrap();
        let sealed_disk = settled(&sealed_disk);
        let published = settled(&sealed_disk);
        store.migrate_on(Arc::new(published.clone()), &placed(placement)).unwrap();
        let mut scene = Self {
            placement,
            before,
            sealed: sealed_disk,
            published: settled(&published),
            files_before: Files::new(),
            files_published: Files::new(),
            store,
        };
        scene.files_before = scene.target_files(&scene.before);
        scene.files_published = scene.target_files(&scene.published);
        assert_ne!(scene.files_before, scene.files_published);
        scene
    }

    fn all() -> Vec<Self> {
        let mut scenes: Vec<_> = PLACEMENTS.into_iter().map(|placement| Self::new(placement, false)).collect();
        scenes.push(Self::new(Placement::Replace, true));
        scenes
    }

    fn files_at(&self, disk: &SimulatedDisk, directory: &Path) -> Files {
        let files = disk.snapshot().into_iter();
        files.filter_map(|(path, bytes)| Some((path.strip_prefix(directory).ok()?.to_path_buf(), bytes))).collect()
    }

    fn target_files(&self, disk: &SimulatedDisk) -> Files {
        self.files_at(disk, &self.store.target())
    }

    fn migrate(&self, disk: &SimulatedDisk, options: &MigrateOptions) -> Result<(), Error> {
        self.store.migrate_on(Arc::new(disk.clone()), options).map(|_| ())
    }

    fn roll_back(&self, disk: &SimulatedDisk) -> Result<RollbackEnd, Error> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        with(|control| rollback(disk, &self.store.paths(), &eager(), &RollbackRequest::default(), control))
    }

    fn stage(&self, disk: &SimulatedDisk) -> Stage {
        let file = CheckpointFile::new(self.store.paths().run_directory().path(), CHECKPOINT_KIND);
        file.load::<RunState>(disk).unwrap().unwrap().stage
    }

    /// Checks what must be true at every point: readers find one of the two stores, and it is complete.
    fn check_either(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        let mut found = self.target_files(disk);
        found.retain(|path, _| !path.to_str().unwrap().contains(".haul-run"));
        if self.placement != Placement::Merge {
            assert!(found == self.files_before || found == self.files_published, "neither is whole: {}", what());
            return;
        }
        let index = found.get(Path::new("index.ndjson")).unwrap_or_else(|| panic!("no index: {}", what()));
        let of = |files: &Files| files[Path::new("index.ndjson")].clone();
        assert!(*index == of(&self.files_before) || *index == of(&self.files_published), "the index: {}", what());
        for line in index.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let key = parse(line).unwrap().record.digest.to_string();
            for suffix in ["", ".meta"] {
                let path = PathBuf::from(format!("objects/{}/{}/{key}{suffix}", &key[..2], &key[2..4]));
                let bytes = self.files_published.get(&path).or(self.files_before.get(&path));
                assert!(found.get(&path) == bytes && bytes.is_some(), "{} is listed: {}", path.display(), what());
            }
        }
    }

    /// Completes the rollback on the disk that a crash left, and loses the power once more right after it.
    fn recover(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_either(disk, what);
        self.roll_back(disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        for disk in [disk, &lost] {
            assert!(self.target_files(disk) == self.files_before, "not as it was before: {}", what());
            assert_eq!(self.stage(disk), Stage::RolledBack, "{}", what());
        }
        assert!(self.roll_back(&lost).unwrap().already_rolled_back, "{}", what());
        let left: Vec<_> = self.files_at(disk, self.store.paths().run_directory().path()).into_keys().collect();
        let known = |path: &PathBuf| KEPT_ALWAYS.contains(&path.to_str().unwrap());
        assert!(left.iter().all(known), "left over {left:?}: {}", what());
    }

    fn recover_migration(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_either(disk, what);
        self.migrate(disk, &placed(self.placement)).unwrap_or_else(|error| panic!("{error}: {}", what()));
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        for disk in [disk, &lost] {
            self.check_published(disk, what);
        }
    }

    fn check_published(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        assert!(self.target_files(disk) == self.files_published, "not as published: {}", what());
        assert_eq!(disk.kind(&self.store.paths().staging()).unwrap(), None, "{}", what());
        if self.placement == Placement::Replace {
            let replaced = self.files_at(disk, &self.store.paths().replaced());
            assert!(replaced == self.files_before, "the replaced store: {}", what());
        }
    }

    /// Every boundary of what `disk` recorded, by every fault and as a kill.
    fn each_image(&self, disk: &SimulatedDisk, what: &str, recover: impl Fn(&SimulatedDisk, &dyn Fn() -> String)) {
        let mut images = 0;
        let behind = |after: usize| {
            after.checked_sub(1).map_or_else(|| "nothing".to_owned(), |index| disk.operation_label(index))
        };
        for (turn, fault) in faults().enumerate() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                if is_taken(after + turn, share()) {
                    recover(&image, &|| {
                        format!("{}, {what}, {fault:?} behind {after}: {}", self.placement, behind(after))
                    });
                    images += 1;
                }
            }
        }
        for after in thinned(0..=disk.operations(), share().div_ceil(2)) {
            let image = disk.kill_image(after);
            recover(&image, &|| format!("{}, {what}, killed behind {after}: {}", self.placement, behind(after)));
            images += 1;
        }
        println!("{}, {what}: {} operations, {images} images", self.placement, disk.operations());
    }

    /// Every boundary at which what `disk` recorded may be killed, and of what `resume` then does every boundary at
    /// which the power may take what was not durable yet.
    fn each_resumed(
        &self,
        disk: &SimulatedDisk,
        what: &str,
        resume: impl Fn(&SimulatedDisk),
        recover: impl Fn(&SimulatedDisk, &dyn Fn() -> String),
    ) {
        let mut images = 0;
        for after in thinned(0..=disk.operations(), share()) {
            let resumed = disk.kill_image(after);
            resume(&resumed);
            let seed = after as u64;
            let faults = [CrashFault::UnsyncedDropped, CrashFault::RenamesLost, CrashFault::ScatteredNames(seed)];
            for (turn, fault) in faults.into_iter().enumerate() {
                for (again, image) in resumed.crash_images(fault).enumerate().skip((after + turn) % 5).step_by(5) {
                    let behind = again.checked_sub(1).map(|index| resumed.operation_label(index));
                    recover(&image, &|| {
                        format!(
                            "{}, {what}, killed behind {after}, {fault:?} behind {again} {behind:?}",
                            self.placement
                        )
                    });
                    images += 1;
                }
            }
        }
        println!("{}, {what} resumed: {images} images", self.placement);
    }
}

#[test]
fn a_rollback_survives_the_loss_of_power() {
    for scene in Scene::all() {
        let disk = settled(&scene.published);
        scene.roll_back(&disk).unwrap();
        scene.each_image(&disk, "rollback", |image, what| scene.recover(image, what));
    }
}

#[test]
fn a_rollback_resumed_after_a_kill_survives_the_loss_of_power() {
    for scene in Scene::all() {
        let disk = settled(&scene.published);
        scene.roll_back(&disk).unwrap();
        scene.each_resumed(
            &disk,
            "rollback",
            |image| _ = scene.roll_back(image).unwrap(),
            |image, what| {
                scene.recover(image, what);
            },
        );
    }
}

#[test]
fn a_rollback_that_fails_at_any_operation_can_be_run_again() {
    for scene in Scene::all() {
        for kind in InjectedFault::ALL {
            for n in thinned(0.., share()) {
                let disk = settled(&scene.published);
                disk.fail_operation(n, kind);
                let result = scene.roll_back(&disk);
                if disk.fault_is_pending() {
                    break;
                }
                let what = || format!("{}, {kind:?} at {n}", scene.placement);
                assert!(matches!(result, Err(Error::Disk(_))), "{}: {result:?}", what());
                scene.recover(&disk, &what);
            }
        }
    }
}

#[test]
fn a_publication_survives_the_loss_of_power() {
    for scene in Scene::all() {
        let disk = settled(&scene.sealed);
        scene.migrate(&disk, &placed(scene.placement)).unwrap();
        scene.check_published(&disk, &|| "no crash".into());
        scene.each_image(&disk, "publication", |image, what| scene.recover_migration(image, what));
    }
}

#[test]
fn a_publication_resumed_after_a_kill_survives_the_loss_of_power() {
    for scene in Scene::all() {
        let disk = settled(&scene.sealed);
        let publish = |disk: &SimulatedDisk| scene.migrate(disk, &placed(scene.placement)).unwrap();
        publish(&disk);
        scene.each_resumed(&disk, "publication", publish, |image, what| scene.recover_migration(image, what));
    }
}

/// Neither the store that is replaced nor an object that was moved in is lost by starting over.
#[test]
fn a_restart_in_the_middle_of_a_publication_loses_nothing() {
    for scene in Scene::all() {
        let disk = settled(&scene.sealed);
        scene.migrate(&disk, &placed(scene.placement)).unwrap();
        let restart = MigrateOptions {
            run: RunOptions { start: Start::Restart, ..placed(scene.placement).run },
            ..placed(scene.placement)
        };
        scene.each_image(&disk, "restart", |image, what| scene.check_restarted(image, &restart, what));
    }
}

#[test]
fn a_restart_that_crashed_is_completed() {
    for scene in Scene::all() {
        let disk = settled(&scene.sealed);
        scene.migrate(&disk, &placed(scene.placement)).unwrap();
        let restart = MigrateOptions {
            run: RunOptions { start: Start::Restart, ..placed(scene.placement).run },
            ..placed(scene.placement)
        };
        for after in thinned(0..=disk.operations(), 2 * share()) {
            let restarted = disk.kill_image(after);
            // It may be refused: see above.
            let _ = scene.migrate(&restarted, &restart);
            for again in thinned(after % 3..=restarted.operations(), share().min(3)) {
                let what = || {
                    let behind = again.checked_sub(1).map(|index| restarted.operation_label(index));
                    format!("{}, killed behind {after} and {again} {behind:?}", scene.placement)
                };
                scene.check_restarted(&restarted.kill_image(again), &restart, &what);
                let image = restarted.crash_image(again, CrashFault::UnsyncedDropped);
                scene.check_restarted(&image, &restart, &what);
                // A run without --restart continues, or says that a restart is needed.
                let image = restarted.crash_image(again, CrashFault::AllKept);
                match scene.migrate(&image, &placed(scene.placement)) {
                    Ok(()) => scene.check_published(&image, &what),
                    Err(Error::State { next, .. }) => assert!(next.contains("--restart"), "{next}: {}", what()),
                    Err(error) => scene.check_refused(&image, &error, &what),
                }
            }
        }
    }
}

impl Scene {
    fn check_restarted(&self, disk: &SimulatedDisk, restart: &MigrateOptions, what: &dyn Fn() -> String) {
        self.check_either(disk, what);
        match self.migrate(disk, restart) {
            Ok(()) => self.check_published(disk, what),
            Err(error) => self.check_refused(disk, &error, what),
        }
    }

    /// It was published already, or the store that was replaced is still kept.
    fn check_refused(&self, disk: &SimulatedDisk, error: &Error, what: &dyn Fn() -> String) {
        assert_eq!(error.exit_code(), exit::USAGE, "{error}: {}", what());
        assert!(self.target_files(disk) == self.files_published, "{}", what());
        if self.placement == Placement::Replace {
            let replaced = self.files_at(disk, &self.store.paths().replaced());
            assert!(replaced == self.files_before, "the replaced store: {}", what());
        }
    }
}

#[test]
fn a_node_of_a_tree_shows_its_mode() {
    let store = OldStore::new();
    store.file("objects/x", b"x");
    assert!(matches!(tree(&store.root())[Path::new("objects/x")], Node::File { mode: 0o600..=0o666, .. }));
}
