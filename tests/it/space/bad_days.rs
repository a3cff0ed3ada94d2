//! Bad days: a source in use, a full disk, a taken lock, foreign state. Each ends in a clear error and goes on afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::haul::Done;
use crate::support::nobody::Nobody;
use crate::support::space::{STORE, Space, episode, records};
use crate::support::space_runs::{disk, eager};
use haul::durable::{Disk, InjectedFault, ReaderKind, RealDisk, SimulatedDisk};
use haul::migration::{Error, RunOptions, Stage, Start, exit, pointer};
use haul::pipeline::{Control, Event, Observer, Phase, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::log::wal::encode_record;
use haul::space::migrate::{MigrationEnd, migrate};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Corruption, Duplicates, Policies};
use haul::space::verify::CHECKPOINT_KIND as VERIFY_KIND;
use parking_lot::Mutex;
use serde_json::Value;

/// Two files of several blocks each.
fn space() -> Space {
    let space = Space::new();
    for file in 1..=2 {
        let list: Vec<_> = (0..600).map(|n| (n, STORE, episode(&format!("{file}/{n}")))).collect();
        space.log(file, &records(&list));
    }
    space
}

fn options() -> MigrateOptions {
    MigrateOptions {
        reader: ReaderKind::Pread,
        run: RunOptions {
            batch_records: 1,
            parallel_workers: NonZeroUsize::MIN,
            memory_budget_bytes: 1,
            ..eager().run
        },
        ..eager()
    }
}

/// Does something once, at the first event that is waited for.
struct Once<'a> {
    when: fn(&Event) -> bool,
    act: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl<'a> Once<'a> {
    fn new(when: fn(&Event) -> bool, act: impl FnOnce() + Send + 'a) -> Self {
        Self { when, act: Mutex::new(Some(Box::new(act))) }
    }

    fn happened(&self) -> bool {
        self.act.lock().is_none()
    }
}

impl Observer for Once<'_> {
    fn observe(&self, event: &Event) {
        if (self.when)(event)
            && let Some(act) = self.act.lock().take()
        {
            act();
        }
    }
}

fn first_batch(event: &Event) -> bool {
    matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. })
}

fn run_on(
    disk: Arc<dyn Disk>,
    space: &Space,
    options: &MigrateOptions,
    observer: &dyn Observer,
) -> Result<MigrationEnd, Error> {
    let stop = StopToken::new();
    migrate(disk, &space.paths(), options, &Control { stop: &stop, observer })
}

fn run(space: &Space, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
    run_on(disk(), space, options, &Silent)
}

/// Leaves a run that was stopped after its first batch.
fn stopped(space: &Space, options: &MigrateOptions) {
    let stop = StopToken::new();
    let observer = Once::new(first_batch, || stop.request());
    let end = migrate(disk(), &space.paths(), options, &Control { stop: &stop, observer: &observer }).unwrap();
    assert!(end.stopped && end.stage == Stage::Running && end.records < 1_200, "{end:?}");
}

fn checkpoint(space: &Space) -> PathBuf {
    space.paths().run_directory().checkpoint_path()
}

fn store_of(space: &Space, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    tree(&space.root().join(name))
}

#[track_caller]
fn assert_unpublished(space: &Space) {
    assert_eq!(pointer::read(&RealDisk, &space.root()).unwrap(), None, "nothing is published");
}

#[test]
fn a_source_that_changes_while_it_is_read_is_noticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("appended", |wal| {
            let mut file = fs::File::options().append(true).open(wal.join("wal-0000000000000002.log")).unwrap();
            file.write_all(&encode_record(600, 7, STORE, &episode("late"))).unwrap();
        }),
        ("truncated", |wal| {
            fs::File::options().write(true).open(wal.join("wal-0000000000000002.log")).unwrap().set_len(1_000).unwrap();
        }),
        ("replaced", |wal| {
            let path = wal.join("wal-0000000000000001.log");
            fs::copy(&path, wal.join("other")).unwrap();
            fs::rename(wal.join("other"), &path).unwrap();
        }),
        ("touched", |wal| {
            let file = fs::File::options().write(true).open(wal.join("wal-0000000000000001.log")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("removed", |wal| fs::remove_file(wal.join("wal-0000000000000001.log")).unwrap()),
        ("appeared", |wal| fs::write(wal.join("wal-0000000000000003.log"), b"").unwrap()),
    ];
    let moments: [fn(&Event) -> bool; 4] = [
        first_batch,
        |event| matches!(event, Event::PhaseStarted { phase: Phase::Seal, .. }),
        |event| matches!(event, Event::PhaseEnded { phase: Phase::Index }),
        |event| matches!(event, Event::PhaseStarted { phase: Phase::Publish, .. }),
    ];
    for (what, change) in changes {
        for (moment, when) in moments.into_iter().enumerate() {
            let space = space();
            let observer = Once::new(when, || change(&space.wal()));
            let limited = MigrateOptions {
                run: RunOptions { rate_limit: NonZeroU32::new(100_000), ..options().run },
                ..options()
            };
            let error = run_on(disk(), &space, &limited, &observer).expect_err(what);
            assert!(observer.happened());
            assert!(matches!(error, Error::SourceChanged { .. }), "{what} at {moment}: {error}");
            assert_eq!(error.exit_code(), exit::BAD_DATA);
            assert!(error.next_step().unwrap().contains("--restart"));
            assert_unpublished(&space);
            if moment > 0 {
                continue;
            }
            // What is there now is another source: the run does not go on, but starts over on request.
            let error = run(&space, &options()).expect_err(what);
            assert_eq!(error.exit_code(), exit::USAGE, "{what}: {error}");
            let lenient = Policies { corruption: Corruption::Resync, ..Policies::default() };
            let anew = MigrateOptions {
                policies: lenient,
                run: RunOptions { start: Start::Restart, ..options().run },
                ..options()
            };
            assert_eq!(run(&space, &anew).expect(what).stage, Stage::Published);
        }
    }
}

#[test]
fn a_source_that_changes_between_two_runs_is_another_plan() {
    let space = space();
    stopped(&space, &options());
    let mut log = fs::File::options().append(true).open(space.wal().join("wal-0000000000000002.log")).unwrap();
    log.write_all(&encode_record(600, 7, STORE, &episode("late"))).unwrap();
    let error = run(&space, &options()).unwrap_err();
    assert!(error.to_string().contains("another plan"), "{error}");
    let end = run(&space, &MigrateOptions { run: RunOptions { start: Start::Restart, ..options().run }, ..options() })
        .unwrap();
    assert_eq!((end.counts.migrated, end.resumed), (1_201, false));
}

#[test]
fn a_target_that_cannot_be_written_is_an_error_with_its_path() {
    let space = space();
    fs::write(space.root().join("migration"), b"in the way").unwrap();
    let error = run(&space, &options()).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE);
    assert!(error.to_string().contains("migration: it is a file"), "{error}");
    assert_unpublished(&space);
    fs::remove_file(space.root().join("migration")).unwrap();

    // A directory where the pointer belongs: everything is done but the last step, which can be made up for.
    let observer = Once::new(
        |event| matches!(event, Event::PhaseStarted { phase: Phase::Publish, .. }),
        || fs::create_dir(space.root().join("CURRENT")).unwrap(),
    );
    let error = run_on(disk(), &space, &options(), &observer).unwrap_err();
    assert!(error.to_string().contains("CURRENT"), "{error}");
    assert!(run(&space, &options()).unwrap_err().to_string().contains("CURRENT"));
    fs::remove_dir(space.root().join("CURRENT")).unwrap();
    let end = run(&space, &options()).unwrap();
    assert_eq!((end.stage, end.resumed), (Stage::Published, true));
}

#[test]
fn a_read_only_directory_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let space = space();
    let nobody = Nobody::at(space.root().parent().unwrap());
    fs::set_permissions(space.root(), fs::Permissions::from_mode(0o555)).unwrap();
    let done = Done::of(nobody.haul().args(["space", "migrate", "--space"]).arg(space.root()).output().unwrap());
    fs::set_permissions(space.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let done = done.expect(exit::FAILED.into());
    assert!(done.stderr.lines().any(|line| line.contains("next: ") && line.contains("access")), "{}", done.stderr);
    assert!(!space.root().join("migration").exists());
}

fn simulated(space: &Space) -> SimulatedDisk {
    SimulatedDisk::with_directories(&[&space.root()])
}

fn simulated_store(disk: &SimulatedDisk, space: &Space) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = space.root().join("dual-000001");
    let files = disk.snapshot().into_iter();
    files.filter_map(|(path, bytes)| Some((path.strip_prefix(&store).ok()?.to_path_buf(), bytes))).collect()
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_is_moved() {
    let space = space();
    let disk = simulated(&space);
    disk.set_capacity(2 << 20);
    let error = run_on(Arc::new(disk.clone()), &space, &options(), &Silent).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert_eq!(error.exit_code(), exit::TEMPORARY);
    disk.set_capacity(1 << 30);
    assert_eq!(run_on(Arc::new(disk), &space, &options(), &Silent).unwrap().stage, Stage::Published);
}

/// Space is allocated 64 MiB ahead where there is room; a small store must not need that.
#[test]
fn room_for_the_store_alone_is_enough() {
    let space = space();
    let disk = simulated(&space);
    disk.set_capacity(8 << 20);
    assert_eq!(run_on(Arc::new(disk), &space, &options(), &Silent).unwrap().stage, Stage::Published);
}

#[test]
fn a_disk_that_fills_up_ends_the_run_which_goes_on_once_there_is_room() {
    let space = space();
    run(&space, &options()).unwrap();
    let expected = store_of(&space, "dual-000001");
    let moments: [fn(&Event) -> bool; 3] = [
        first_batch,
        |event| matches!(event, Event::PhaseStarted { phase: Phase::Index, .. }),
        |event| matches!(event, Event::PhaseStarted { phase: Phase::Publish, .. }),
    ];
    for when in moments {
        let disk = simulated(&space);
        let used = || disk.snapshot().values().map(|bytes| bytes.len() as u64).sum::<u64>();
        let observer = Once::new(when, || disk.set_capacity(used()));
        let error = run_on(Arc::new(disk.clone()), &space, &options(), &observer).unwrap_err();
        assert_eq!(error.exit_code(), exit::TEMPORARY, "{error}");
        assert!(error.next_step().unwrap().contains("free space"));
        assert_eq!(pointer::read(&disk, &space.root()).unwrap(), None);
        disk.set_capacity(1 << 30);
        let end = run_on(Arc::new(disk.clone()), &space, &options(), &Silent).unwrap();
        assert_eq!(end.stage, Stage::Published);
        assert_eq!(simulated_store(&disk, &space), expected);
        let report = &disk.snapshot()[&space.paths().run_directory().report_path()];
        let report: Value = serde_json::from_slice(report).unwrap();
        let attempts = report["attempts"].as_array().unwrap();
        // The full disk does not take how the first one has ended.
        assert!(["failed", "killed"].map(Value::from).contains(&attempts[0]["outcome"]), "{report:#}");
        assert_eq!(attempts[1]["outcome"], "published");
        let records: u64 = attempts.iter().map(|attempt| attempt["records"].as_u64().unwrap()).sum();
        assert_eq!(report["records_read"], records, "each record is counted in one attempt");
    }
}

/// Leaves room for the journal alone once the store is published, and keeps the notes and the end.
struct FullAtTheEnd {
    disk: SimulatedDisk,
    said: Mutex<Vec<String>>,
}

impl Observer for FullAtTheEnd {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseEnded { phase: Phase::Publish } => {
                let used: u64 = self.disk.snapshot().values().map(|bytes| bytes.len() as u64).sum();
                self.disk.set_capacity(used + 1_000);
            }
            Event::Note { text } => self.said.lock().push(text.clone()),
            Event::RunEnded { outcome, exit_code } => self.said.lock().push(format!("{outcome} {exit_code}")),
            _ => {}
        }
    }
}

#[test]
fn a_report_that_a_full_disk_does_not_take_is_a_note() {
    let space = space();
    let disk = simulated(&space);
    let observer = FullAtTheEnd { disk: disk.clone(), said: Mutex::default() };
    let end = run_on(Arc::new(disk.clone()), &space, &options(), &observer).unwrap();
    assert_eq!((end.stage, end.stopped), (Stage::Published, false));
    let said = observer.said.into_inner();
    let [.., note, ended] = &said[..] else { panic!("{said:?}") };
    assert!(note.contains("the report cannot be written"), "{said:?}");
    assert_eq!(ended, "published 0");
    let report = space.paths().run_directory().report_path();
    assert!(!disk.snapshot().contains_key(&report));
    // Once there is room, the same command writes it.
    disk.set_capacity(1 << 30);
    assert!(run_on(Arc::new(disk.clone()), &space, &options(), &Silent).unwrap().already_done);
    assert!(disk.snapshot().contains_key(&report));
}

#[test]
fn a_full_disk_at_any_operation_is_temporary() {
    let space = Space::new();
    let list: Vec<_> = (0..20).map(|n| (n, STORE, episode(&n.to_string()))).collect();
    space.log(1, &records(&list));
    run(&space, &options()).unwrap();
    let expected = store_of(&space, "dual-000001");
    let mut failed = 0;
    for operation in 0.. {
        let disk = simulated(&space);
        disk.fail_operation(operation, InjectedFault::Enospc);
        let result = run_on(Arc::new(disk.clone()), &space, &options(), &Silent);
        if disk.fault_is_pending() {
            break;
        }
        if let Err(error) = result {
            failed += 1;
            assert_eq!(error.exit_code(), exit::TEMPORARY, "operation {operation}: {error}");
        }
        let end = run_on(Arc::new(disk.clone()), &space, &options(), &Silent)
            .unwrap_or_else(|error| panic!("after operation {operation}: {error}"));
        assert_eq!(end.stage, Stage::Published, "operation {operation}");
        assert_eq!(simulated_store(&disk, &space), expected, "operation {operation}");
    }
    println!("the disk was full at {failed} operations");
    assert!(failed > 30);
}

#[test]
fn a_taken_lock_names_its_owner_and_nothing_is_touched() {
    let space = space();
    let run_directory = space.paths().run_directory();
    run_directory.create(&RealDisk).unwrap();
    let guard = RealDisk.try_lock(&run_directory.lock_path(), "pid 1 on elsewhere").unwrap().unwrap();
    for start in [Start::Auto, Start::Resume, Start::Restart] {
        let error =
            run(&space, &MigrateOptions { run: RunOptions { start, ..options().run }, ..options() }).unwrap_err();
        assert!(matches!(&error, Error::Locked { owner } if owner.contains("pid 1 on elsewhere")), "{error}");
        assert_eq!(error.exit_code(), exit::TEMPORARY);
        assert_eq!(fs::read_dir(run_directory.path()).unwrap().count(), 1, "only the lock is there");
    }
    drop(guard);
    run(&space, &options()).unwrap();
}

#[test]
fn what_a_dead_process_wrote_into_the_lock_keeps_nobody_out() {
    let space = space();
    let run_directory = space.paths().run_directory();
    run_directory.create(&RealDisk).unwrap();
    fs::write(run_directory.lock_path(), b"pid 4194304 on this very host").unwrap();
    run(&space, &options()).unwrap();
}

#[test]
fn a_run_is_not_continued_under_other_policies() {
    let space = space();
    stopped(&space, &options());
    let before = fs::read(checkpoint(&space)).unwrap();
    let latest = Policies { duplicates: Duplicates::Latest, ..Policies::default() };
    for other in [
        MigrateOptions { policies: latest, ..options() },
        MigrateOptions { segment_bytes_max: 1 << 20, ..options() },
        MigrateOptions { policies: latest, run: RunOptions { start: Start::Resume, ..options().run }, ..options() },
    ] {
        let error = run(&space, &other).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{error}");
        assert!(error.next_step().unwrap().contains("duplicates=engram"), "the settings of that run are named");
        assert_eq!(fs::read(checkpoint(&space)).unwrap(), before, "the checkpoint stays");
    }
    let end = run(&space, &MigrateOptions { run: RunOptions { start: Start::Resume, ..options().run }, ..options() })
        .unwrap();
    assert!(end.resumed && end.stage == Stage::Published && end.counts.migrated == 1_200);
}

#[test]
fn a_foreign_or_damaged_checkpoint_is_refused_and_kept() {
    let space = space();
    stopped(&space, &options());
    let sound = fs::read(checkpoint(&space)).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        bytes
    };
    let cases = [
        ("torn", changed(&|bytes| bytes.truncate(bytes.len() / 2)), exit::BAD_DATA),
        ("empty", Vec::new(), exit::BAD_DATA),
        ("flipped", changed(&|bytes| *bytes.last_mut().unwrap() ^= 1), exit::BAD_DATA),
        ("longer", changed(&|bytes| bytes.push(0)), exit::BAD_DATA),
        ("no checkpoint", b"something else".to_vec(), exit::BAD_DATA),
        ("older", changed(&|bytes| bytes[8] = 1), exit::USAGE),
        ("newer", changed(&|bytes| bytes[8] = 3), exit::USAGE),
    ];
    for (what, bytes, code) in cases {
        fs::write(checkpoint(&space), &bytes).unwrap();
        for start in [Start::Auto, Start::Resume] {
            let error = run(&space, &MigrateOptions { run: RunOptions { start, ..options().run }, ..options() })
                .expect_err(what);
            assert_eq!(error.exit_code(), code, "{what}: {error}");
            assert!(error.to_string().contains("checkpoint"), "{what}: {error}");
            assert!(error.next_step().is_some());
            assert_eq!(fs::read(checkpoint(&space)).unwrap(), bytes, "{what}: it is kept");
            assert_unpublished(&space);
        }
    }
    let foreign = haul::migration::checkpoint::encode(VERIFY_KIND, &checkpoint(&space), &7_u64).unwrap();
    fs::write(checkpoint(&space), foreign).unwrap();
    assert_eq!(run(&space, &options()).unwrap_err().exit_code(), exit::USAGE);
    let end = run(&space, &MigrateOptions { run: RunOptions { start: Start::Restart, ..options().run }, ..options() })
        .unwrap();
    assert!(!end.resumed && end.stage == Stage::Published);
}

#[test]
fn staged_files_that_are_gone_are_noticed() {
    for file in ["segment-000000.dual", "blocks.index"] {
        let space = space();
        stopped(&space, &options());
        let path = space.paths().staging().join(file);
        fs::File::options().write(true).open(&path).unwrap().set_len(64).unwrap();
        for _ in 0..2 {
            let error = run(&space, &options()).expect_err(file);
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
            assert!(error.to_string().contains(file), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(run(&space, &options()).expect_err(file).exit_code(), exit::BAD_DATA);
        run(&space, &MigrateOptions { run: RunOptions { start: Start::Restart, ..options().run }, ..options() })
            .unwrap();
    }
}

#[test]
fn a_budget_smaller_than_a_batch_completes() {
    let space = space();
    for memory_budget_bytes in [1, 1 << 20] {
        let options = MigrateOptions {
            run: RunOptions {
                memory_budget_bytes,
                start: Start::Restart,
                parallel_workers: NonZeroUsize::new(2).unwrap(),
                ..RunOptions::default()
            },
            ..MigrateOptions::default()
        };
        assert_eq!(run(&space, &options).unwrap().counts.migrated, 1_200);
    }
}

#[test]
fn there_is_nothing_to_resume_without_a_run() {
    let space = space();
    let error = run(&space, &MigrateOptions { run: RunOptions { start: Start::Resume, ..options().run }, ..options() })
        .unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE);
    assert_unpublished(&space);
    run(&space, &options()).unwrap();
    for start in [Start::Auto, Start::Resume] {
        let end = run(&space, &MigrateOptions { run: RunOptions { start, ..options().run }, ..options() }).unwrap();
        assert!(end.already_done && end.stage == Stage::Published);
    }
}

#[test]
fn a_run_that_failed_on_findings_leaves_nothing_to_resume() {
    let space = space();
    space.log(3, b"no log at all");
    assert_eq!(run(&space, &options()).unwrap_err().exit_code(), exit::BAD_DATA);
    let resume = MigrateOptions { run: RunOptions { start: Start::Resume, ..options().run }, ..options() };
    assert_eq!(run(&space, &resume).unwrap_err().exit_code(), exit::USAGE);
    let skip = Policies { corruption: Corruption::Skip, ..Policies::default() };
    let end = run(&space, &MigrateOptions { policies: skip, ..options() }).unwrap();
    assert_eq!((end.details.damaged_bytes, end.details.store.as_str()), (13, "dual-000001"));
}

#[test]
fn a_restart_makes_a_new_store_and_keeps_the_live_one() {
    let space = space();
    run(&space, &options()).unwrap();
    let first = store_of(&space, "dual-000001");
    let anew =
        MigrateOptions { publish: false, run: RunOptions { start: Start::Restart, ..options().run }, ..options() };
    let end = run(&space, &anew).unwrap();
    assert_eq!((end.stage, end.details.store.as_str()), (Stage::Verified, "dual-000002"));
    assert_eq!(pointer::read(&RealDisk, &space.root()).unwrap().as_deref(), Some("dual-000001"));
    assert_eq!(store_of(&space, "dual-000001"), first, "the live store is what it was");
    assert_eq!(store_of(&space, "dual-000002"), first, "and the new one is the same");
    let end = run(&space, &options()).unwrap();
    assert_eq!((end.stage, end.resumed, end.details.store.as_str()), (Stage::Published, true, "dual-000002"));
    assert_eq!(pointer::read(&RealDisk, &space.root()).unwrap().as_deref(), Some("dual-000002"));
    DualSpace::open(&space.root().join("dual-000002")).unwrap();
}

#[test]
fn a_failed_restart_leaves_the_live_store_in_place() {
    let space = space();
    run(&space, &options()).unwrap();
    let first = store_of(&space, "dual-000001");
    space.log(3, b"no log at all");
    let anew = MigrateOptions { run: RunOptions { start: Start::Restart, ..options().run }, ..options() };
    assert_eq!(run(&space, &anew).unwrap_err().exit_code(), exit::BAD_DATA);
    assert_eq!(pointer::read(&RealDisk, &space.root()).unwrap().as_deref(), Some("dual-000001"));
    assert_eq!(store_of(&space, "dual-000001"), first);
}

#[test]
fn what_a_run_before_its_first_checkpoint_left_is_cleared_away() {
    let space = space();
    let staging = space.paths().staging();
    fs::create_dir_all(&staging).unwrap();
    // The plan is there first.
    fs::write(space.root().join("migration/plan.json"), br#"{"run_id":"r1"}"#).unwrap();
    fs::write(staging.join("segment-000000.dual"), vec![7; 100_000]).unwrap();
    fs::write(staging.join("segment-000001.dual"), b"left over").unwrap();
    fs::create_dir_all(space.paths().scratch().join("ids")).unwrap();
    fs::write(space.paths().scratch().join("ids/run-000000"), b"left over").unwrap();
    run(&space, &options()).unwrap();
    let clean = crate::support::files::tree(&space.root().join("dual-000001"));
    assert_eq!(clean.len(), 5, "{:?}", clean.keys());
}
