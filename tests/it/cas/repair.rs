//! Repairs of a v2 store: what they repair, what they leave, and what remains after a crash.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::conformance::conformance;
use crate::support::files::tree;
use crate::support::space_runs::disk;
use crate::support::v2_store::{OBJECTS, V2Store};
use haul::cas::format::record::parse;
use haul::cas::options::MigrateOptions;
use haul::cas::paths::{TargetPaths, blob_path, sidecar_path};
use haul::cas::repair::{RepairEnd, repair_dry_run, repair_store};
use haul::cas::verify::{VerifyEnd, VerifyRequest, verify_store};
use haul::durable::{CrashFault, Disk, InjectedFault, SimulatedDisk};
use haul::migration::{Error, exit};
use haul::pipeline::{Control, Event, Observer, Phase, Silent, StopToken};

fn with<T>(work: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    work(&Control { stop: &stop, observer: &Silent })
}

pub fn repair_on(disk: &Arc<dyn Disk>, root: &Path) -> Result<RepairEnd, Error> {
    with(|control| repair_store(disk, root, None, &MigrateOptions::default(), control))
}

fn repair(store: &V2Store) -> RepairEnd {
    repair_on(&disk(), &store.root()).unwrap()
}

fn dry(store: &V2Store) -> RepairEnd {
    with(|control| repair_dry_run(&store.root(), None, &MigrateOptions::default(), control)).unwrap()
}

fn verify(root: &Path) -> VerifyEnd {
    with(|control| verify_store(root, &VerifyRequest::WHOLE, &MigrateOptions::default(), control)).unwrap()
}

/// Damages a store, repairs it, and expects the original store.
#[track_caller]
fn repaired(damage: impl FnOnce(&V2Store)) {
    let store = V2Store::new();
    let sound = tree(&store.root());
    damage(&store);
    let damaged = tree(store.directory());
    assert!(verify(&store.root()).errors > 0);
    let plan = dry(&store);
    assert_eq!(tree(store.directory()), damaged, "a dry run writes nothing");
    let end = repair(&store);
    assert_eq!((end.errors, end.lines_dropped, end.objects_sound), (0, 0, OBJECTS as u64), "{:?}", end.left);
    assert_eq!(RepairEnd { dry_run: true, index_backup: None, ..end.clone() }, plan, "it does what it would have done");
    assert!(tree(&store.root()) == sound, "the store is what it was, byte for byte");
    assert_eq!(verify(&store.root()).errors, 0);
    if let Some(backup) = &end.index_backup {
        assert_eq!(fs::read(backup).unwrap(), damaged[Path::new("store/index.ndjson")], "the old index is kept");
    }
    let again = repair(&store);
    assert_eq!((again.sidecars_written, again.index_replaced, again.index_backup), (0, false, None));
}

const PLAIN: usize = 4;
const ZSTD: usize = 6;

/// One test for each row of the damage table that can be repaired.
macro_rules! repaired {
    ($($name:ident: |$store:ident| $damage:expr;)+) => {
        $(#[test] fn $name() { repaired(|$store: &V2Store| { $damage; }); })+
    };
}

repaired! {
    a_missing_sidecar: |store| fs::remove_file(store.sidecar(PLAIN)).unwrap();
    a_missing_sidecar_of_a_zstd_blob: |store| fs::remove_file(store.sidecar(ZSTD)).unwrap();
    all_sidecars_missing: |store| (0..OBJECTS).for_each(|number| fs::remove_file(store.sidecar(number)).unwrap());
    an_empty_sidecar: |store| fs::write(store.sidecar(PLAIN), b"").unwrap();
    a_sidecar_that_is_not_json: |store| fs::write(store.sidecar(PLAIN), b"not JSON").unwrap();
    a_sidecar_with_a_duplicate_key: |store|
        store.replace(&store.sidecar(PLAIN), ",\"stored", ",\"encoding\":\"identity\",\"stored");
    an_identity_blob_said_to_be_zstd: |store| store.replace_both(PLAIN, "identity", "zstd");
    a_zstd_blob_said_to_be_identity: |store| store.replace_both(ZSTD, "zstd", "identity");
    a_sidecar_of_another_object: |store| { fs::copy(store.sidecar(7), store.sidecar(PLAIN)).unwrap(); };
    an_empty_stored_blob_hash: |store| {
        let hash = store.record(PLAIN).stored_blob_hash.to_string();
        store.replace(&store.sidecar(PLAIN), &hash, "")
    };
    an_original_size_that_is_too_small: |store| store.replace_both(ZSTD, "\"original_size\":65536", "\"original_size\":1");
    an_absurd_original_size: |store|
        store.replace_both(ZSTD, "\"original_size\":65536", "\"original_size\":1000000000000000000");
    a_wrong_stored_size: |store| store.replace_both(PLAIN, "\"stored_size\":4095", "\"stored_size\":4096");
    an_empty_digest: |store| store.replace(&store.sidecar(PLAIN), &V2Store::key(PLAIN).to_string(), "");
    an_unknown_encoding: |store| store.replace(&store.sidecar(PLAIN), "identity", "gzip");
    a_deleted_index: |store| fs::remove_file(store.index()).unwrap();
    an_empty_index: |store| fs::write(store.index(), b"").unwrap();
    a_removed_line: |store| store.replace(&store.index(), &format!("{}\n", store.line(PLAIN)), "");
    a_torn_last_line: |store| store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    a_byte_order_mark: |store| store.edit(&store.index(), |bytes| drop(bytes.splice(0..0, *b"\xEF\xBB\xBF")));
    a_wrong_size_in_the_index: |store| {
        let line = store.line(PLAIN);
        store.replace(&store.index(), &line, &line.replace("\"stored_size\":4095", "\"stored_size\":1"));
    };
    foreign_lines: |store| store.edit(&store.index(), |bytes| bytes.extend(b"hello\n[1]\n"));
    no_newline_at_the_end: |store| store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 1));
    index_and_sidecars_at_once: |store| {
        fs::write(store.sidecar(PLAIN), b"").unwrap();
        store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    };
}

/// Damages a store, repairs it, and expects exactly these faults.
#[track_caller]
fn left(
    damage: impl FnOnce(&V2Store),
    lines_dropped: u64,
    sound: u64,
    left: &[(&str, u64)],
    afterwards: &[(&str, u64)],
) {
    let store = V2Store::new();
    damage(&store);
    let before = tree(&store.root());
    let end = repair(&store);
    let counts = |counts: &BTreeMap<&'static str, u64>| counts.iter().map(|(name, n)| (*name, *n)).collect::<Vec<_>>();
    assert_eq!((end.lines_dropped, end.objects_sound), (lines_dropped, sound), "{:?}", end.left);
    assert_eq!(counts(&end.left_count), left);
    assert_eq!(counts(&verify(&store.root()).faults_count), afterwards);
    let index = fs::read_to_string(store.index()).unwrap();
    assert_eq!(index.lines().count() as u64, sound, "readers are told of what is sound alone");
    for (path, bytes) in before {
        if path != Path::new("index.ndjson") {
            assert!(fs::read(store.root().join(&path)).unwrap() == bytes, "{} stays", path.display());
        }
    }
}

#[test]
fn damaged_content_stays_where_it_is_and_is_not_listed() {
    left(
        |store| store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1),
        1,
        13,
        &[("wrong-content", 1)],
        &[("not-indexed", 1), ("stored-hash-wrong", 1), ("wrong-content", 1)],
    );
    left(
        |store| store.forge(PLAIN, b"other"),
        1,
        13,
        &[("wrong-content", 1)],
        &[("not-indexed", 1), ("wrong-content", 1)],
    );
    left(
        |store| store.edit(&store.blob(ZSTD), |bytes| bytes.truncate(20)),
        1,
        13,
        &[("wrong-content", 1)],
        &[("not-indexed", 1), ("stored-hash-wrong", 1), ("stored-size-wrong", 1), ("undecodable", 1)],
    );
}

#[test]
fn objects_without_blobs_are_removed_from_the_index_and_reported() {
    left(
        |store| fs::remove_file(store.blob(PLAIN)).unwrap(),
        1,
        13,
        &[("blob-missing", 1), ("lone-sidecar", 1)],
        &[("lone-sidecar", 1)],
    );
    // Both are missing, so only the report of the repair and the index that it keeps have the object.
    left(
        |store| {
            fs::remove_file(store.blob(PLAIN)).unwrap();
            fs::remove_file(store.sidecar(PLAIN)).unwrap();
        },
        1,
        13,
        &[("blob-missing", 1)],
        &[],
    );
}

#[test]
fn files_that_no_reader_finds_are_left_in_place() {
    let move_away = |store: &V2Store| {
        let shard = store.root().join("objects/00/00");
        fs::create_dir_all(&shard).unwrap();
        for path in [store.blob(PLAIN), store.sidecar(PLAIN)] {
            fs::rename(&path, shard.join(path.file_name().unwrap())).unwrap();
        }
    };
    left(move_away, 1, 13, &[("blob-missing", 1), ("misplaced", 1)], &[("misplaced", 1)]);
    let leave_over = |store: &V2Store| {
        fs::write(store.blob(PLAIN).with_file_name(".tmp_1"), b"half").unwrap();
        fs::write(store.index(), b"").unwrap();
    };
    left(leave_over, 0, 14, &[("temporary-file", 1)], &[("temporary-file", 1)]);
}

#[test]
fn a_symbolic_link_is_not_followed_by_a_repair() {
    let store = V2Store::new();
    let elsewhere = store.directory().join("elsewhere");
    fs::rename(store.blob(PLAIN), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.blob(PLAIN)).unwrap();
    let end = repair(&store);
    assert_eq!((end.objects_sound, end.lines_dropped, end.left_count["not-a-file"]), (13, 1, 1));
    // A sidecar that is a symbolic link is replaced, and the target of the link stays.
    let store = V2Store::new();
    let elsewhere = store.directory().join("elsewhere");
    fs::rename(store.sidecar(PLAIN), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.sidecar(PLAIN)).unwrap();
    let bytes = fs::read(&elsewhere).unwrap();
    assert_eq!(repair(&store).sidecars_written, 1);
    assert!(!store.sidecar(PLAIN).is_symlink() && fs::read(&elsewhere).unwrap() == bytes);
    assert_eq!(verify(&store.root()).errors, 0);
    // A directory in its place is never removed.
    let store = V2Store::new();
    fs::remove_file(store.sidecar(PLAIN)).unwrap();
    fs::create_dir(store.sidecar(PLAIN)).unwrap();
    let end = repair(&store);
    assert_eq!((end.objects_sound, end.left_count["not-a-file"]), (13, 1));
}

#[test]
fn the_time_is_taken_from_any_file_that_has_it() {
    let created_at = |store: &V2Store| parse(&fs::read(store.sidecar(PLAIN)).unwrap()).unwrap().record.created_at;
    let expected = 1_700_000_000 + PLAIN as u64;
    let by_index = V2Store::new();
    fs::remove_file(by_index.sidecar(PLAIN)).unwrap();
    repair(&by_index);
    assert_eq!(created_at(&by_index), expected);
    let by_sidecar = V2Store::new();
    fs::remove_file(by_sidecar.index()).unwrap();
    by_sidecar.replace(&by_sidecar.sidecar(PLAIN), "identity", "gzip");
    repair(&by_sidecar);
    assert_eq!((created_at(&by_sidecar), by_sidecar.record(PLAIN).created_at), (expected, expected));
    let by_nothing = V2Store::new();
    fs::remove_file(by_nothing.index()).unwrap();
    fs::copy(by_nothing.sidecar(7), by_nothing.sidecar(PLAIN)).unwrap();
    repair(&by_nothing);
    assert_eq!(created_at(&by_nothing), 0, "that of another object is not taken");
}

#[test]
fn permissions_are_kept() {
    let store = V2Store::new();
    store.edit(&store.sidecar(PLAIN), |bytes| bytes.clear());
    store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    for path in [store.sidecar(PLAIN), store.index()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    repair(&store);
    for path in [store.sidecar(PLAIN), store.index()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}

pub fn copied(from: &Path) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    for (path, bytes) in tree(from) {
        fs::create_dir_all(root.join(&path).parent().unwrap()).unwrap();
        fs::write(root.join(&path), bytes).unwrap();
    }
    (directory, root)
}

#[test]
fn a_store_beyond_repair_is_refused() {
    let store = V2Store::new();
    fs::remove_dir_all(store.root().join("objects")).unwrap();
    let index = fs::read(store.index()).unwrap();
    assert_eq!(repair_on(&disk(), &store.root()).unwrap_err().exit_code(), exit::BAD_DATA);
    assert_eq!(fs::read(store.index()).unwrap(), index);
    let store = V2Store::new();
    fs::remove_file(store.index()).unwrap();
    fs::create_dir(store.index()).unwrap();
    assert_eq!(repair_on(&disk(), &store.root()).unwrap_err().exit_code(), exit::USAGE);
    let absent = store.directory().join("absent");
    assert_eq!(repair_on(&disk(), &absent).unwrap_err().exit_code(), exit::BAD_DATA);
    assert!(!store.directory().join("absent.migration").exists());
    let lock = TargetPaths::of_store(&store.root()).unwrap().run_directory().lock(&*disk()).unwrap();
    assert_eq!(repair_on(&disk(), &store.root()).unwrap_err().exit_code(), exit::TEMPORARY);
    drop(lock);
}

/// Requests a stop when the examination of objects begins.
struct StopAtObjects(StopToken);

impl Observer for StopAtObjects {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::PhaseStarted { phase: Phase::Verify, .. }) {
            self.0.request();
        }
    }
}

#[test]
fn a_stopped_repair_leaves_the_index() {
    let store = V2Store::new();
    store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    let index = fs::read(store.index()).unwrap();
    let observer = StopAtObjects(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let end = repair_store(&disk(), &store.root(), None, &MigrateOptions::default(), &control).unwrap();
    assert!(end.stopped && !end.index_replaced);
    assert_eq!(fs::read(store.index()).unwrap(), index);
    assert!(repair(&store).index_replaced);
    assert_eq!(verify(&store.root()).errors, 0);
}

// Crashes: the store is read from the real disk, and written to a simulated disk with the same files.

pub fn mirrored(store: &V2Store) -> SimulatedDisk {
    let mirror = SimulatedDisk::with_directories(&[&store.root()]);
    for (path, bytes) in tree(&store.root()) {
        mirror.install_file(&store.root().join(path), &bytes);
    }
    mirror
}

/// A store with a sidecar that is wrong, one that is missing, and an index that is torn.
pub fn damaged() -> V2Store {
    let store = V2Store::new();
    fs::write(store.sidecar(PLAIN), b"wrong").unwrap();
    fs::remove_file(store.sidecar(ZSTD)).unwrap();
    store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20));
    store
}

pub fn files(disk: &SimulatedDisk, store: &V2Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let (root, files) = (store.root(), disk.snapshot().into_iter());
    files.filter_map(|(path, bytes)| Some((path.strip_prefix(&root).ok()?.to_path_buf(), bytes))).collect()
}

#[test]
fn a_crash_at_any_operation_leaves_whole_files_and_the_same_repair_completes() {
    let store = damaged();
    let simulated = mirrored(&store);
    let before = files(&simulated, &store);
    let as_disk = |disk: &SimulatedDisk| -> Arc<dyn Disk> { Arc::new(disk.clone()) };
    repair_on(&as_disk(&simulated), &store.root()).unwrap();
    let after = files(&simulated, &store);
    assert_ne!(before, after);
    let backup = TargetPaths::of_store(&store.root())
        .unwrap()
        .index_before_repair(blake3::hash(&before[Path::new("index.ndjson")]).as_bytes());
    let mut images = 0;
    for fault in CrashFault::ALL {
        for operations in 0..=simulated.operations() {
            let image = simulated.crash_image(operations, fault);
            let what = format!("{fault:?} after {operations}");
            let found = files(&image, &store);
            for (path, bytes) in &found {
                // A temporary name next to its file belongs to an unfinished replacement.
                let is_whole = before.get(path) == Some(bytes) || after.get(path) == Some(bytes);
                assert!(is_whole || path.to_str().unwrap().ends_with(".tmp"), "{}: {what}", path.display());
            }
            let index = &found[Path::new("index.ndjson")];
            if *index == after[Path::new("index.ndjson")] {
                assert!(after.iter().all(|(path, bytes)| found.get(path) == Some(bytes)), "listed, so there: {what}");
                assert_eq!(image.snapshot()[&backup], before[Path::new("index.ndjson")], "the old one is kept: {what}");
            }
            repair_on(&as_disk(&image), &store.root()).unwrap_or_else(|error| panic!("{error}: {what}"));
            assert!(files(&image, &store) == after, "{what}");
            images += 1;
        }
    }
    println!("{images} images");
    assert!(!sidecar_path(&store.root(), V2Store::key(ZSTD)).exists(), "the store itself is only read");
    assert!(blob_path(&store.root(), V2Store::key(ZSTD)).exists());
}

#[test]
fn a_failure_at_any_operation_fails_the_repair_and_the_next_one_completes() {
    let store = damaged();
    let simulated = mirrored(&store);
    let as_disk = |disk: &SimulatedDisk| -> Arc<dyn Disk> { Arc::new(disk.clone()) };
    repair_on(&as_disk(&simulated), &store.root()).unwrap();
    let (after, operations) = (files(&simulated, &store), simulated.operations());
    for fault in InjectedFault::ALL {
        for n in 0..operations {
            let disk = mirrored(&store);
            disk.fail_operation(n, fault);
            // A failure to remove leftovers is not reported.
            let _ = repair_on(&as_disk(&disk), &store.root());
            let index = files(&disk, &store).remove(Path::new("index.ndjson")).unwrap();
            let is_old = index == fs::read(store.index()).unwrap();
            assert!(is_old || index == after[Path::new("index.ndjson")], "{fault:?} at {n}");
            repair_on(&as_disk(&disk), &store.root()).unwrap_or_else(|error| panic!("{error}: {fault:?} at {n}"));
            assert!(files(&disk, &store) == after, "{fault:?} at {n}");
        }
    }
}

mod conformance {
    use super::*;

    #[test]
    #[ignore = "needs the conformance data"]
    fn a_repair_leaves_stores_of_other_generations_unchanged() {
        let data = conformance("requiem");
        for older in ["cas-blake3-unprefixed", "cas-blake2s", "cas-sha256-sharded", "cas-v1-flat"] {
            let (directory, root) = copied(&data.join(older));
            let before = tree(&root);
            let error = repair_on(&disk(), &root).expect_err(older);
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{older}: {error}");
            assert!(error.next_step().unwrap().contains("migrate older stores"));
            assert!(tree(directory.path().join("store").as_path()) == before, "{older}");
        }
        // This store has the current keys and only lacks the index.
        let (_directory, root) = copied(&data.join("cas-v2-noindex"));
        assert_eq!(repair_on(&disk(), &root).unwrap().objects_sound, 14);
        assert_eq!(verify(&root).errors, 0);
    }
}
