//! The verbs after a migration: publish, roll back, verify, clean up, look at the status.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::read_only::ReadOnly;
use crate::support::space::{DELETE, STORE, Space, episode, records};
use crate::support::space_runs::{disk, eager};
use haul::durable::{CrashFault, Disk, InjectedFault, RealDisk, SimulatedDisk};
use haul::migration::{CheckpointFile, Error, RunOptions, Stage, Start, Subset, exit, journal, pointer};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};
use haul::space::clean::{CleanItem, CleanKind, clean, clean_plan};
use haul::space::migrate::{MigrationEnd, migrate};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Corruption, Policies};
use haul::space::publish::publish;
use haul::space::rollback::{RollbackEnd, rollback};
use haul::space::state::{CHECKPOINT_KIND, RunState};
use haul::space::status::{Status, status};
use haul::space::verify::Depth;
use haul::space::verify::run::{VerifyEnd, verify_space};

/// A space with enough records for several blocks, one of them deleted.
fn space() -> Space {
    let space = Space::new();
    space.log(1, &log(0..400)).log(2, &log(400..500));
    space
}

fn log(numbers: std::ops::Range<u64>) -> Vec<u8> {
    let first = numbers.start;
    let mut list: Vec<_> = numbers.map(|at| (at, STORE, episode(&format!("e-{at:04}")))).collect();
    list.push((list.last().unwrap().0 + 1, DELETE, format!("e-{first:04}").into_bytes()));
    records(&list)
}

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn stopped<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    stop.request();
    act(&Control { stop: &stop, observer: &Silent })
}

fn sealed_only() -> MigrateOptions {
    MigrateOptions { publish: false, ..eager() }
}

fn roll_back(space: &Space) -> Result<RollbackEnd, Error> {
    let before = space.source();
    let end = with(|control| rollback(disk(), &space.paths(), &eager(), control));
    assert_eq!(space.source(), before, "the source is untouched");
    end
}

fn publish_again(space: &Space) -> Result<MigrationEnd, Error> {
    let before = space.source();
    let end = with(|control| publish(disk(), &space.paths(), &MigrateOptions::default(), control));
    assert_eq!(space.source(), before, "the source is untouched");
    end
}

fn live(space: &Space) -> Option<String> {
    pointer::read(&*disk(), &space.root()).unwrap()
}

fn state(space: &Space) -> Option<RunState> {
    CheckpointFile::new(space.paths().run_directory().path(), CHECKPOINT_KIND).load(&*disk()).unwrap()
}

fn set_stage(space: &Space, stage: Stage) {
    let file = CheckpointFile::new(space.paths().run_directory().path(), CHECKPOINT_KIND);
    file.store(&*disk(), &RunState { stage, ..state(space).unwrap() }).unwrap();
}

fn events(space: &Space) -> Vec<String> {
    let entries = journal::read(&*disk(), space.paths().run_directory().path()).unwrap().entries;
    entries.into_iter().map(|entry| entry.event).collect()
}

fn look(space: &Space) -> Status {
    status(disk(), &space.paths()).unwrap()
}

fn cleanable(space: &Space) -> Vec<CleanItem> {
    clean_plan(disk(), &space.paths()).unwrap()
}

fn kinds(items: &[CleanItem]) -> Vec<(CleanKind, bool)> {
    items.iter().map(|item| (item.kind, item.loses_work)).collect()
}

// Publish and roll back.

#[test]
fn a_rollback_proves_the_log_and_points_back_to_it() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let store = tree(&space.root().join("dual-000001"));
    let end = roll_back(&space).unwrap();
    let log_bytes: u64 = space.source().values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(end.source_bytes, log_bytes);
    assert!(end.source_extents >= 2 && !end.already_rolled_back && !end.stopped, "{end:?}");
    assert_eq!((end.store.as_deref(), live(&space).as_deref()), (Some("dual-000001"), Some("wal")));
    assert_eq!(state(&space).unwrap().stage, Stage::RolledBack);
    assert_eq!(events(&space).last().unwrap(), "rolled-back");
    assert_eq!(tree(&space.root().join("dual-000001")), store, "the store stays");
}

#[test]
fn a_second_rollback_changes_nothing() {
    let space = space();
    space.migrate(&eager()).unwrap();
    roll_back(&space).unwrap();
    let before = events(&space);
    let end = roll_back(&space).unwrap();
    assert!(end.already_rolled_back && end.store.as_deref() == Some("dual-000001"), "{end:?}");
    assert_eq!((live(&space).as_deref(), events(&space)), (Some("wal"), before));
}

#[test]
fn a_space_that_was_never_migrated_is_rolled_back_already_and_nothing_is_created() {
    let space = space();
    let end = roll_back(&space).unwrap();
    assert!(end.already_rolled_back && end.store.is_none());
    assert_eq!(fs::read_dir(space.root()).unwrap().count(), 1, "wal/ alone");
}

#[test]
fn a_log_that_changed_is_not_gone_back_to() {
    type Change = fn(&Space);
    let changes: [(&str, Change); 5] = [
        ("a byte changed", |space| {
            let path = space.wal().join("wal-0000000000000001.log");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("a file grew", |space| {
            let path = space.wal().join("wal-0000000000000002.log");
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(records(&[(900, STORE, episode("late"))]));
            fs::write(path, bytes).unwrap();
        }),
        ("a file shrank", |space| {
            let path = space.wal().join("wal-0000000000000002.log");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 9]).unwrap();
        }),
        ("a file appeared", |space| _ = space.log(3, &log(900..901))),
        ("a file is gone", |space| fs::remove_file(space.wal().join("wal-0000000000000002.log")).unwrap()),
    ];
    for damaged_table in [false, true] {
        for (what, change) in changes {
            let space = space();
            space.migrate(&eager()).unwrap();
            if damaged_table {
                damage(&space.root().join("dual-000001/blocks.index"), 200);
            }
            change(&space);
            let before = events(&space);
            let error = roll_back(&space).unwrap_err();
            assert!(matches!(error, Error::Verification { .. }), "{what}: {error}");
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{what}");
            assert_eq!(live(&space).as_deref(), Some("dual-000001"), "{what}");
            assert_eq!((state(&space).unwrap().stage, events(&space)), (Stage::Published, before), "{what}");
        }
    }
}

fn damage(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_store_does_not_keep_the_log_from_coming_back() {
    for (file, offset) in [("blocks.index", 200), ("ids.index", 3), ("marks.index", 3), ("segment-000000.dual", 5000)] {
        let space = space();
        space.migrate(&eager()).unwrap();
        damage(&space.root().join("dual-000001").join(file), offset);
        let end = roll_back(&space).unwrap();
        let log_bytes: u64 = space.source().values().map(|bytes| bytes.len() as u64).sum();
        assert_eq!((end.source_bytes, live(&space).as_deref()), (log_bytes, Some("wal")), "{file}");
    }
    let space = space();
    space.migrate(&eager()).unwrap();
    damage(&space.root().join("dual-000001/MANIFEST"), 100);
    assert_eq!(roll_back(&space).unwrap_err().exit_code(), exit::BAD_DATA);
    assert_eq!(live(&space).as_deref(), Some("dual-000001"));
}

#[test]
fn a_damaged_log_is_proved_under_the_rules_of_its_migration() {
    let space = Space::new();
    let mut bytes = log(0..40);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.extend_from_slice(b"rubbish");
    space.log(1, &bytes);
    let policies = Policies { corruption: Corruption::Resync, ..Policies::default() };
    space.migrate(&MigrateOptions { policies, ..eager() }).unwrap();
    damage(&space.root().join("dual-000001/blocks.index"), 200);
    assert_eq!(roll_back(&space).unwrap().source_bytes, bytes.len() as u64);
}

#[test]
fn a_stopped_rollback_changes_nothing() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let end = stopped(|control| rollback(disk(), &space.paths(), &eager(), control)).unwrap();
    assert!(end.stopped && !end.already_rolled_back);
    assert_eq!(live(&space).as_deref(), Some("dual-000001"));
}

#[test]
fn what_was_rolled_back_is_verified_and_published_again_under_its_own_rules() {
    let space = Space::new();
    let mut bytes = log(0..40);
    bytes.extend_from_slice(b"rubbish");
    space.log(1, &bytes);
    let policies = Policies { corruption: Corruption::Skip, ..Policies::default() };
    space.migrate(&MigrateOptions { policies, segment_bytes_max: 1 << 20, ..eager() }).unwrap();
    for _ in 0..2 {
        roll_back(&space).unwrap();
        let end = publish_again(&space).unwrap();
        assert!(end.stage == Stage::Published && !end.already_done && end.resumed, "{end:?}");
        assert_eq!(live(&space).as_deref(), Some("dual-000001"));
        assert!(publish_again(&space).unwrap().already_done);
    }
    let from_verification = events(&space).iter().filter(|event| *event == "stage-reached").count();
    assert_eq!(from_verification, 4 + 2 + 2, "verified and published, each time");
}

#[test]
fn a_rolled_back_store_with_damage_is_not_published_again() {
    let space = space();
    space.migrate(&eager()).unwrap();
    roll_back(&space).unwrap();
    damage(&space.root().join("dual-000001/segment-000000.dual"), 50_000);
    assert_eq!(publish_again(&space).unwrap_err().exit_code(), exit::BAD_DATA);
    assert_eq!(live(&space).as_deref(), Some("wal"));
}

#[test]
fn a_verified_run_is_published_without_reading_it_again() {
    let space = space();
    assert_eq!(space.migrate(&sealed_only()).unwrap().stage, Stage::Verified);
    assert_eq!(live(&space), None);
    assert_eq!(publish_again(&space).unwrap().stage, Stage::Published);
    assert_eq!(live(&space).as_deref(), Some("dual-000001"));
    assert_eq!(space.report()["outcome"], "published");
}

#[test]
fn there_is_nothing_to_publish_without_a_sealed_store() {
    let space = space();
    let error = publish_again(&space).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE);
    assert!(error.next_step().unwrap().contains("haul space migrate"), "{error}");
    assert_eq!(fs::read_dir(space.root()).unwrap().count(), 1, "nothing is created");
    stopped(|control| migrate(disk(), &space.paths(), &eager(), control)).unwrap();
    assert_eq!(publish_again(&space).unwrap_err().exit_code(), exit::USAGE);
    assert_eq!(live(&space), None);
}

#[test]
fn a_log_that_changed_is_not_published_over() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    space.log(3, &log(900..901));
    assert!(matches!(publish_again(&space).unwrap_err(), Error::Verification { .. }));
    assert_eq!(live(&space), None);
}

#[test]
fn the_pointer_decides_and_the_checkpoint_follows() {
    let space = space();
    space.migrate(&eager()).unwrap();
    // A rollback that died between the two.
    pointer::publish(&*disk(), &space.root(), "wal").unwrap();
    let end = roll_back(&space).unwrap();
    assert!(end.already_rolled_back && end.store.as_deref() == Some("dual-000001"));
    assert_eq!(
        (state(&space).unwrap().stage, events(&space).last().unwrap().as_str()),
        (Stage::RolledBack, "rolled-back")
    );

    // The same, and then a migration instead.
    set_stage(&space, Stage::Published);
    let end = space.migrate(&eager()).unwrap();
    assert!(!end.already_done, "{end:?}");
    assert_eq!(live(&space).as_deref(), Some("dual-000001"));

    // The same, and then a publication instead.
    pointer::publish(&*disk(), &space.root(), "wal").unwrap();
    assert!(!publish_again(&space).unwrap().already_done);
    assert_eq!(live(&space).as_deref(), Some("dual-000001"));

    // A publication that died between the two.
    set_stage(&space, Stage::Verified);
    assert!(!roll_back(&space).unwrap().already_rolled_back);
    assert_eq!((state(&space).unwrap().stage, live(&space).as_deref()), (Stage::RolledBack, Some("wal")));
}

#[test]
fn a_checkpoint_that_cannot_be_read_does_not_keep_the_log_from_coming_back() {
    let space = space();
    space.migrate(&eager()).unwrap();
    damage(&space.paths().run_directory().checkpoint_path(), 70);
    assert!(!roll_back(&space).unwrap().already_rolled_back);
    assert_eq!((live(&space).as_deref(), events(&space).last().unwrap().as_str()), (Some("wal"), "rolled-back"));
}

// Crashes, with the source on the real disk and the target on the simulated one.

fn simulated(space: &Space) -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[&space.root()]);
    let end = with(|control| migrate(Arc::new(disk.clone()), &space.paths(), &eager(), control)).unwrap();
    assert_eq!(end.stage, Stage::Published);
    disk
}

fn small() -> Space {
    let space = Space::new();
    space.log(1, &log(0..4));
    space
}

fn roll_back_on(disk: &SimulatedDisk, space: &Space) -> Result<RollbackEnd, Error> {
    with(|control| rollback(Arc::new(disk.clone()), &space.paths(), &eager(), control))
}

fn stage_on(disk: &SimulatedDisk, space: &Space) -> Stage {
    let file = CheckpointFile::new(space.paths().run_directory().path(), CHECKPOINT_KIND);
    file.load::<RunState>(disk).unwrap().unwrap().stage
}

#[test]
fn a_rollback_survives_a_crash_at_any_operation() {
    let space = small();
    let disk = simulated(&space);
    let first = disk.operations();
    roll_back_on(&disk, &space).unwrap();
    for fault in CrashFault::ALL {
        for operations in first..=disk.operations() {
            let image = disk.crash_image(operations, fault);
            let what = format!("{fault:?} after {operations}");
            let live = pointer::read(&image, &space.root()).unwrap();
            assert!(matches!(live.as_deref(), Some("wal" | "dual-000001")), "{what}: {live:?}");
            roll_back_on(&image, &space).unwrap();
            assert_eq!(pointer::read(&image, &space.root()).unwrap().as_deref(), Some("wal"), "{what}");
            assert_eq!(stage_on(&image, &space), Stage::RolledBack, "{what}");
            let end = with(|control| publish(Arc::new(image.clone()), &space.paths(), &eager(), control)).unwrap();
            assert_eq!(end.stage, Stage::Published, "{what}");
            let live = pointer::read(&image, &space.root()).unwrap();
            assert_eq!(live.as_deref(), Some("dual-000001"), "{what}");
        }
    }
}

#[test]
fn a_rollback_that_fails_at_any_operation_can_be_run_again() {
    let space = small();
    let whole = simulated(&space);
    let first = whole.operations();
    roll_back_on(&whole, &space).unwrap();
    for n in 0..whole.operations() - first {
        let disk = simulated(&space);
        disk.fail_operation(n, InjectedFault::Eio);
        if roll_back_on(&disk, &space).is_ok() {
            assert!(!disk.fault_is_pending(), "operation {n} was reached");
        }
        roll_back_on(&disk, &space).unwrap();
        assert_eq!(pointer::read(&disk, &space.root()).unwrap().as_deref(), Some("wal"), "{n}");
        assert_eq!(stage_on(&disk, &space), Stage::RolledBack, "{n}");
    }
}

#[test]
fn a_clean_up_survives_a_crash_at_any_operation() {
    let space = small();
    let disk = simulated(&space);
    roll_back_on(&disk, &space).unwrap();
    let items = clean_plan(Arc::new(disk.clone()), &space.paths()).unwrap();
    assert_eq!(kinds(&items), [(CleanKind::Store, false)]);
    let first = disk.operations();
    clean(Arc::new(disk.clone()), &space.paths(), &items).unwrap();
    for fault in CrashFault::ALL {
        for operations in first..=disk.operations() {
            let image = disk.crash_image(operations, fault);
            let what = format!("{fault:?} after {operations}");
            let end = with(|control| migrate(Arc::new(image.clone()), &space.paths(), &eager(), control)).expect(&what);
            assert_eq!(end.stage, Stage::Published, "{what}");
            let store = pointer::read(&image, &space.root()).unwrap().unwrap();
            let end = with(|control| {
                let all = Subset::ALL;
                verify_space(Arc::new(image.clone()), &space.paths(), None, Depth::Full, all, &eager(), control)
            });
            assert_eq!(end.expect(&what).store, store, "{what}");
        }
    }
}

// Verify.

fn verify(space: &Space, store: Option<&str>, depth: Depth, subset: Subset) -> Result<VerifyEnd, Error> {
    with(|control| verify_space(disk(), &space.paths(), store, depth, subset, &eager(), control))
}

#[test]
fn the_named_store_is_verified_else_the_live_one_else_that_of_the_run() {
    let space = space();
    assert_eq!(verify(&space, None, Depth::Quick, Subset::ALL).unwrap_err().exit_code(), exit::USAGE);
    assert_eq!(fs::read_dir(space.root()).unwrap().count(), 1, "nothing is created");
    space.migrate(&sealed_only()).unwrap();
    assert_eq!(verify(&space, None, Depth::Quick, Subset::ALL).unwrap().store, "dual-000001");
    publish_again(&space).unwrap();
    space.log(3, &log(900..901));
    let restart = MigrateOptions { run: RunOptions { start: Start::Restart, ..sealed_only().run }, ..sealed_only() };
    space.migrate(&restart).unwrap();
    assert_eq!(verify(&space, None, Depth::Blocks, Subset::ALL).unwrap().store, "dual-000001");
    let end = verify(&space, Some("dual-000002"), Depth::Full, Subset::ALL).unwrap();
    assert_eq!((end.store.as_str(), end.coverage.node_rows), ("dual-000002", 501));
    for wrong in ["dual-000003", "../default", "wal", "migration"] {
        assert_eq!(verify(&space, Some(wrong), Depth::Quick, Subset::ALL).unwrap_err().exit_code(), exit::USAGE);
    }
}

#[test]
fn shares_cover_the_whole() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let whole = verify(&space, None, Depth::Full, Subset::ALL).unwrap().coverage;
    let shares = (1..=3).map(|part| verify(&space, None, Depth::Full, Subset { part, of: 3 }).unwrap().coverage);
    let sums = shares.fold((0, 0, 0), |sum, one| (sum.0 + one.blocks, sum.1 + one.bytes, sum.2 + one.node_rows));
    assert_eq!(sums, (whole.blocks, whole.bytes, whole.node_rows));
    assert!(whole.blocks >= 3 && whole.rebuilt_blocks == whole.blocks);
}

#[test]
fn a_share_is_verified_while_another_process_has_the_lock_unless_something_is_wrong() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let lock = space.paths().run_directory().lock(&RealDisk).unwrap();
    let share = Subset { part: 2, of: 3 };
    assert!(verify(&space, None, Depth::Full, share).unwrap().coverage.blocks > 0);
    let whole = || verify(&space, None, Depth::Full, Subset::ALL);
    assert_eq!(whole().unwrap_err().exit_code(), exit::TEMPORARY);

    // A fault without the lock may come of a run that changes the store.
    fs::remove_file(space.root().join("dual-000001/ids.index")).unwrap();
    assert_eq!(verify(&space, None, Depth::Full, share).unwrap_err().exit_code(), exit::TEMPORARY);
    drop(lock);
    assert_ne!(verify(&space, None, Depth::Full, share).unwrap_err().exit_code(), exit::TEMPORARY);
}

/// Stops the run when the first batch is written.
struct StopAtBatch(StopToken);

impl Observer for StopAtBatch {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
            self.0.request();
        }
    }
}

#[test]
fn a_stopped_verification_goes_on_and_leaves_nothing() {
    let space = Space::new();
    space.log(1, &log(0..9000));
    space.migrate(&eager()).unwrap();
    let whole = verify(&space, None, Depth::Blocks, Subset::ALL).unwrap().coverage;
    let mut options = eager();
    options.run.memory_budget_bytes = 1;
    let end = loop {
        let observer = StopAtBatch(StopToken::new());
        let control = Control { stop: &observer.0, observer: &observer };
        let end = verify_space(disk(), &space.paths(), None, Depth::Blocks, Subset::ALL, &options, &control).unwrap();
        if !end.stopped {
            break end;
        }
        assert!(space.paths().verification().is_dir(), "its place is kept");
    };
    let stops = events(&space).iter().filter(|event| *event == "verification-stopped").count();
    assert!(stops > 0, "it was stopped at least once");
    assert_eq!(end.coverage, whole);
    assert!(!space.paths().verification().exists());
}

#[test]
fn a_place_that_cannot_be_read_is_begun_anew() {
    let space = space();
    space.migrate(&eager()).unwrap();
    fs::create_dir(space.paths().verification()).unwrap();
    fs::write(space.paths().verification().join("checkpoint.bin"), b"rubbish").unwrap();
    assert!(!verify(&space, None, Depth::Blocks, Subset::ALL).unwrap().stopped);
    assert!(!space.paths().verification().exists());
}

#[test]
fn damage_is_found_and_journalled() {
    let space = space();
    space.migrate(&eager()).unwrap();
    damage(&space.root().join("dual-000001/segment-000000.dual"), 50_000);
    assert!(verify(&space, None, Depth::Quick, Subset::ALL).is_ok());
    assert_eq!(verify(&space, None, Depth::Blocks, Subset::ALL).unwrap_err().exit_code(), exit::BAD_DATA);
    assert_eq!(events(&space).last().unwrap(), "verification-failed");
}

#[test]
fn a_store_is_verified_where_nothing_can_be_written() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let read_only: Arc<dyn Disk> = Arc::new(ReadOnly);
    let end = with(|control| {
        verify_space(read_only, &space.paths(), None, Depth::Full, Subset::ALL, &eager(), control).unwrap()
    });
    assert!(end.coverage.blocks > 0 && !space.paths().verification().exists());
}

#[test]
fn one_verb_at_a_time() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let _lock = space.paths().run_directory().lock(&*disk()).unwrap();
    let busy = [
        roll_back(&space).map(|_| ()).unwrap_err(),
        publish_again(&space).map(|_| ()).unwrap_err(),
        verify(&space, None, Depth::Quick, Subset::ALL).map(|_| ()).unwrap_err(),
    ];
    for error in busy {
        assert_eq!(error.exit_code(), exit::TEMPORARY, "{error}");
    }
    assert!(look(&space).state.lock_holder.unwrap().starts_with(&format!("pid {} on ", std::process::id())));
}

// Clean up.

#[test]
fn the_live_store_is_never_cleaned() {
    let space = space();
    space.migrate(&eager()).unwrap();
    assert_eq!(cleanable(&space), []);
    let before = tree(&space.root());
    let made_up = CleanItem {
        path: space.root().join("dual-000001"),
        kind: CleanKind::Store,
        bytes: 1,
        loses_work: true,
        with_checkpoint: true,
    };
    for path in ["dual-000001", "wal", "CURRENT", "migration", "migration/journal.jsonl"] {
        let item = CleanItem { path: space.root().join(path), ..made_up.clone() };
        assert_eq!(clean(disk(), &space.paths(), &[item]).unwrap_err().exit_code(), exit::USAGE, "{path}");
    }
    let after = tree(&space.root());
    assert_eq!(without_lock(after), without_lock(before));
}

fn without_lock(
    mut files: std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>,
) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    files.remove(Path::new("migration/lock"));
    files
}

#[test]
fn a_store_that_became_live_since_the_plan_is_kept() {
    let space = space();
    space.migrate(&eager()).unwrap();
    roll_back(&space).unwrap();
    let items = cleanable(&space);
    assert_eq!(kinds(&items), [(CleanKind::Store, false)]);
    publish_again(&space).unwrap();
    assert_eq!(clean(disk(), &space.paths(), &items).unwrap_err().exit_code(), exit::USAGE);
    assert_eq!(space.live_ids().len(), 498);
}

#[test]
fn a_rolled_back_store_goes_with_its_checkpoint() {
    let space = space();
    space.migrate(&eager()).unwrap();
    roll_back(&space).unwrap();
    let bytes: u64 = tree(&space.root().join("dual-000001")).values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(clean(disk(), &space.paths(), &cleanable(&space)).unwrap().bytes, bytes);
    assert!(!space.root().join("dual-000001").exists() && state(&space).is_none());
    assert_eq!(cleanable(&space), []);
    assert_eq!(events(&space).last().unwrap(), "cleaned");
    assert!(space.paths().run_directory().report_path().exists());
    assert_eq!(live(&space).as_deref(), Some("wal"));
    assert_eq!(space.migrate(&eager()).unwrap().stage, Stage::Published);
}

#[test]
fn an_older_store_goes_without_the_checkpoint_of_the_live_one() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let old = tree(&space.root().join("dual-000001"));
    space.log(3, &log(900..901));
    space.migrate(&MigrateOptions { run: RunOptions { start: Start::Restart, ..eager().run }, ..eager() }).unwrap();
    if !space.root().join("dual-000001").exists() {
        fs::create_dir(space.root().join("dual-000001")).unwrap();
        old.iter().for_each(|(name, bytes)| fs::write(space.root().join("dual-000001").join(name), bytes).unwrap());
    }
    let items = cleanable(&space);
    assert_eq!(items.len(), 1);
    assert!(items[0].path.ends_with("dual-000001") && !items[0].with_checkpoint);
    clean(disk(), &space.paths(), &items).unwrap();
    assert_eq!((state(&space).unwrap().stage, live(&space).as_deref()), (Stage::Published, Some("dual-000002")));
}

#[test]
fn an_unfinished_run_is_listed_as_work() {
    let space = Space::new();
    space.log(1, &log(0..9000));
    let observer = StopAtBatch(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let options =
        MigrateOptions { run: RunOptions { memory_budget_bytes: 4096, batch_records: 1, ..eager().run }, ..eager() };
    assert!(migrate(disk(), &space.paths(), &options, &control).unwrap().stopped);
    fs::create_dir_all(space.paths().scratch().join("ids")).unwrap();
    let items = cleanable(&space);
    assert_eq!(kinds(&items), [(CleanKind::Scratch, false), (CleanKind::Staging, true)]);
    clean(disk(), &space.paths(), &items[..1]).unwrap();
    assert!(state(&space).is_some() && !space.paths().scratch().exists());
    clean(disk(), &space.paths(), &items).unwrap();
    assert!(state(&space).is_none() && !space.paths().staging().exists());
    assert_eq!(space.migrate(&eager()).unwrap().records, 9001);
}

#[test]
fn a_sealed_store_that_was_never_live_is_listed_as_work() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    assert_eq!(kinds(&cleanable(&space)), [(CleanKind::Store, true)]);
}

#[test]
fn temporary_files_go_and_strangers_stay() {
    let space = space();
    space.migrate(&eager()).unwrap();
    let run = space.paths().run_directory();
    let ours = [
        space.root().join(".CURRENT.tmp"),
        run.path().join(".checkpoint.bin.tmp"),
        run.path().join(".report.json.tmp"),
    ];
    let strangers = [space.root().join(".mine.tmp"), space.root().join("notes.tmp"), run.path().join("notes")];
    ours.iter().chain(&strangers).for_each(|path| fs::write(path, b"x").unwrap());
    assert_eq!(clean(disk(), &space.paths(), &cleanable(&space)).unwrap().bytes, 3);
    assert!(ours.iter().all(|path| !path.exists()) && strangers.iter().all(|path| path.exists()));
}

#[test]
fn nothing_is_planned_while_the_pointer_cannot_be_read() {
    let space = space();
    space.migrate(&eager()).unwrap();
    fs::write(space.root().join("CURRENT"), b"dual-").unwrap();
    assert_eq!(clean_plan(disk(), &space.paths()).unwrap_err().exit_code(), exit::BAD_DATA);
}

// Status.

#[test]
fn the_status_of_an_empty_space_creates_nothing() {
    let space = Space::new();
    let status = look(&space);
    assert_eq!((status.live.as_deref(), status.stores.len(), status.staging_bytes), (Some("wal"), 0, 0));
    assert!(status.state.run.is_none() && status.state.lock_holder.is_none() && status.state.journal.is_empty());
    assert!(status.next.contains("haul space migrate"));
    assert_eq!(fs::read_dir(space.root()).unwrap().count(), 1, "wal/ alone");
}

#[test]
fn the_status_follows_the_life_of_a_run() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    let status = look(&space);
    let run = status.state.run.as_ref().unwrap();
    assert_eq!((run.stage, run.records, run.details.store.as_str()), (Stage::Verified, 502, "dual-000001"));
    assert!(status.next.contains("haul space publish"), "{}", status.next);
    publish_again(&space).unwrap();
    let before = tree(&space.root());
    let status = look(&space);
    assert_eq!(tree(&space.root()), before, "looking changes nothing");
    assert_eq!(
        (status.live.as_deref(), status.stores[0].live, status.stores[0].nodes),
        (Some("dual-000001"), true, Some(498))
    );
    assert!(status.stores[0].bytes > 500 * 3072 && status.next.contains("nothing"), "{status:?}");
    roll_back(&space).unwrap();
    let status = look(&space);
    assert_eq!((status.live.as_deref(), status.state.run.as_ref().unwrap().stage), (Some("wal"), Stage::RolledBack));
    assert_eq!(status.state.journal.last().unwrap().event, "rolled-back");
    assert!(status.state.journal.len() <= 10 && status.state.lock_holder.is_none());
    serde_json::to_string(&status).unwrap();
}

#[test]
fn what_cannot_be_read_is_said() {
    let space = space();
    space.migrate(&eager()).unwrap();
    damage(&space.paths().run_directory().checkpoint_path(), 70);
    damage(&space.root().join("dual-000001/MANIFEST"), 100);
    fs::write(space.root().join("CURRENT"), b"?").unwrap();
    let status = look(&space);
    assert!(status.state.checkpoint_problem.is_some() && status.pointer_problem.is_some() && status.live.is_none());
    assert!(status.stores[0].problem.is_some() && status.stores[0].nodes.is_none());
    assert!(status.next.contains("put back the name of the store to read"), "{}", status.next);
}
