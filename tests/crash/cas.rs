//! Loses the power, kills the process or fails an operation at every operation of a migration of a content-addressed
//! store, and lets the next run continue. The source is real; the target is on the simulated disk.
//! `docs/crash-model.md` says what it proves.
//!
//! `cargo test --test crash cas:: -- --nocapture` prints how many images were tried: all of a first run's, and a sample
//! of the others unless `HAUL_CRASH_FULL=1`.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::cas_scene::{behind, boundaries, boundary};
use crate::sample::{is_taken, sampled_or_full, seeds, thinned};
use crate::support::old_objects::content;
use crate::support::old_store::OldStore;
use crate::support::scene::Scene;
use crate::support::written::Written;
use haul::cas::format::digest::key_of;
use haul::cas::format::encoding::Compress;
use haul::cas::format::generation::Generation;
use haul::cas::options::{MigrateOptions, Placement};
use haul::cas::paths::blob_path;
use haul::cas::source::reader::INLINE_BYTES_MAX;
use haul::cas::store::CasStore;
use haul::cas::store::index_keys::for_each_index_key;
use haul::cas::store::put::{PutOptions, put};
use haul::cas::{Algorithm, Key};
use haul::durable::{CrashFault, Disk, InjectedFault, SimulatedDisk};
use haul::migration::{Durability, Error, RunOptions, Stage, Start, exit};
use haul::pipeline::Silent;

/// Of the images beyond the first runs, a sample has one in this many.
fn share() -> usize {
    sampled_or_full(13, 1)
}

const PLACEMENTS: [Placement; 3] = [Placement::New, Placement::Merge, Placement::Replace];

fn faults() -> impl Iterator<Item = CrashFault> {
    let scattered = seeds(2, 5).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(scattered)
}

fn tell(part: &str, images: usize, started: Instant) {
    println!("{part}: {images} images in {:.1} s", started.elapsed().as_secs_f64());
}

/// An uninterrupted migration and the disk that recorded it.
fn recorded(scene: &Scene) -> SimulatedDisk {
    let disk = scene.disk();
    scene.run(&disk).unwrap();
    scene.check_complete(&disk, &|| "no crash".into());
    disk
}

/// Boundaries between the phases of a migration.
fn turning_points(scene: &Scene, disk: &SimulatedDisk) -> Vec<(&'static str, usize)> {
    let first = |text: &str| boundary(disk, text);
    let middle = |text: &str| {
        let all = boundaries(disk, text);
        all[all.len() / 2]
    };
    let mut points = vec![
        ("at the start", first("create directory")),
        ("with the plan half written", first(".plan.json.tmp")),
        ("with a first checkpoint", first(".checkpoint.bin.tmp to")),
        ("with a first blob", first("staging/objects/") + 3),
        ("with half of the sidecars", middle(".meta")),
        ("with a large blob on its way", first("migration/incoming/") + 1),
        ("with half of the checkpoints", middle(".checkpoint.bin.tmp to")),
        ("within the index", first("staging/index.ndjson") + 1),
        ("within the map", first(".key-map.tsv.tmp") + 1),
        ("with the reverse map", first(".key-map.reverse.tmp to")),
        ("before the sealed checkpoint", *boundaries(disk, "sync the file system").last().unwrap()),
        ("within the report", first(".report.json.tmp")),
    ];
    points.extend(match scene.options.placement {
        Placement::New => vec![
            ("before the rename of the store", first("migration/staging to") - 1),
            ("behind the rename of the store", first("migration/staging to")),
        ],
        Placement::Replace => vec![
            ("behind the mark", first(".haul-run.tmp to")),
            ("behind the exchange", first("exchange")),
            ("behind the rename of the old store", first("migration/staging to")),
        ],
        Placement::Merge => vec![
            ("before an object is in the target", first("index-before.ndjson.tmp to")),
            ("with an object half in the target", middle(".meta to") - 1),
            ("behind the rename of the index", first("staging/index.ndjson to")),
        ],
    });
    points
}

#[test]
fn a_migration_survives_the_loss_of_power() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Group);
        let disk = recorded(&scene);
        let images = scene.enumerate(&disk, faults(), 1, &format!("{placement}"));
        tell(&format!("{placement}, {} operations", disk.operations()), images, started);
    }
}

#[test]
fn a_migration_with_two_workers_survives_the_loss_of_power() {
    let started = Instant::now();
    let scene = Scene::new(Placement::New, Durability::Group);
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
    let images = scene.enumerate(&disk, faults(), 2 * share(), "two workers");
    tell(&format!("two workers, {} operations", disk.operations()), images, started);
}

/// Objects of their real size, on a disk that shares no blocks.
#[test]
fn large_objects_survive_the_loss_of_power() {
    let started = Instant::now();
    let store = OldStore::new();
    for number in 0..3 {
        store.keep_plain(Generation::V0_2, &content(number, 300, false));
    }
    store.keep_plain(Generation::V2, &content(7, INLINE_BYTES_MAX as usize + 1, false));
    let options = Scene::new(Placement::New, Durability::Group).options;
    let mut scene = Scene::of(store, options);
    scene.is_sharing = false;
    let disk = recorded(&scene);
    let images = scene.enumerate(&disk, faults(), share().max(2), "large");
    tell(&format!("an object of 4 MiB, {} operations", disk.operations()), images, started);
}

#[test]
fn each_object_durable_by_itself_survives_the_loss_of_power() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Each);
        let disk = recorded(&scene);
        let images = scene.enumerate(&disk, faults(), share(), &format!("{placement}, each object"));
        tell(&format!("{placement}, each object, {} operations", disk.operations()), images, started);
    }
}

#[test]
fn a_migration_survives_the_loss_of_power_where_group_syncs_do_not_reach_the_medium() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let mut scene = Scene::new(placement, Durability::Group);
        scene.keeps_syncs = true;
        let disk = scene.disk();
        let end = scene.run(&disk).unwrap();
        assert_eq!(end.durability, Durability::Each);
        assert!(end.durability_reason.unwrap().contains("need not reach the medium"));
        let images = scene.enumerate(&disk, faults(), 2 * share(), &format!("{placement}, files synced one by one"));
        tell(&format!("{placement}, files synced one by one, {} operations", disk.operations()), images, started);
    }
}

/// Nothing is promised of a loss of power then; of a death of the process all the same.
#[test]
fn a_migration_without_durability_survives_its_process() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::None);
        let disk = recorded(&scene);
        let kept = [CrashFault::AllKept].into_iter();
        let mut images = scene.enumerate(&disk, kept, 1, &format!("{placement}, no durability"));
        for after in thinned(0..=disk.operations(), share()) {
            scene.recover(&disk.kill_image(after), &|| format!("killed behind {after}: {}", behind(&disk, after)));
            images += 1;
        }
        tell(&format!("{placement}, no durability, {} operations", disk.operations()), images, started);
    }
}

/// What an attempt without durability has written is made durable by the one with it that goes on.
#[test]
fn a_migration_that_gets_its_durability_later_survives_the_loss_of_power_afterwards() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::None);
        let with_syncs = MigrateOptions { durability: Durability::Group, ..scene.options.clone() };
        let first = recorded(&scene);
        let mut images = 0;
        for after in thinned(0..=first.operations(), 23) {
            let disk = first.kill_image(after);
            let what = || format!("{placement}, killed behind {after}: {}", behind(&first, after));
            let end = scene.run_with(&disk, &with_syncs, &Silent).unwrap_or_else(|error| panic!("{error}: {}", what()));
            if end.already_done {
                continue;
            }
            assert_eq!(end.durability, Durability::Group, "{}", what());
            let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
            scene.check_target(&lost, &|| format!("{}, and the power lost after the end", what()));
            images += 1;
        }
        assert!(images > 5, "{images} images");
        tell(&format!("{placement}, durability later"), images, started);
    }
}

#[test]
fn a_resumed_migration_survives_the_loss_of_power() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Group);
        let first = recorded(&scene);
        let mut images = 0;
        for (name, after) in turning_points(&scene, &first) {
            for fault in [CrashFault::UnsyncedDropped, CrashFault::RenamesEarly] {
                let disk = first.crash_image(after, fault);
                scene.run(&disk).unwrap();
                let what = format!("{placement}, resumed {name} ({fault:?})");
                images += scene.enumerate(&disk, faults(), 6 * share(), &what);
            }
        }
        tell(&format!("{placement}, resume after a loss of power"), images, started);
    }
}

/// A killed process leaves on the disk what is not durable yet; the power may still take it from the run that resumes.
#[test]
fn a_migration_resumed_after_a_kill_survives_the_loss_of_power() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Group);
        let first = recorded(&scene);
        let mut images = 0;
        for after in thinned(0..=first.operations(), share()) {
            let what = format!("{placement}, killed behind {after}: {}", behind(&first, after));
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
        for (name, after) in turning_points(&scene, &first) {
            let disk = first.kill_image(after);
            scene.run(&disk).unwrap();
            images += scene.enumerate(&disk, faults(), 3 * share(), &format!("{placement}, killed {name}"));
        }
        tell(&format!("{placement}, resume after a kill"), images, started);
    }
}

/// How a run that starts over may be met: by itself again, or by one that goes on.
fn recover_restarted(scene: &Scene, disk: &SimulatedDisk, again: bool, what: &dyn Fn() -> String) {
    scene.check_found(disk, what);
    let restarting = restarting(scene);
    let first = if again { &restarting } else { &scene.options };
    match scene.run_with(disk, first, &Silent) {
        Ok(end) => assert_eq!(end.stage, Stage::Published, "{}", what()),
        // What was published stays, and the run that published it has yet to say so.
        Err(error) if again && scene.options.placement != Placement::Merge => {
            assert_eq!(error.exit_code(), exit::USAGE, "{error}: {}", what());
            assert!(scene.target(disk) == scene.after, "{error}: {}", what());
            return scene.recover(disk, what);
        }
        // What the run that goes on needs is removed already.
        Err(error) => {
            let next = error.next_step().unwrap_or_default();
            assert!(!again && next.contains("--restart"), "{error}: {}", what());
            scene.run_with(disk, &restarting, &Silent).unwrap_or_else(|error| panic!("{error}: {}", what()));
        }
    }
    scene.check_result(disk, what);
}

fn restarting(scene: &Scene) -> MigrateOptions {
    MigrateOptions { run: RunOptions { start: Start::Restart, ..scene.options.run }, ..scene.options.clone() }
}

#[test]
fn a_restart_survives_the_loss_of_power() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Group);
        let first = recorded(&scene);
        let mut images = 0;
        for (name, after) in turning_points(&scene, &first) {
            let disk = first.crash_image(after, CrashFault::AllKept);
            let restarted = scene.run_with(&disk, &restarting(&scene), &Silent);
            if let Err(error) = restarted {
                assert_eq!(error.exit_code(), exit::USAGE, "{error}: restarted {name}");
                assert!(scene.target(&disk) == scene.after, "{error}: restarted {name}");
            }
            for (turn, fault) in faults().enumerate() {
                for (after, image) in disk.crash_images(fault).enumerate() {
                    if is_taken(after + turn, 4 * share()) {
                        let what = || {
                            let behind = behind(&disk, after);
                            format!("{placement}, restarted {name}, {fault:?} behind {after}: {behind}")
                        };
                        recover_restarted(&scene, &image, turn.is_multiple_of(2), &what);
                        images += 1;
                    }
                }
                scene.check_source();
            }
        }
        tell(&format!("{placement}, restart"), images, started);
    }
}

#[test]
fn a_failing_operation_ends_a_run_that_can_be_resumed() {
    for (placement, durability) in PLACEMENTS
        .map(|placement| (placement, Durability::Group))
        .into_iter()
        .chain([(Placement::New, Durability::Each)])
    {
        let started = Instant::now();
        let scene = Scene::new(placement, durability);
        let (mut failures, mut tolerated) = (0, 0);
        for kind in InjectedFault::ALL {
            for n in thinned(0.., share().min(3)) {
                let disk = scene.disk();
                disk.fail_operation(n, kind);
                let result = scene.run(&disk);
                if disk.fault_is_pending() {
                    break;
                }
                let what = || format!("{placement}, {kind:?} at {n}, behind {}", behind(&disk, n));
                match result {
                    Err(error) => {
                        check_failure(&error, kind, &what);
                        failures += 1;
                    }
                    Ok(_) => {
                        // A report that the disk does not take is a note; the next call writes it.
                        if disk.snapshot().contains_key(&scene.paths().run_directory().report_path()) {
                            scene.check_complete(&disk, &what);
                        } else {
                            scene.check_target(&disk, &what);
                        }
                        tolerated += 1;
                    }
                }
                scene.recover(&disk, &what);
            }
        }
        scene.check_source();
        let part = format!("{placement}, durability {durability}, failing operations ({tolerated} tolerated)");
        tell(&part, failures + tolerated, started);
    }
}

fn check_failure(error: &Error, kind: InjectedFault, what: &dyn Fn() -> String) {
    let expected: &[u8] = match kind {
        InjectedFault::Enospc => &[exit::TEMPORARY],
        InjectedFault::ShortWrite => &[exit::TEMPORARY, exit::FAILED],
        _ => &[exit::FAILED],
    };
    assert!(matches!(error, Error::Disk(_)), "{error}: {}", what());
    assert!(expected.contains(&error.exit_code()), "exit {}: {}", error.exit_code(), what());
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

#[test]
fn no_more_work_is_lost_than_a_checkpoint_interval() {
    let started = Instant::now();
    let scene = Scene::new(Placement::New, Durability::Group);
    let mut images = 0;
    for interval in [1, 4, 8] {
        let options = MigrateOptions {
            run: RunOptions { checkpoint_interval_records: interval, ..scene.options.run },
            ..scene.options.clone()
        };
        let (disk, first) = paced(&scene, &options);
        let (total, mut lost_max) = (first.records(), 0);
        for fault in faults().skip(1) {
            for (after, image) in thinned(disk.crash_images(fault).enumerate(), share().min(3)) {
                let again = Written::new(&image, None);
                scene.run_with(&image, &scene.options, &again).unwrap();
                // What is read once more by both runs together was lost; what the first had not come to was not.
                lost_max = lost_max.max((first.before(after) + again.records()).saturating_sub(total));
                images += 1;
            }
        }
        let batch = first.batch_records_max();
        println!("work lost: at most {lost_max} records, interval {interval}, batches of up to {batch}");
        // A commit falls due with the batch that completes the interval, and one more is written while it is made.
        assert!(lost_max < interval + 2 * batch, "{lost_max} records of {interval}, {batch} and {batch}");
    }
    tell("work lost", images, started);
}

#[test]
fn a_run_without_remaining_work_leaves_no_scratch_files() {
    for placement in PLACEMENTS {
        let scene = Scene::new(placement, Durability::Group);
        let disk = recorded(&scene);
        assert!(scene.run(&disk).unwrap().already_done);
        scene.check_complete(&disk, &|| "run again".into());
    }
}

/// Returns true if readers of the target get every object that its index lists, and `keys` too.
#[track_caller]
fn assert_readable(scene: &Scene, disk: &SimulatedDisk, keys: &[Key]) {
    let store = CasStore::open_on(Arc::new(disk.clone()), scene.paths().target()).unwrap();
    let mut listed = BTreeSet::new();
    for_each_index_key(disk, scene.paths().target(), |key| {
        listed.insert(key);
        Ok(())
    })
    .unwrap();
    for key in keys.iter().chain(&listed) {
        assert!(store.get(*key, &mut Vec::new()).unwrap().is_some(), "{key} is no object of the target");
    }
}

fn cas_key(number: u64, len: usize, is_text: bool) -> Key {
    key_of(Algorithm::Cas, &content(number, len, is_text))
}

/// A writer that crashes leaves a blob without a sidecar and without a line of the index. No reader sees an object
/// in it.
#[test]
fn leftovers_of_a_crashed_writer_are_not_objects_of_the_target() {
    let scene = Scene::new(Placement::Merge, Durability::Group);
    let left = cas_key(2, 2_000, true);
    assert!(scene.disk().kind(&blob_path(scene.paths().target(), left)).unwrap().is_some());
    let disk = recorded(&scene);
    assert_readable(&scene, &disk, &[left, cas_key(3, 1_500, false)]);
}

/// A rollback needs the state of the run that published.
#[test]
fn a_restart_over_a_published_store_discards_nothing() {
    for placement in [Placement::New, Placement::Replace] {
        let scene = Scene::new(placement, Durability::Group);
        let disk = recorded(&scene);
        let error = scene.run_with(&disk, &restarting(&scene), &Silent).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{error}");
        scene.check_complete(&disk, &|| format!("{placement}, restarted when published"));
        assert!(scene.run(&disk).unwrap().already_done, "the checkpoint is there");
    }
}

/// A merge crashed with objects in the target, and another process put one of them meanwhile.
#[test]
fn a_restart_removes_no_object_that_was_put_meanwhile() {
    let scene = Scene::new(Placement::Merge, Durability::Group);
    let first = recorded(&scene);
    let disk = first.crash_image(boundary(&first, "staging/index.ndjson to") - 1, CrashFault::AllKept);
    let options = PutOptions { compress: Compress::AsStored, created_at: 1 };
    let bytes = content(1, 40, false);
    put(&disk, scene.paths().target(), &mut &bytes[..], Path::new("content"), options).unwrap();
    let error = scene.run(&disk).unwrap_err();
    assert!(error.to_string().contains("written to since"), "{error}");
    assert!(error.next_step().unwrap().contains("--restart"));
    let end = scene.run_with(&disk, &restarting(&scene), &Silent).unwrap();
    assert_eq!((end.stage, end.counts.duplicate_in_target), (Stage::Published, 2));
    assert_readable(&scene, &disk, &[cas_key(1, 40, false), cas_key(6, 66_000, false), cas_key(901, 1_500, false)]);
}
