//! Loses power or kills the process at every operation of a migration of manifests and of a rollback, on the simulated
//! disk, and lets the next run recover.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sample::{sampled_or_full, seeds, thinned};
use crate::two_hosts::take_over;
use haul::durable::{CrashFault, Disk, SimulatedDisk, read_file};
use haul::manifest::Registry;
use haul::manifest::migrate::{MigrationEnd, migrate};
use haul::manifest::rollback::{RollbackRequest, rollback};
use haul::manifest::run_options::MigrateOptions;
use haul::migration::{Durability, Error, RunOptions};
use haul::pipeline::{Control, Observer, Silent, StopToken};

const ROOT: &str = "/app";
const RUNS: [&str; 4] = ["a/1", "a/2", "b/1", "c/1"];

type Manifests = BTreeMap<PathBuf, Vec<u8>>;

fn faults() -> impl Iterator<Item = CrashFault> {
    let scattered = seeds(1, 5).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(scattered)
}

fn path(run: &str) -> PathBuf {
    Path::new(ROOT).join("artifacts").join(run).join("manifest.json")
}

fn old(run: &str) -> Vec<u8> {
    let text = r#"{"schema_version":"1.0.0","job_id":"j","job_ref":"r","job_type":"t","status":"ok","run_id":"RUN"}"#;
    text.replace("RUN", run).into_bytes()
}

fn scene() -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[Path::new(ROOT)]);
    RUNS.iter().for_each(|run| disk.install_file(&path(run), &old(run)));
    disk
}

/// `artifacts/` and one of its jobs are mounts.
fn divided_scene() -> SimulatedDisk {
    let disk = scene();
    disk.mount(&Path::new(ROOT).join("artifacts"));
    disk.mount(&Path::new(ROOT).join("artifacts/b"));
    disk
}

/// As [`divided_scene`], and of one of the mounts no group sync reaches the medium.
fn unsynced_scene() -> SimulatedDisk {
    let disk = divided_scene();
    disk.keep_syncs_from_medium(&Path::new(ROOT).join("artifacts/b"));
    disk
}

const SCENES: [fn() -> SimulatedDisk; 2] = [scene, divided_scene];

fn options(durability: Durability) -> MigrateOptions {
    MigrateOptions {
        durability,
        now: Some("2026-03-01T12:34:56.789012Z".parse().unwrap()),
        run: RunOptions { batch_records: 1, checkpoint_interval_records: 2, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    }
}

fn run(disk: &SimulatedDisk, durability: Durability) -> Result<MigrationEnd, Error> {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    migrate(Arc::new(disk.clone()), Path::new(ROOT), &options(durability), &control)
}

fn roll_back(disk: &SimulatedDisk, run_id: &str, durability: Durability) -> u64 {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let request = RollbackRequest { run_id, files: &BTreeSet::new(), registry: &Registry::built_in(), durability };
    let end = rollback(Arc::new(disk.clone()), Path::new(ROOT), request, &control).unwrap();
    assert_eq!(end.refused, 0, "{:?}", end.findings);
    end.restored
}

fn manifests(disk: &SimulatedDisk) -> Manifests {
    RUNS.iter().map(|run| (path(run), read_file(disk, &path(run), 1 << 20).unwrap())).collect()
}

/// All files in the directory of a manifest.
fn siblings(disk: &SimulatedDisk, manifest: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = manifest.parent().unwrap();
    let names = disk.list(directory).unwrap().into_iter().map(|entry| directory.join(entry.name));
    names.map(|path| (path.clone(), read_file(disk, &path, 1 << 20).unwrap())).collect()
}

/// Checks that each manifest is old or new, and that a new one has its original next to it.
fn check_whole(disk: &SimulatedDisk, new: &Manifests, about: &str) {
    for run in RUNS {
        let (path, old) = (path(run), old(run));
        let now = read_file(disk, &path, 1 << 20).unwrap_or_else(|e| panic!("{about}: {e}"));
        assert!(now == old || now == new[&path], "{about}: {} is neither old nor new", path.display());
        let has_original = siblings(disk, &path).iter().any(|(_, bytes)| *bytes == old);
        assert!(has_original, "{about}: the original of {} is lost", path.display());
    }
}

/// Checks that all manifests are new, and that each has its backup and no other file next to it.
fn check_complete(disk: &SimulatedDisk, new: &Manifests, about: &str) {
    assert_eq!(manifests(disk), *new, "{about}");
    for run in RUNS {
        let siblings = siblings(disk, &path(run));
        assert_eq!(siblings.len(), 2, "{about}: {siblings:?}");
        assert!(siblings.iter().any(|(_, bytes)| *bytes == old(run)), "{about}");
    }
}

fn enumerate(scene: fn() -> SimulatedDisk, durability: Durability) {
    let disk = scene();
    let end = run(&disk, durability).unwrap();
    assert_eq!((end.counts.migrated, end.records), (4, 4));
    let new = manifests(&disk);
    check_complete(&disk, &new, "no crash");
    let mut images = 0;
    for operations in 0..=disk.operations() {
        for fault in faults() {
            images += 1;
            let about = format!("{durability}, {operations} operations, {fault:?}");
            let image = disk.crash_image(operations, fault);
            check_whole(&image, &new, &about);
            if operations == disk.operations() {
                check_complete(&image, &new, &about);
            }
            run(&image, durability).unwrap_or_else(|e| panic!("{about}: {e}"));
            check_complete(&image, &new, &about);
        }
    }
    println!("a migration, --durability {durability}: {images} images");
}

#[test]
fn a_migration_in_groups_survives_the_loss_of_power() {
    SCENES.into_iter().for_each(|scene| enumerate(scene, Durability::Group));
}

#[test]
fn a_migration_survives_the_loss_of_power_where_group_syncs_do_not_reach_the_medium() {
    enumerate(unsynced_scene, Durability::Group);
}

#[test]
fn a_migration_file_by_file_survives_the_loss_of_power() {
    SCENES.into_iter().for_each(|scene| enumerate(scene, Durability::Each));
}

#[test]
fn a_migration_without_syncs_survives_the_end_of_the_process() {
    let disk = scene();
    run(&disk, Durability::None).unwrap();
    let new = manifests(&disk);
    println!("a migration, --durability none: {} images", disk.operations() + 1);
    for operations in 0..=disk.operations() {
        let about = format!("none, {operations} operations");
        let image = disk.crash_image(operations, CrashFault::AllKept);
        check_whole(&image, &new, &about);
        run(&image, Durability::None).unwrap_or_else(|e| panic!("{about}: {e}"));
        check_complete(&image, &new, &about);
    }
}

/// The run that continues one which was killed finishes what that had begun, on whatever file system.
#[test]
fn a_migration_resumed_after_a_kill_survives_the_loss_of_power() {
    let first = divided_scene();
    run(&first, Durability::Group).unwrap();
    let new = manifests(&first);
    let mut images = 0;
    for killed_after in thinned(0..=first.operations(), sampled_or_full(5, 1)) {
        for durability in [Durability::Group, Durability::Each] {
            let resumed = first.kill_image(killed_after);
            run(&resumed, durability).unwrap();
            let end = resumed.operations();
            for fault in faults() {
                let about = format!("killed after {killed_after}, then {durability}, {fault:?}");
                for operations in thinned(0..end, sampled_or_full(11, 1)).chain([end]) {
                    images += 1;
                    let image = resumed.crash_image(operations, fault);
                    check_whole(&image, &new, &format!("{about}, {operations} operations"));
                    // A temporary file that was removed may come back: the next run removes it again.
                    assert!(operations < end || manifests(&image) == new, "{about}: what is done is durable");
                }
            }
        }
    }
    println!("a migration resumed after a kill: {images} images");
}

#[test]
fn a_rollback_survives_the_loss_of_power_and_can_be_migrated_again() {
    for scene in SCENES {
        for durability in [Durability::Group, Durability::Each] {
            crash_rollback(scene(), durability);
        }
    }
}

fn crash_rollback(disk: SimulatedDisk, durability: Durability) {
    let run_id = run(&disk, Durability::Group).unwrap().run_id;
    let new = manifests(&disk);
    let before = disk.operations();
    assert_eq!(roll_back(&disk, &run_id, durability), 4);
    assert_eq!(roll_back(&disk, &run_id, durability), 0);
    let originals: Manifests = RUNS.iter().map(|run| (path(run), old(run))).collect();
    assert_eq!(manifests(&disk), originals);
    let mut images = 0;
    for operations in before..=disk.operations() {
        for fault in faults() {
            images += 1;
            let about = format!("{durability}, {operations} operations, {fault:?}");
            let image = disk.crash_image(operations, fault);
            check_whole(&image, &new, &about);
            if operations == disk.operations() {
                assert_eq!(manifests(&image), originals, "{about}: what is done is durable");
            }
            roll_back(&image, &run_id, durability);
            assert_eq!(manifests(&image), originals, "{about}");
            run(&image, Durability::Group).unwrap_or_else(|e| panic!("{about}: {e}"));
            check_complete(&image, &new, &about);
        }
    }
    println!("a rollback, --durability {durability}: {images} images");
}

#[test]
fn whoever_takes_a_tree_over_ends_it_and_the_other_is_told_so() {
    let disk = scene();
    run(&disk, Durability::Group).unwrap();
    let new = manifests(&disk);
    let run = |disk: &SimulatedDisk, observer: &dyn Observer| {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer };
        migrate(Arc::new(disk.clone()), Path::new(ROOT), &options(Durability::Group), &control)
    };
    take_over(scene, run, |disk, about| check_complete(disk, &new, &about()), &Path::new(ROOT).join("migration"));
}
