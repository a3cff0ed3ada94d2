//! The commands around a migration: plan, estimate, status, clean.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::nodes::tree;
use crate::support::old_store::OldStore;
use crate::support::store_runs::{eager, stopped, with};
use haul::cas::Algorithm;
use haul::cas::clean::{CleanItem, CleanKind, clean, clean_plan};
use haul::cas::migrate::migrate;
use haul::cas::migrate::plan::plan;
use haul::cas::options::{Linking, MigrateOptions, Placement};
use haul::cas::rollback::{RollbackRequest, rollback};
use haul::cas::source::location::Shape;
use haul::cas::state::{CHECKPOINT_KIND, RunState};
use haul::cas::status::{Holds, Status, status};
use haul::durable::{CrashFault, Disk, RealDisk, SimulatedDisk};
use haul::migration::{CheckpointFile, Durability, Error, RunOptions, Stage, Start, checkpoint, exit, journal};
use haul::pipeline::{Control, Event, Observer, StopToken};

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn placed(placement: Placement) -> MigrateOptions {
    MigrateOptions { placement, ..eager() }
}

fn sealed(placement: Placement) -> MigrateOptions {
    MigrateOptions { publish: false, ..placed(placement) }
}

/// Puts a v2 store at the target.
fn prepare(store: &OldStore) {
    let other = OldStore::new();
    other.object(Algorithm::Cas, b"before", Shape::TwoLevels);
    with(|control| migrate(disk(), &other.root(), &store.paths(), &eager(), control)).unwrap();
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
}

fn look(store: &OldStore) -> Status {
    let before = tree(store.place());
    let status = status(disk(), &store.paths()).unwrap();
    assert_eq!(tree(store.place()), before, "looking changes nothing");
    status
}

fn cleanable(store: &OldStore) -> Vec<CleanItem> {
    clean_plan(disk(), &store.paths()).unwrap()
}

/// For each item its name, its kind, and whether work is lost.
fn items(list: &[CleanItem]) -> Vec<(String, CleanKind, bool)> {
    let name = |item: &CleanItem| item.path.file_name().unwrap().to_str().unwrap().to_owned();
    list.iter().map(|item| (name(item), item.kind, item.loses_work)).collect()
}

fn clean_all(store: &OldStore) -> u64 {
    clean(disk(), &store.paths(), &cleanable(store)).unwrap().bytes
}

fn roll_back(store: &OldStore) -> Result<(), Error> {
    with(|control| rollback(disk(), &store.paths(), &eager(), &RollbackRequest::default(), control)).map(|_| ())
}

fn state(store: &OldStore) -> Option<RunState> {
    CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND).load(&RealDisk).unwrap()
}

/// Stops the run when objects are moved.
struct StopAtBatch(StopToken);

impl Observer for StopAtBatch {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
            self.0.request();
        }
    }
}

/// Stops a run in its middle.
fn stop_half_way(store: &OldStore, placement: Placement) {
    let observer = StopAtBatch(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let options = MigrateOptions {
        run: RunOptions { memory_budget_bytes: 1, batch_records: 1, ..placed(placement).run },
        ..placed(placement)
    };
    let end = migrate(disk(), &store.root(), &store.paths(), &options, &control).unwrap();
    assert!(end.stopped);
}

// Plan.

#[test]
fn a_plan_counts_references_and_writes_nothing() {
    let store = OldStore::with_objects(20);
    store
        .object(Algorithm::Cas, b"flat", Shape::Flat)
        .object(Algorithm::Cas, b"one level", Shape::OneLevel)
        .object(Algorithm::Cas, b"split", Shape::SplitName)
        .sidecar(Algorithm::Cas, b"split", Shape::SplitName, 1)
        .file("objects/README", b"");
    let before = tree(store.place());
    let made = with(|control| plan(&store.root(), &store.paths(), &eager(), control)).unwrap();
    assert_eq!(tree(store.place()), before);
    let layout = &made.layout;
    assert_eq!((layout.flat, layout.one_level, layout.split_name, layout.two_levels), (1, 1, 1, 20));
    assert_eq!((made.objects, made.sidecars, made.others), (23, 1, 1));
    assert_eq!(made.object_bytes, 20 * 100 + 4 + 9 + 5);
    assert!(Path::new(&made.source).is_absolute() && Path::new(&made.target).is_absolute());
    let linked = MigrateOptions { link: Linking::Auto, ..eager() };
    let linked = with(|control| plan(&store.root(), &store.paths(), &linked, control)).unwrap();
    // Each is shorter than a block.
    assert_eq!(made.space_needed_bytes - linked.space_needed_bytes, 23 * 4096);
    assert_eq!(made.inodes_needed - linked.inodes_needed, 23);
    let error = stopped(|control| plan(&store.root(), &store.paths(), &eager(), control)).unwrap_err();
    assert_eq!(error.exit_code(), exit::TEMPORARY);
    let inside = haul::cas::paths::TargetPaths::new(&store.root().join("new")).unwrap();
    let error = with(|control| plan(&store.root(), &inside, &eager(), control)).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE);
}

// Status.

#[test]
fn a_status_without_a_store_or_a_run_is_an_error() {
    let store = OldStore::with_objects(1);
    let error = status(disk(), &store.paths()).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE, "{error}");
}

#[test]
fn a_target_without_a_run_is_described() {
    let store = OldStore::with_objects(1);
    fs::create_dir(store.target()).unwrap();
    assert_eq!(look(&store).holds, Holds::EmptyDirectory);
    fs::write(store.target().join("x"), b"").unwrap();
    assert_eq!(look(&store).holds, Holds::Directory);
    fs::write(store.target().join("index.ndjson"), b"").unwrap();
    let status = look(&store);
    assert_eq!((status.holds, status.is_as_sealed), (Holds::Store, None));
    assert!(status.state.run.is_none() && status.kept.is_empty() && status.state.journal.is_empty());
    assert!(status.next.contains("no migration"), "{}", status.next);
    fs::remove_dir_all(store.target()).unwrap();
    fs::write(store.target(), b"").unwrap();
    assert_eq!(look(&store).holds, Holds::NoDirectory);
}

fn kept_names(status: &Status) -> Vec<&str> {
    status.kept.iter().map(|kept| kept.path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn the_status_follows_the_life_of_a_run() {
    let store = OldStore::with_objects(30);
    store.stored(Algorithm::Cas, b"damaged", b"x", Shape::TwoLevels);
    stop_half_way(&store, Placement::New);
    let half = look(&store);
    let run = half.state.run.as_ref().unwrap();
    assert!(run.stage == Stage::Running && run.details.objects < 31, "{run:?}");
    assert_eq!((half.holds, half.is_as_sealed), (Holds::Nothing, None));
    assert!(kept_names(&half).contains(&"staging") && half.next.contains("again to continue"), "{half:?}");

    store.migrate(&sealed(Placement::New)).unwrap();
    let sealed = look(&store);
    assert_eq!((sealed.state.run.as_ref().unwrap().stage, sealed.is_as_sealed), (Stage::Verified, Some(false)));

    store.migrate(&eager()).unwrap();
    let published = look(&store);
    let run = published.state.run.as_ref().unwrap();
    assert_eq!((published.holds, published.is_as_sealed, run.stage), (Holds::Store, Some(true), Stage::Published));
    assert_eq!((run.records, run.details.objects, run.counts.migrated), (31, 31, 30));
    assert_eq!((run.counts.refused_unidentified, run.details.generations.sha256), (1, 30));
    assert_eq!((run.durability, run.rules.placement), (Durability::Group, Placement::New));
    assert_eq!(run.details.source.as_deref(), store.root().to_str());
    assert_eq!(kept_names(&published), ["key-map.tsv", "key-map.reverse", "moved"]);
    assert!(published.kept.iter().all(|kept| kept.bytes.is_some_and(|bytes| bytes > 0)));
    assert!(published.state.checkpoint_age_ms.is_some() && published.next.contains("haul cas rollback"));
    assert!(published.state.journal.len() <= 10 && published.state.journal.last().unwrap().event == "stage-reached");

    let index = store.target().join("index.ndjson");
    fs::write(&index, [fs::read(&index).unwrap(), b"\n".to_vec()].concat()).unwrap();
    let written = look(&store);
    assert_eq!(written.is_as_sealed, Some(false));
    assert!(written.next.contains("was changed afterwards"), "{}", written.next);
    fs::remove_dir_all(store.target()).unwrap();
    let gone = look(&store);
    assert!(gone.holds == Holds::Nothing && gone.next.contains("--restart"), "{}", gone.next);
    // Nothing was done by a rollback that finds nothing.
    assert_eq!(roll_back(&store).unwrap_err().exit_code(), exit::USAGE);
    let forced = RollbackRequest { force: true, source: None };
    with(|control| rollback(disk(), &store.paths(), &eager(), &forced, control)).unwrap();
    let back = look(&store);
    assert!(back.state.run.as_ref().unwrap().stage == Stage::RolledBack && back.next.contains("--restart"));
    assert_eq!(kept_names(&back), ["key-map.tsv", "key-map.reverse"]);
    serde_json::to_string(&back).unwrap();
}

#[test]
fn files_kept_by_a_replacement_and_a_merge_are_listed() {
    for (placement, expected) in [(Placement::Replace, "replaced"), (Placement::Merge, "index-before.ndjson")] {
        let store = OldStore::with_objects(3);
        prepare(&store);
        store.migrate(&placed(placement)).unwrap();
        assert!(kept_names(&look(&store)).contains(&expected), "{placement}");
    }
}

#[test]
fn the_lock_holder_and_unreadable_files_are_reported() {
    let store = OldStore::with_objects(3);
    store.migrate(&eager()).unwrap();
    let lock = store.paths().run_directory().lock(&RealDisk).unwrap();
    let held = look(&store);
    assert!(held.state.lock_holder.unwrap().starts_with(&format!("pid {} on ", std::process::id())));
    assert!(held.next.starts_with("wait for the run of pid"), "{}", held.next);
    drop(lock);
    fs::write(store.paths().run_directory().plan_path(), b"{ rubbish").unwrap();
    assert_eq!(look(&store).state.run.unwrap().details.source, None);
    fs::write(store.paths().run_directory().checkpoint_path(), b"rubbish").unwrap();
    let damaged = look(&store);
    assert!(
        damaged.state.run.is_none() && damaged.state.checkpoint_problem.is_some() && damaged.next.contains("--restart")
    );
    store
        .migrate(&MigrateOptions {
            placement: Placement::Replace,
            run: RunOptions { start: Start::Restart, ..eager().run },
            ..eager()
        })
        .unwrap();
    fs::remove_file(store.target().join("index.ndjson")).unwrap();
    fs::create_dir(store.target().join("index.ndjson")).unwrap();
    assert!(look(&store).target_problem.is_some());
}

#[test]
fn the_status_names_unknown_rules_and_clean_loses_nothing_by_itself() {
    #[derive(checkpoint::Encode)]
    struct NewerRules {
        compress: u32,
        placement: u32,
        strict: bool,
    }
    let store = OldStore::with_objects(3);
    prepare(&store);
    store.migrate(&placed(Placement::Merge)).unwrap();
    let file = CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND);
    let RunState {
        plan_digest, run_id, stage, durability, findings_bytes, records, counts, progress, attempts, ..
    } = file.load::<RunState>(&RealDisk).unwrap().unwrap();
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
    file.store(&RealDisk, &newer).unwrap();
    let status = look(&store);
    assert!(status.state.run.is_none());
    let problem = status.state.checkpoint_problem.unwrap();
    assert!(problem.contains("cannot decode this checkpoint"), "{problem}");
    assert!(status.next.starts_with("use the version of haul that began the run"), "{}", status.next);
    let items = clean_plan(disk(), &store.paths()).unwrap();
    assert!(!items.is_empty() && items.iter().all(|item| item.loses_work), "{items:?}");
}

// Clean up.

#[test]
fn a_clean_up_of_a_published_run_removes_only_the_log() {
    let store = OldStore::with_objects(5);
    store.migrate(&eager()).unwrap();
    assert_eq!(items(&cleanable(&store)), [("moved".into(), CleanKind::Moved, false)]);
    let before = tree(store.place());
    assert_eq!(clean_all(&store), 5 * 128);
    let mut expected = before.clone();
    expected.remove(Path::new("new.migration/moved"));
    let mut after = tree(store.place());
    for changed in ["new.migration/journal.jsonl", "new.migration/lock"] {
        expected.remove(Path::new(changed));
        after.remove(Path::new(changed));
    }
    assert_eq!(after, expected);
    assert_eq!(cleanable(&store), []);
    let entries = journal::read(&RealDisk, store.paths().run_directory().path()).unwrap().entries;
    assert_eq!(entries.last().unwrap().event, "cleaned");
    assert!(store.migrate(&eager()).unwrap().already_done);
    roll_back(&store).unwrap();
    assert!(!store.target().exists(), "a new store is rolled back without the log");
}

#[test]
fn files_that_a_rollback_needs_are_marked() {
    for (placement, expected) in [
        (Placement::Replace, vec![("moved", CleanKind::Moved), ("replaced", CleanKind::Replaced)]),
        (Placement::Merge, vec![("moved", CleanKind::MergeLog), ("index-before.ndjson", CleanKind::MergeLog)]),
    ] {
        let store = OldStore::with_objects(3);
        prepare(&store);
        store.migrate(&placed(placement)).unwrap();
        let expected: Vec<_> = expected.into_iter().map(|(name, kind)| (name.to_owned(), kind, false)).collect();
        assert_eq!(items(&cleanable(&store)), expected);
        let target = tree(&store.target());
        clean_all(&store);
        assert_eq!(tree(&store.target()), target);
        let error = roll_back(&store).unwrap_err();
        assert!(error.to_string().contains("removed"), "{error}");
        assert_eq!((tree(&store.target()), state(&store).unwrap().stage), (target, Stage::Published));
    }
}

#[test]
fn an_unfinished_run_is_listed_as_work_and_goes_with_its_checkpoint() {
    for placement in [Placement::New, Placement::Merge] {
        let store = OldStore::with_objects(30);
        if placement == Placement::Merge {
            prepare(&store);
        }
        let target = tree(&store.target());
        stop_half_way(&store, placement);
        fs::create_dir_all(store.paths().incoming()).unwrap();
        fs::create_dir_all(store.paths().verification()).unwrap();
        fs::create_dir_all(store.paths().scratch().join("x")).unwrap();
        let list = cleanable(&store);
        let expected = [
            ("scratch", CleanKind::Scratch, false),
            ("incoming", CleanKind::Incoming, false),
            ("verify", CleanKind::Verification, false),
            ("staging", CleanKind::Staging, true),
            ("moved", CleanKind::Staging, true),
        ];
        assert_eq!(items(&list), expected.map(|(name, kind, loses)| (name.to_owned(), kind, loses)));
        clean(disk(), &store.paths(), &list[..3]).unwrap();
        assert!(state(&store).is_some() && !store.paths().scratch().exists());
        clean(disk(), &store.paths(), &list).unwrap();
        assert!(state(&store).is_none() && !store.paths().staging().exists());
        assert_eq!(tree(&store.target()), target);
        assert_eq!(store.migrate(&placed(placement)).unwrap().counts.migrated, 30);
    }
}

#[test]
fn a_sealed_store_is_listed_as_work() {
    let store = OldStore::with_objects(3);
    store.migrate(&sealed(Placement::New)).unwrap();
    let names = [("staging", CleanKind::Staging, true), ("moved", CleanKind::Staging, true)];
    assert_eq!(items(&cleanable(&store)), names.map(|(name, kind, loses)| (name.to_owned(), kind, loses)));
}

#[test]
fn files_in_use_again_are_kept() {
    let store = OldStore::with_objects(3);
    store.migrate(&eager()).unwrap();
    let list = cleanable(&store);
    fs::remove_dir_all(store.target()).unwrap();
    store
        .migrate(&MigrateOptions {
            run: RunOptions { start: Start::Restart, ..sealed(Placement::New).run },
            ..sealed(Placement::New)
        })
        .unwrap();
    let error = clean(disk(), &store.paths(), &list).unwrap_err();
    assert_eq!(error.exit_code(), exit::USAGE, "{error}");
    assert!(store.paths().object_log().exists());
    for stranger in [store.target(), store.root(), store.paths().map(), store.paths().run_directory().report_path()] {
        let item = CleanItem { path: stranger.clone(), ..list[0].clone() };
        fs::create_dir_all(store.target()).unwrap();
        assert_eq!(clean(disk(), &store.paths(), &[item]).unwrap_err().exit_code(), exit::USAGE);
        assert!(stranger.exists());
    }
}

#[test]
fn a_clean_up_removes_temporary_files_and_keeps_foreign_ones() {
    let store = OldStore::with_objects(3);
    store.migrate(&eager()).unwrap();
    let run = store.paths().run_directory();
    let ours = [
        run.path().join(".checkpoint.bin.tmp"),
        run.path().join(".key-map.tsv.tmp"),
        store.target().join(".index.ndjson.tmp"),
        store.target().join("..haul-run.tmp"),
    ];
    let estimated = store.place().join(".new.estimate-123.tmp");
    let strangers = [
        run.path().join("notes"),
        store.target().join(".mine.tmp"),
        store.target().join("index.ndjson.tmp"),
        store.place().join(".other.estimate-123.tmp"),
    ];
    ours.iter().chain(&strangers).for_each(|path| fs::write(path, b"x").unwrap());
    fs::create_dir(&estimated).unwrap();
    fs::write(estimated.join(".haul-run"), b"x").unwrap();
    fs::create_dir(store.place().join(".new.estimate-4.tmp")).unwrap();
    fs::write(store.place().join(".new.estimate-4.tmp/x"), b"x").unwrap();
    fs::write(run.path().join(".mine.tmp"), b"x").unwrap();
    let temporary: Vec<_> = cleanable(&store).into_iter().filter(|item| item.kind == CleanKind::Temporary).collect();
    assert_eq!((temporary.len(), clean(disk(), &store.paths(), &temporary).unwrap().bytes), (5, 5));
    assert!(ours.iter().all(|path| !path.exists()) && !estimated.exists());
    assert!(strangers.iter().all(|path| path.exists()));
    assert!(store.place().join(".new.estimate-4.tmp").exists() && run.path().join(".mine.tmp").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_read_keeps_what_it_may_describe() {
    let store = OldStore::with_objects(3);
    store.migrate(&sealed(Placement::New)).unwrap();
    let checkpoint = store.paths().run_directory().checkpoint_path();
    fs::write(&checkpoint, b"rubbish").unwrap();
    let list = cleanable(&store);
    assert!(list.iter().all(|item| item.loses_work && !item.with_checkpoint) && list.len() == 2, "{list:?}");
    clean_all(&store);
    assert!(checkpoint.exists() && !store.paths().staging().exists());
}

#[test]
fn nothing_is_cleaned_during_a_run() {
    let store = OldStore::with_objects(3);
    store.migrate(&eager()).unwrap();
    let list = cleanable(&store);
    let _lock = store.paths().run_directory().lock(&RealDisk).unwrap();
    assert_eq!(clean(disk(), &store.paths(), &list).unwrap_err().exit_code(), exit::TEMPORARY);
}

// Crashes, with the source on the real disk and the target on the simulated one.

fn settled(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.crash_image(disk.operations(), CrashFault::AllKept)
}

fn clean_on(disk: &SimulatedDisk, store: &OldStore) -> Result<u64, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let items = clean_plan(disk.clone(), &store.paths())?;
    Ok(clean(disk, &store.paths(), &items)?.bytes)
}

fn migrate_on(disk: &SimulatedDisk, store: &OldStore, options: &MigrateOptions) -> Result<(), Error> {
    store.migrate_on(Arc::new(disk.clone()), options).map(|_| ())
}

/// A target before a run, and a disk on which that run was begun by `begin`.
fn scene(placement: Placement, begin: &MigrateOptions) -> (OldStore, SimulatedDisk) {
    let store = OldStore::with_objects(3);
    let simulated = SimulatedDisk::with_directories(&[store.place()]);
    if placement != Placement::New {
        let other = OldStore::new();
        other.object(Algorithm::Cas, b"before", Shape::TwoLevels);
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        with(|control| migrate(disk, &other.root(), &store.paths(), &eager(), control)).unwrap();
        haul::durable::remove_tree(&simulated, store.paths().run_directory().path()).unwrap();
    }
    migrate_on(&simulated, &store, begin).unwrap();
    (store, settled(&simulated))
}

/// The next clean-up completes one that crashed, and the leftovers mislead no run.
#[test]
fn a_clean_up_survives_a_crash_at_any_operation() {
    for placement in [Placement::New, Placement::Replace, Placement::Merge] {
        for publish in [false, true] {
            let options = MigrateOptions { publish, ..placed(placement) };
            let (store, simulated) = scene(placement, &options);
            let disk = settled(&simulated);
            clean_on(&disk, &store).unwrap();
            for fault in CrashFault::ALL {
                for (after, image) in disk.crash_images(fault).enumerate() {
                    let what = format!("{placement}, published {publish}, {fault:?} behind {after}");
                    let again = settled(&image);
                    clean_on(&again, &store).expect(&what);
                    assert_eq!(clean_plan(Arc::new(again), &store.paths()).unwrap(), [], "{what}");
                    migrate_on(&image, &store, &placed(placement)).expect(&what);
                    let status = status(Arc::new(image), &store.paths()).unwrap();
                    assert_eq!(status.is_as_sealed, Some(true), "{what}");
                }
            }
        }
    }
}

/// At whatever point a publication or a rollback crashes, a clean-up removes nothing that is still needed.
#[test]
fn a_clean_up_after_an_interrupted_run_loses_nothing() {
    for placement in [Placement::New, Placement::Replace, Placement::Merge] {
        let (store, sealed) = scene(placement, &sealed(placement));
        let publishing = settled(&sealed);
        migrate_on(&publishing, &store, &placed(placement)).unwrap();
        for after in 0..=publishing.operations() {
            let what = format!("{placement}, publication killed behind {after}");
            let image = publishing.kill_image(after);
            clean_on(&image, &store).expect(&what);
            migrate_on(&image, &store, &placed(placement)).expect(&what);
            let status = status(Arc::new(image.clone()), &store.paths()).unwrap();
            assert_eq!(status.is_as_sealed, Some(true), "{what}");
            if placement == Placement::Replace && after < publishing.operations() {
                let keys =
                    image.snapshot().into_keys().filter(|path| path.starts_with(store.paths().replaced())).count();
                assert!(keys == 3 || state_on(&image, &store) == Stage::Published, "{what}: {keys}");
            }
        }
        let published = settled(&publishing);
        let back = settled(&published);
        let roll_back = |disk: &SimulatedDisk| {
            let disk: Arc<dyn Disk> = Arc::new(disk.clone());
            with(|control| rollback(disk, &store.paths(), &eager(), &RollbackRequest::default(), control))
        };
        roll_back(&back).unwrap();
        for after in 0..=back.operations() {
            let image = back.kill_image(after);
            let was_begun = after > 0 && target_files(&image, &store) != target_files(&published, &store);
            clean_on(&image, &store).unwrap();
            match roll_back(&image) {
                Ok(_) => assert_eq!(target_files(&image, &store), target_files(&back, &store), "{placement} {after}"),
                // Before the rollback has begun, a clean-up may remove files that it would need.
                Err(error) => assert!(!was_begun, "{placement}, rollback killed behind {after}: {error}"),
            }
            let marks =
                image.snapshot().into_keys().filter(|path| path.to_str().unwrap().contains(".haul-run")).count();
            assert_eq!(marks, 0, "{placement}, rollback killed behind {after}");
        }
    }
}

fn state_on(disk: &SimulatedDisk, store: &OldStore) -> Stage {
    let file = CheckpointFile::new(store.paths().run_directory().path(), CHECKPOINT_KIND);
    file.load::<RunState>(disk).unwrap().unwrap().stage
}

fn target_files(disk: &SimulatedDisk, store: &OldStore) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let is_hidden = |path: &Path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".");
    let is_of_target = |path: &Path| path.starts_with(store.target()) && !is_hidden(path);
    disk.snapshot().into_iter().filter(|(path, _)| is_of_target(path)).collect()
}
