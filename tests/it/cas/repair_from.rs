//! Repairs of a v2 store from another copy of its objects.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::runs::cas_in;
use crate::support::files::tree;
use crate::support::old_store::OldStore;
use crate::support::seen::seen;
use crate::support::space_runs::disk;
use crate::support::store_runs::with;
use crate::support::v2_store::{OBJECTS, V2Store};
use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::cas::options::MigrateOptions;
use haul::cas::paths::{TargetPaths, blob_path};
use haul::cas::repair::{RepairEnd, repair_dry_run, repair_store};
use haul::cas::source::location::Shape;
use haul::durable::{CrashFault, Disk, SimulatedDisk};
use haul::migration::{Error, exit};

/// A plain object, one that is zstd, and one that stays as it is.
const PLAIN: usize = 4;
const ZSTD: usize = 6;
const OTHER: usize = 2;
/// How many crashes lie between two that are followed by a repair.
const REPAIRED_EVERY: usize = 9;

fn repair_on(disk: &Arc<dyn Disk>, store: &V2Store, from: &Path) -> Result<RepairEnd, Error> {
    with(|control| repair_store(disk, &store.root(), Some(from), &MigrateOptions::default(), control))
}

fn repair(store: &V2Store, from: &Path) -> RepairEnd {
    let before = seen(from);
    let end = repair_on(&disk(), store, from).unwrap();
    assert!(seen(from) == before, "the other store is only read");
    end
}

fn kept(store: &V2Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let directory = TargetPaths::of_store(&store.root()).unwrap().damaged();
    if directory.exists() { tree(&directory) } else { BTreeMap::new() }
}

fn flip(store: &V2Store, number: usize) -> Vec<u8> {
    store.edit(&store.blob(number), |bytes| bytes[0] ^= 1);
    fs::read(store.blob(number)).unwrap()
}

/// A name, how many objects it costs, and what does it.
type Damage = (&'static str, u64, fn(&V2Store));

#[test]
fn whatever_is_damaged_or_missing_comes_back() {
    let damages: [Damage; 7] = [
        ("a damaged blob", 1, |store| _ = flip(store, PLAIN)),
        ("a damaged frame", 1, |store| store.edit(&store.blob(ZSTD), |bytes| bytes.truncate(9))),
        ("a missing blob", 1, |store| fs::remove_file(store.blob(ZSTD)).unwrap()),
        ("a missing object", 1, |store| {
            fs::remove_file(store.blob(PLAIN)).unwrap();
            fs::remove_file(store.sidecar(PLAIN)).unwrap();
        }),
        ("a missing shard", 1, |store| {
            fs::remove_dir_all(store.blob(PLAIN).parent().unwrap().parent().unwrap()).unwrap()
        }),
        ("a damaged blob and a damaged sidecar", 1, |store| {
            flip(store, PLAIN);
            fs::write(store.sidecar(PLAIN), "x").unwrap();
        }),
        ("a missing blob and a missing line", 1, |store| {
            let line = store.line(PLAIN) + "\n";
            store.replace(&store.index(), &line, "");
            fs::remove_file(store.blob(PLAIN)).unwrap();
        }),
    ];
    let other = V2Store::new();
    for (what, restored, damage) in damages {
        let store = V2Store::new();
        let sound = tree(&store.root());
        damage(&store);
        let damaged = tree(store.directory());
        let plan =
            with(|control| repair_dry_run(&store.root(), Some(&other.root()), &MigrateOptions::default(), control));
        let plan = plan.unwrap();
        assert_eq!(tree(store.directory()), damaged, "a dry run writes nothing: {what}");
        let end = repair(&store, &other.root());
        assert_eq!((end.errors, end.restored, end.not_found), (0, restored, 0), "{what}: {:?}", end.left);
        assert_eq!(end.objects_sound, OBJECTS as u64, "{what}");
        assert_eq!((plan.restored, plan.not_found, plan.objects_sound), (restored, 0, OBJECTS as u64), "{what}");
        assert!(tree(&store.root()) == sound, "the store is what it was, byte for byte: {what}");
    }
}

#[test]
fn the_damaged_bytes_are_kept_and_permissions_too() {
    let (store, other) = (V2Store::new(), V2Store::new());
    let damaged = flip(&store, PLAIN);
    fs::set_permissions(store.blob(PLAIN), fs::Permissions::from_mode(0o640)).unwrap();
    let end = repair(&store, &other.root());
    let name = PathBuf::from(V2Store::key(PLAIN).to_string());
    assert_eq!(kept(&store), BTreeMap::from([(name.clone(), damaged)]));
    assert!(end.damaged_kept.unwrap().ends_with("store.migration/damaged"));
    assert_eq!(fs::metadata(store.blob(PLAIN)).unwrap().permissions().mode() & 0o7777, 0o640);
    let again = flip(&store, PLAIN);
    repair(&store, &other.root());
    assert_eq!(kept(&store)[&name.with_extension("1")], again, "nothing that was kept is replaced");
}

#[test]
fn what_the_other_store_does_not_have_intact_is_counted_and_left() {
    let (store, other) = (V2Store::new(), V2Store::new());
    let damaged = flip(&store, PLAIN);
    flip(&store, ZSTD);
    fs::remove_file(store.blob(OTHER)).unwrap();
    flip(&other, PLAIN);
    fs::remove_file(other.blob(OTHER)).unwrap();
    let end = repair(&store, &other.root());
    assert_eq!((end.restored, end.not_found, end.objects_sound), (1, 2, OBJECTS as u64 - 2));
    assert!(end.errors > 0 && end.left_count["wrong-content"] == 1 && end.left_count["blob-missing"] == 1);
    assert_eq!(fs::read(store.blob(PLAIN)).unwrap(), damaged, "it stays where it is");
}

#[test]
fn the_old_store_is_another_copy_by_the_key_map() {
    let store = OldStore::new();
    let contents: Vec<_> = (0..4_u8).map(|number| vec![number; 400]).collect();
    let shapes = [Shape::TwoLevels, Shape::OneLevel, Shape::SplitName, Shape::Flat];
    for ((content, shape), algorithm) in contents.iter().zip(shapes).zip(Algorithm::ALL) {
        store.object(algorithm, content, shape);
    }
    store.cas("migrate --source old --target new").expect(0);
    let sound = tree(&store.target());
    for content in &contents {
        fs::write(blob_path(&store.target(), key_of(Algorithm::Cas, content)), "damaged").unwrap();
    }
    store.cas("verify new").expect(65);
    let done = store.cas("verify new --repair --yes --from old --json").expect(0);
    assert_eq!((&done.json()["restored"], &done.json()["not_found"]), (&4.into(), &0.into()));
    assert!(tree(&store.target()) == sound);
    store.cas("verify new").expect(0);
}

#[test]
fn the_same_store_or_none_is_no_other_copy() {
    let store = V2Store::new();
    let before = tree(&store.root());
    flip(&store, PLAIN);
    for (from, says) in [("store", "is to be repaired"), ("absent", "does not exist"), ("store/../store", "is to be")] {
        let done = cas_in(store.directory(), &format!("verify store --repair --yes --from {from}")).expect(2);
        assert!(done.stderr.contains(says), "{from}: {}", done.stderr);
    }
    assert_eq!(before.len(), tree(&store.root()).len());
    let done = cas_in(store.directory(), "verify store --from other").expect(2);
    assert!(done.stderr.contains("--repair"), "{}", done.stderr);
    assert_eq!(repair_on(&disk(), &store, &store.root()).unwrap_err().exit_code(), exit::USAGE);
}

/// The store is read from the real disk, and written to a simulated one with the same files.
#[test]
fn a_crash_at_any_operation_loses_neither_the_damaged_bytes_nor_the_restored_ones() {
    let (store, other) = (V2Store::new(), V2Store::new());
    let damaged = flip(&store, PLAIN);
    fs::remove_file(store.blob(ZSTD)).unwrap();
    let mirror = SimulatedDisk::with_directories(&[&store.root()]);
    for (path, bytes) in tree(&store.root()) {
        mirror.install_file(&store.root().join(path), &bytes);
    }
    let as_disk = |disk: &SimulatedDisk| -> Arc<dyn Disk> { Arc::new(disk.clone()) };
    repair_on(&as_disk(&mirror), &store, &other.root()).unwrap();
    let sound = fs::read(other.blob(PLAIN)).unwrap();
    let directory = TargetPaths::of_store(&store.root()).unwrap().damaged();
    let index = |disk: &SimulatedDisk| disk.snapshot()[&store.index()].clone();
    for fault in CrashFault::ALL {
        for operations in 0..=mirror.operations() {
            let image = mirror.crash_image(operations, fault);
            let what = format!("{fault:?} after {operations}");
            let files = image.snapshot();
            let blob = &files[&store.blob(PLAIN)];
            let is_kept = files.get(&directory.join(V2Store::key(PLAIN).to_string())) == Some(&damaged);
            assert!(*blob == damaged || *blob == sound && is_kept, "{what}");
            // Every repair reads the whole store, so only some crashes are followed by one.
            if fault != CrashFault::UnsyncedDropped || operations % REPAIRED_EVERY != 0 {
                continue;
            }
            repair_on(&as_disk(&image), &store, &other.root()).unwrap_or_else(|error| panic!("{error}: {what}"));
            let files = image.snapshot();
            assert_eq!((&files[&store.blob(PLAIN)], index(&image)), (&sound, index(&mirror)), "{what}");
            assert_eq!(files[&store.blob(ZSTD)], fs::read(other.blob(ZSTD)).unwrap(), "{what}");
        }
    }
}
