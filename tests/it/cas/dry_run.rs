//! A dry run predicts what a real run does, and creates no file.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::support::nodes::tree;
use crate::support::old_objects::{object_path, zstd};
use crate::support::old_store::OldStore;
use crate::support::read_only::ReadOnly;
use crate::support::seen::seen;
use crate::support::store_runs::{stopped, with};
use haul::cas::Algorithm;
use haul::cas::format::encoding::Compress;
use haul::cas::migrate::dry_run::{DryRunEnd, dry_run};
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::{MigrateOptions, Placement};
use haul::cas::source::location::Shape;
use haul::durable::{Disk, RealDisk, SimulatedDisk};
use haul::migration::{Error, Finding, Findings, RunOptions, Severity, Start, exit};
use haul::pipeline::{Control, Event, Observer, StopToken};
use proptest::prelude::*;

fn read_only() -> Arc<dyn Disk> {
    Arc::new(ReadOnly)
}

fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn dry(store: &OldStore, options: &MigrateOptions) -> Result<DryRunEnd, Error> {
    let before = seen(store.place());
    let end = with(|control| dry_run(&read_only(), &store.root(), &store.paths(), options, control));
    assert_eq!(seen(store.place()), before, "nothing is made or touched");
    end
}

/// Sorts findings, because their order depends on the threads of the walk.
fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.file.clone(), finding.reason.clone()));
    findings
}

/// All findings of the last real run.
fn real_findings(store: &OldStore) -> Vec<Finding> {
    let path = store.paths().run_directory().findings_path();
    let len_bytes = fs::metadata(&path).expect("findings").len();
    let mut found = Vec::new();
    let collect = |finding| {
        found.push(finding);
        Ok(())
    };
    Findings::new(path, len_bytes).for_each(&RealDisk, collect).expect("readable findings");
    found
}

/// Makes a dry run and then a real one, which must agree.
fn both(store: &OldStore, options: &MigrateOptions) -> (DryRunEnd, MigrationEnd) {
    let dry = dry(store, options).expect("a dry run");
    let real = store.migrate(options).expect("a migration");
    assert_eq!((dry.records, dry.objects, dry.counts), (real.records, real.details.objects, real.counts));
    assert_eq!((dry.generations, dry.stored_bytes), (real.details.generations, real.details.stored_bytes));
    assert_eq!(sorted(dry.findings.clone()), sorted(real_findings(store)));
    assert_eq!(dry.findings_count.sum(), dry.findings.len() as u64);
    (dry, real)
}

fn text(len: usize) -> Vec<u8> {
    b"content that compresses well, again and again. ".iter().copied().cycle().take(len).collect()
}

/// Objects of every generation, layout and size, and every other kind of entry.
fn everything() -> OldStore {
    let store = OldStore::new();
    let large = text(5 << 20);
    store
        .object(Algorithm::Sha256, b"one", Shape::Flat)
        .object(Algorithm::Sha256, b"two", Shape::TwoLevels)
        .object(Algorithm::Blake2s, b"two", Shape::TwoLevels)
        .object(Algorithm::Blake3, b"two", Shape::OneLevel)
        .object(Algorithm::Blake3, b"cas:hello", Shape::TwoLevels)
        .object(Algorithm::Cas, b"three", Shape::SplitName)
        .sidecar(Algorithm::Cas, b"three", Shape::SplitName, 7)
        .stored(Algorithm::Cas, &text(9000), &zstd(&text(9000)), Shape::TwoLevels)
        .sidecar_of(Algorithm::Cas, &text(9000), &zstd(&text(9000)), Shape::TwoLevels, 8)
        .object(Algorithm::Blake3, &large, Shape::TwoLevels)
        .stored(Algorithm::Sha256, &large, &zstd(&large), Shape::TwoLevels)
        .stored(Algorithm::Blake2s, b"damaged", b"damagex", Shape::TwoLevels)
        .stored(Algorithm::Cas, &text(5 << 20), &text((5 << 20) + 1), Shape::Flat)
        .file(&object_path(Algorithm::Sha256, b"one", Shape::OneLevel), b"one")
        .file("objects/00/11/.tmp_42", b"")
        .file("objects/README", b"")
        .file("objects/index.ndjson", b"{}\n");
    let key = object_path(Algorithm::Cas, b"nowhere", Shape::TwoLevels);
    store.file(&format!("{key}.meta"), b"{");
    let linked = store.root().join(object_path(Algorithm::Cas, b"linked", Shape::Flat));
    symlink("/nowhere", linked).unwrap();
    let misplaced = object_path(Algorithm::Cas, b"misplaced", Shape::Flat);
    store.file(&misplaced.replace("objects/", "objects/00/"), b"misplaced");
    store
}

#[test]
fn it_predicts_what_a_real_run_does() {
    for compress in [Compress::AsStored, Compress::Identity, Compress::Zstd(3)] {
        let store = everything();
        let options = MigrateOptions { compress, ..MigrateOptions::default() };
        let (dry, _) = both(&store, &options);
        let counts = &dry.counts;
        assert_eq!((counts.migrated, counts.duplicate), (7, 4), "{compress}");
        assert_eq!((counts.refused_unidentified, counts.refused_not_a_file), (2, 1));
        assert_eq!((counts.skipped_temporary, counts.skipped_lone_sidecar), (1, 1));
        assert_eq!((counts.skipped_index, counts.skipped_foreign), (1, 1));
        let generations = &dry.generations;
        let by_algorithm = (generations.sha256, generations.blake2s, generations.blake3, generations.cas);
        assert_eq!(by_algorithm, (4, 1, 3, 3));
        assert!(!dry.would_fail && !dry.stopped);
        assert_eq!(dry.plan.objects, dry.objects);
    }
}

#[test]
fn workers_and_budget_do_not_change_it() {
    let store = everything();
    let one = dry(
        &store,
        &MigrateOptions {
            run: RunOptions { parallel_workers: NonZeroUsize::MIN, ..MigrateOptions::default().run },
            ..MigrateOptions::default()
        },
    )
    .unwrap();
    let tiny = MigrateOptions {
        run: RunOptions {
            parallel_workers: NonZeroUsize::new(3).unwrap(),
            memory_budget_bytes: 4096,
            batch_records: 1,
            ..MigrateOptions::default().run
        },
        ..MigrateOptions::default()
    };
    let other = dry(&store, &tiny).unwrap();
    assert_eq!((one.counts, one.stored_bytes, one.generations), (other.counts, other.stored_bytes, other.generations));
    assert_eq!(sorted(one.findings), sorted(other.findings));
}

#[test]
fn the_first_of_equal_objects_in_path_order_is_the_one_that_counts() {
    let store = OldStore::new();
    let content = text(20_000);
    let layouts = [(Algorithm::Sha256, false), (Algorithm::Blake2s, true), (Algorithm::Blake3, false)];
    for (algorithm, is_zstd) in layouts {
        let blob = if is_zstd { zstd(&content) } else { content.clone() };
        store.stored(algorithm, &content, &blob, Shape::TwoLevels);
    }
    let first =
        layouts.into_iter().min_by_key(|(algorithm, _)| haul::cas::format::digest::key_of(*algorithm, &content));
    let (dry, _) = both(&store, &MigrateOptions::default());
    let stored_bytes = if first.unwrap().1 { zstd(&content).len() } else { content.len() };
    assert_eq!((dry.counts.migrated, dry.counts.duplicate, dry.stored_bytes), (1, 2, stored_bytes as u64));
    let related: Vec<_> = dry.findings.iter().filter_map(|finding| finding.related.clone()).collect();
    let new_key = haul::cas::format::digest::key_of(Algorithm::Cas, &content).to_string();
    assert_eq!(related, [new_key.clone(), new_key]);
}

#[test]
fn a_merge_reports_objects_that_the_target_has() {
    let store = OldStore::new();
    (0..20_u8).for_each(|n| _ = store.object(Algorithm::Sha256, &[n], Shape::TwoLevels));
    store.migrate(&MigrateOptions::default()).unwrap();
    (10..30_u8).for_each(|n| _ = store.object(Algorithm::Blake3, &[n], Shape::TwoLevels));
    let options = MigrateOptions {
        placement: Placement::Merge,
        run: RunOptions { start: Start::Restart, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    let (dry, _) = both(&store, &options);
    assert_eq!((dry.counts.migrated, dry.counts.duplicate_in_target, dry.counts.duplicate), (10, 30, 0));
}

#[test]
fn a_strict_dry_run_says_that_nothing_would_be_published() {
    let store = everything();
    let options = MigrateOptions { strict: true, ..MigrateOptions::default() };
    let dry = dry(&store, &options).unwrap();
    assert!(dry.would_fail);
    let refused = dry.findings.iter().filter(|finding| finding.severity == Severity::Refused).count() as u64;
    assert_eq!((refused, dry.findings_count.refused), (3, 3));
    assert_eq!(store.migrate(&options).unwrap_err().exit_code(), exit::BAD_DATA);
}

/// Makes a dry run and then a real one, which must fail for the same reason.
fn refused_alike(store: &OldStore, options: &MigrateOptions) -> Error {
    let before = tree(store.place());
    let dry = with(|control| dry_run(&read_only(), &store.root(), &store.paths(), options, control)).unwrap_err();
    assert_eq!(tree(store.place()), before);
    let real = store.migrate(options).unwrap_err();
    assert_eq!((dry.to_string(), dry.exit_code(), dry.next_step()), {
        (real.to_string(), real.exit_code(), real.next_step())
    });
    dry
}

#[test]
fn a_dry_run_refuses_what_a_real_run_refuses() {
    let placed = |placement| MigrateOptions { placement, ..MigrateOptions::default() };
    let store = everything();
    let resume = MigrateOptions {
        run: RunOptions { start: Start::Resume, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    assert!(refused_alike(&store, &resume).to_string().contains("no earlier run"));
    for placement in [Placement::Merge, Placement::Replace] {
        assert_eq!(refused_alike(&store, &placed(placement)).exit_code(), exit::USAGE);
    }
    fs::create_dir(store.target()).unwrap();
    assert!(refused_alike(&store, &placed(Placement::Merge)).to_string().contains("no index.ndjson"));
    fs::write(store.target().join("index.ndjson"), "x".repeat(70 << 10)).unwrap();
    assert_eq!(refused_alike(&store, &placed(Placement::Merge)).exit_code(), exit::BAD_DATA);
    assert!(refused_alike(&store, &placed(Placement::New)).to_string().contains("not empty"));
    fs::remove_dir_all(store.target()).unwrap();
    fs::write(store.target(), "a file").unwrap();
    assert!(refused_alike(&store, &placed(Placement::New)).to_string().contains("not a directory"));
}

#[test]
fn source_and_target_must_lie_apart() {
    let store = everything();
    for target in ["old", "old/new", "old/objects/v2"] {
        let paths = haul::cas::paths::TargetPaths::new(&store.place().join(target)).unwrap();
        let options = MigrateOptions::default();
        let error = with(|control| dry_run(&read_only(), &store.root(), &paths, &options, control)).unwrap_err();
        assert!(error.to_string().contains("are inside each other"), "{error}");
    }
    let gone = store.place().join("gone");
    let error = with(|control| dry_run(&read_only(), &gone, &store.paths(), &MigrateOptions::default(), control));
    assert_eq!(error.unwrap_err().exit_code(), exit::USAGE);
}

#[test]
fn a_mount_point_is_refused_as_by_the_run() {
    let store = everything();
    let paths = haul::cas::paths::TargetPaths::new(std::path::Path::new("/proc")).unwrap();
    let options = MigrateOptions::default();
    let dry = with(|control| dry_run(&read_only(), &store.root(), &paths, &options, control)).unwrap_err();
    let real = with(|control| migrate(read_only(), &store.root(), &paths, &options, control));
    assert!(dry.to_string().contains("a file system is mounted at /proc"), "{dry}");
    assert_eq!(dry.to_string(), real.unwrap_err().to_string());
}

#[test]
fn a_run_whose_store_is_gone_is_refused_as_by_the_run() {
    let store = everything();
    let options = MigrateOptions::default();
    store.migrate(&options).unwrap();
    fs::remove_dir_all(store.target()).unwrap();
    assert!(refused_alike(&store, &options).to_string().contains("moved, renamed or removed"));
}

#[test]
fn a_disk_without_enough_space_is_detected_before_the_run() {
    let store = everything();
    let disk = SimulatedDisk::with_directories(&[store.place()]);
    disk.set_capacity(1000);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let options = MigrateOptions::default();
    let dry = with(|control| dry_run(&disk, &store.root(), &store.paths(), &options, control)).unwrap_err();
    let real = store.migrate_on(disk, &options).unwrap_err();
    assert!(matches!((&dry, &real), (Error::NoSpace { .. }, Error::NoSpace { .. })), "{dry}, {real}");
    assert_eq!(dry.exit_code(), exit::TEMPORARY);
}

#[test]
fn an_earlier_run_counts_unless_it_is_to_be_discarded() {
    let store = everything();
    let options = MigrateOptions::default();
    both(&store, &options);
    assert_eq!(dry(&store, &options).unwrap().counts.migrated, 7, "the run that would have nothing to do");
    let strict = MigrateOptions { compress: Compress::Identity, ..options.clone() };
    assert!(refused_alike(&store, &strict).to_string().contains("another plan"));
    let restart = MigrateOptions { run: RunOptions { start: Start::Restart, ..strict.run }, ..strict };
    assert!(dry(&store, &restart).unwrap_err().to_string().contains("not empty"));
    let restart = MigrateOptions { placement: Placement::Replace, ..restart };
    assert_eq!(dry(&store, &restart).unwrap().counts.migrated, 7);
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
fn it_can_be_stopped() {
    let store = OldStore::new();
    (0..200_u8).for_each(|n| _ = store.object(Algorithm::Cas, &[n], Shape::Flat));
    let options = MigrateOptions {
        run: RunOptions { batch_records: 1, memory_budget_bytes: 1, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    let error = stopped(|control| dry_run(&real_disk(), &store.root(), &store.paths(), &options, control)).unwrap_err();
    assert_eq!(error.exit_code(), exit::TEMPORARY);
    let observer = StopAtBatch(StopToken::new());
    let control = Control { stop: &observer.0, observer: &observer };
    let end = dry_run(&real_disk(), &store.root(), &store.paths(), &options, &control).unwrap();
    assert!(end.stopped && end.objects < 200, "{} objects", end.objects);
}

#[test]
fn a_source_that_changes_meanwhile_is_an_error() {
    struct AddAtBatch<'a>(&'a OldStore);
    impl Observer for AddAtBatch<'_> {
        fn observe(&self, event: &Event) {
            if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
                self.0.object(Algorithm::Cas, b"late", Shape::Flat);
            }
        }
    }
    let store = OldStore::new();
    (0..20_u8).for_each(|n| _ = store.object(Algorithm::Cas, &[n], Shape::Flat));
    let control = Control { stop: &StopToken::new(), observer: &AddAtBatch(&store) };
    let error = dry_run(&real_disk(), &store.root(), &store.paths(), &MigrateOptions::default(), &control).unwrap_err();
    assert!(matches!(error, Error::SourceChanged { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A few contents under many names: duplicates, damage and sidecars of every kind.
    #[test]
    fn any_store_is_told_as_it_is_migrated(
        objects in proptest::collection::vec((0_usize..4, 0_u8..6, 0_usize..4, 0_u8..8), 0..40),
        compress in prop_oneof![Just(Compress::AsStored), Just(Compress::Identity), Just(Compress::Zstd(1))],
        merged in any::<bool>(),
    ) {
        let shapes = [Shape::Flat, Shape::OneLevel, Shape::SplitName, Shape::TwoLevels];
        let store = OldStore::new();
        let disk = SimulatedDisk::with_directories(&[store.place()]);
        for (algorithm, content, shape, how) in objects {
            let (algorithm, shape) = (Algorithm::ALL[algorithm], shapes[shape]);
            let content = text(usize::from(content) * 700);
            match how {
                0 => store.stored(algorithm, &content, b"damaged", shape),
                1 | 2 => store.stored(algorithm, &content, &zstd(&content), shape),
                3 => store.sidecar(algorithm, &content, shape, 5),
                4 => store.object(algorithm, &content, shape).sidecar(algorithm, &content, shape, 6),
                _ => store.object(algorithm, &content, shape),
            };
        }
        let placement = if merged { Placement::Merge } else { Placement::New };
        let options = MigrateOptions { compress, placement, allow_empty: true, ..MigrateOptions::default() };
        if merged {
            // On the real disk too, because a dry run looks there for objects of the target.
            fs::create_dir_all(store.target().join("objects")).unwrap();
            fs::write(store.target().join("index.ndjson"), b"").unwrap();
            disk.install_file(&store.target().join("index.ndjson"), b"");
        }
        let dry = dry(&store, &options).unwrap();
        let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk);
        let real = with(|control| migrate(disk, &store.root(), &store.paths(), &options, control)).unwrap();
        prop_assert_eq!((dry.counts, dry.generations), (real.counts, real.details.generations));
        prop_assert_eq!((dry.records, dry.stored_bytes), (real.records, real.details.stored_bytes));
    }
}

mod conformance {
    use super::*;
    use crate::support::conformance::conformance;

    #[test]
    #[ignore = "needs the conformance data"]
    fn it_predicts_the_migration_of_stores_that_other_systems_wrote() {
        let data = conformance("requiem");
        for name in
            ["cas-v2", "cas-v2-noindex", "cas-blake3-unprefixed", "cas-blake2s", "cas-sha256-sharded", "cas-v1-flat"]
        {
            let (source, place, options) = (data.join(name), OldStore::new(), MigrateOptions::default());
            let dry = with(|control| dry_run(&read_only(), &source, &place.paths(), &options, control)).unwrap();
            let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(RealDisk);
            let real = with(|control| migrate(disk, &source, &place.paths(), &options, control)).unwrap();
            assert_eq!((dry.counts, dry.generations), (real.counts, real.details.generations), "{name}");
            assert_eq!((dry.records, dry.stored_bytes), (real.records, real.details.stored_bytes), "{name}");
            assert_eq!((dry.counts.migrated, dry.findings_count.refused), (14, 0), "{name}");
            assert_eq!(sorted(dry.findings), sorted(real_findings(&place)), "{name}");
        }
    }
}
