//! A tree measured on a part of its manifests, and what its migration needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::durable::{Disk, FailingSource, RealDisk, SourceFault, SourceOperation};
use haul::manifest::generate::{GenerateOptions, generate};
use haul::manifest::migrate::probe::ManifestProbe;
use haul::manifest::run_options::MigrateOptions;
use haul::manifest::selection::Selection;
use haul::manifest::{DeriveJobId, TransformOptions};
use haul::migration::probe::{Needs, Probe};
use haul::migration::{RunOptions, SCRATCH_MARK};
use haul::pipeline::{Control, Silent, StopToken};
use serde_json::json;

use crate::support::manifest::{Files, Root, files, manifests};
use crate::support::manifest_files::manifest;

const BLOCK_BYTES: u64 = 4096;

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn probe(root: &Root, options: &MigrateOptions) -> ManifestProbe {
    with(|control| ManifestProbe::open(disk(), root.path(), options, control)).unwrap()
}

/// A tree with these shares of the versions 1.0.0, 1.1.0 and 1.2.0.
fn generated(manifests: u64, shares: [u64; 3]) -> Root {
    let root = Root::empty();
    let options = GenerateOptions { manifests, runs_per_job: 10, seed: 3, shares };
    with(|control| generate(&RealDisk, root.path(), &options, control)).unwrap();
    root
}

/// Makes a sample in an empty directory of its own.
fn sample(root: &Root, options: &MigrateOptions, (records, seed): (u64, u64)) -> (tempfile::TempDir, Files) {
    let scratch = tempfile::tempdir().unwrap();
    let drawn = with(|control| probe(root, options).sample(scratch.path(), records, seed, control)).unwrap();
    let found = files(scratch.path());
    let copied = manifests(&found);
    assert_eq!(copied.len() as u64, drawn.amount.records);
    assert_eq!(copied.values().map(|(bytes, _)| bytes.len() as u64).sum::<u64>(), drawn.amount.source_bytes);
    assert!(drawn.amount.cost_bytes > drawn.amount.source_bytes || drawn.amount.records == 0);
    let source = files(root.path());
    assert!(found.iter().all(|(path, file)| source[path] == *file), "the same at the same place");
    (scratch, found)
}

/// Migrates a sample, with a checkpoint for every few records, and returns its report.
fn run(root: &Root, options: &MigrateOptions, scratch: &Path) -> serde_json::Value {
    with(|control| probe(root, options).run(scratch, 5, control)).unwrap();
    serde_json::from_slice(&fs::read(scratch.join("migration/report.json")).unwrap()).unwrap()
}

#[test]
fn a_sample_is_drawn_from_the_whole_tree_and_migrated_apart_from_it() {
    let (root, options) = (generated(200, [1, 0, 0]), MigrateOptions::default());
    let before = files(root.path());
    let (scratch, first) = sample(&root, &options, (40, 1));
    let jobs: BTreeSet<_> = first.keys().map(|path| path.iter().nth(1).unwrap().to_owned()).collect();
    assert!(first.len() == 40 && jobs.len() > 10, "{jobs:?}");
    assert_eq!(sample(&root, &options, (40, 1)).1, first);
    assert_ne!(sample(&root, &options, (40, 2)).1, first);
    let report = run(&root, &options, scratch.path());
    assert_eq!((&report["counts"]["migrated"], &report["outcome"]), (&json!(40), &json!("published")));
    let migrated = manifests(&files(scratch.path()));
    assert!(migrated.values().all(|(bytes, _)| String::from_utf8_lossy(bytes).contains("1.2.0")));
    assert_eq!(files(root.path()), before, "nothing is written outside of the sample");
    assert_eq!(sample(&root, &options, (1_000, 1)).1.len(), 200);
}

#[test]
fn a_limit_of_speed_does_not_hold_for_a_sample_and_checkpoints_come_as_often_as_asked_for() {
    let root = generated(60, [1, 0, 0]);
    let run_options = RunOptions { rate_limit: Some(1.try_into().unwrap()), ..MigrateOptions::default().run };
    let options = MigrateOptions { run: RunOptions { batch_records: 5, ..run_options }, ..MigrateOptions::default() };
    let (scratch, _) = sample(&root, &options, (60, 1));
    let report = run(&root, &options, scratch.path());
    assert_eq!((&report["counts"]["migrated"], &report["settings"]["rate_limit"]), (&json!(60), &json!(null)));
    assert_eq!(report["settings"]["checkpoint_interval_records"], 5);
}

#[test]
fn files_next_to_a_manifest_that_its_migration_reads_are_in_the_sample() {
    let root = Root::new();
    for number in 0..3 {
        let text = manifest("job", "run", "1.0.0").replace("\"job_id\"", "\"x\"");
        let inputs = root.put_bytes("job", &format!("r{number}"), text.as_bytes()).with_file_name("inputs");
        fs::create_dir(&inputs).unwrap();
        fs::write(inputs.join("brief.yaml"), "title: t\njob_id: from-brief\n").unwrap();
        fs::write(inputs.join("other"), "not read").unwrap();
    }
    let transform = |derive_job_id| MigrateOptions {
        transform: TransformOptions { derive_job_id, ..Default::default() },
        ..Default::default()
    };
    let (scratch, copied) = sample(&root, &transform(Some(DeriveJobId::Brief)), (3, 1));
    assert_eq!(copied.len(), 6, "{:?}", copied.keys());
    assert_eq!(run(&root, &transform(Some(DeriveJobId::Brief)), scratch.path())["counts"]["migrated"], 3);
    assert_eq!(sample(&root, &transform(None), (3, 1)).1.len(), 3);
}

#[test]
fn a_sample_is_of_what_is_selected_and_all_of_it_is_migrated() {
    let root = Root::new();
    for number in 0..10 {
        root.put("a", &format!("r{number}"));
        root.put("b", &format!("r{number}"));
    }
    let newer = "2020-01-01".parse().ok();
    let selection = Selection { job: Some("a".into()), newer, limit: Some(4), ..Selection::default() };
    let options = MigrateOptions { selection, ..MigrateOptions::default() };
    assert_eq!(probe(&root, &options).whole().records, 4);
    let (scratch, copied) = sample(&root, &options, (8, 1));
    assert!(copied.len() == 8 && copied.keys().all(|path| path.starts_with("artifacts/a")), "{:?}", copied.keys());
    assert_eq!(run(&root, &options, scratch.path())["counts"]["migrated"], 8);
}

#[test]
fn what_a_run_would_refuse_is_counted_by_reading_and_nothing_is_written() {
    let root = Root::new();
    for number in 0..8 {
        root.put("job", &format!("good{number}"));
    }
    for number in 0..4 {
        root.put_bytes("job", &format!("bad{number}"), b"{");
    }
    let before = files(root.path());
    let drawn = with(|control| probe(&root, &MigrateOptions::default()).read(100, 1, control)).unwrap();
    assert_eq!((drawn.amount.records, drawn.refused), (12, 4));
    assert_eq!(drawn.amount, probe(&root, &MigrateOptions::default()).whole());
    assert_eq!(drawn.cached_share, Some(1.0), "they were just written");
    assert_eq!(files(root.path()), before);
    assert!(!root.path().join("migration").exists());
}

#[test]
fn an_empty_tree_one_manifest_and_one_with_nothing_to_do_are_measured() {
    let options = MigrateOptions { allow_empty: true, ..MigrateOptions::default() };
    let (empty, one, done) = (Root::new(), Root::new(), Root::new());
    one.put("job", "run");
    done.put_bytes("job", "run", manifest("job", "run", "1.2.0").as_bytes());
    for (root, records, migrated) in [(&empty, 0, 0), (&one, 1, 1), (&done, 1, 0)] {
        let probe = probe(root, &options);
        assert_eq!(probe.whole().records, records);
        assert_eq!(with(|control| probe.read(10, 1, control)).unwrap().amount.records, records);
        let (scratch, copied) = sample(root, &options, (10, 1));
        assert_eq!(copied.len() as u64, records);
        assert_eq!(run(root, &options, scratch.path())["counts"]["migrated"], migrated);
        assert!(probe.needs().unwrap().space_bytes < 1 << 20);
    }
    let refused = with(|control| ManifestProbe::open(disk(), empty.path(), &MigrateOptions::default(), control));
    assert!(refused.err().unwrap().to_string().contains("no manifest was found"));
}

#[test]
fn manifests_that_cannot_be_read_are_counted_and_left_out_of_samples() {
    let root = generated(20, [1, 0, 0]);
    let options = MigrateOptions::default();
    let job = root.artifacts().join(fs::read_dir(root.artifacts()).unwrap().next().unwrap().unwrap().file_name());
    let fault = SourceFault { operation: SourceOperation::Open, after: 0, failing: u64::MAX, code: libc::EACCES };
    let source = FailingSource::new(&job, fault);
    let probe = probe(&root, &options);
    assert_eq!(probe.whole().records, 20);
    let read = with(|control| probe.read(100, 1, control)).unwrap();
    assert_eq!((read.amount.records, read.refused), (20, 10));
    let scratch = tempfile::tempdir().unwrap();
    let drawn = with(|control| probe.sample(scratch.path(), 100, 1, control)).unwrap();
    assert_eq!((drawn.amount.records, source.has_failed()), (10, true));
    drop(source);
    assert_eq!(run(&root, &options, scratch.path())["counts"]["migrated"], 10);
}

/// Bytes in whole blocks of every file and directory, each counted once whatever names it has. What a file has allocated
/// ahead of its end is not taken: it is given back where there is no room.
fn taken(directory: &Path) -> (i64, i64) {
    let (mut found, mut pending) = (BTreeMap::new(), vec![directory.to_path_buf()]);
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let blocks_bytes = metadata.blocks() * 512;
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            found.insert(metadata.ino(), blocks_bytes.max(BLOCK_BYTES));
        } else {
            found.insert(metadata.ino(), blocks_bytes.min(metadata.len().next_multiple_of(BLOCK_BYTES)));
        }
    }
    (found.values().sum::<u64>().cast_signed(), i64::try_from(found.len()).unwrap())
}

/// Fails unless the figure is at least what was taken, and at most a tenth above it.
fn assert_near(what: &str, said: u64, taken: i64) {
    let taken = taken.cast_unsigned();
    eprintln!("{what}: {said} said, {taken} taken, {:+.1}%", (said as f64 / taken as f64 - 1.0) * 100.0);
    assert!(said >= taken && said * 10 <= taken * 11, "{what}: {said} said, {taken} taken");
}

/// Migrates a tree, and compares what that has taken with what was said before. Returns what was taken before, and what was
/// said.
fn assert_needs(what: &str, root: &Root) -> (i64, Needs) {
    let needs = probe(root, &MigrateOptions::default()).needs().unwrap();
    let before = taken(root.path());
    root.migrate(&[]).expect(0);
    let migrated = taken(root.path());
    assert_near(what, needs.space_bytes, migrated.0 - before.0);
    assert_near(&format!("{what}, inodes"), needs.inodes, migrated.1 - before.1);
    (before.0, needs)
}

#[test]
fn needs_are_what_a_run_takes_and_no_less() {
    assert_needs("all are migrated", &generated(700, [1, 1, 0]));
}

#[test]
fn needs_of_a_tree_are_known_from_a_part_of_it_also_after_a_clean_up() {
    let root = generated(3_000, [6, 3, 1]);
    let (before, needs) = assert_needs("nine of ten are migrated", &root);
    root.haul("verify", &[]).expect(0);
    root.haul("clean", &["--older-than", "0s", "--yes"]).expect(0);
    assert_near("after a clean-up", needs.space_after_clean_bytes, taken(root.path()).0 - before);
}

#[test]
fn needs_of_files_with_other_names_include_copies_of_them() {
    let (root, others) = (generated(600, [1, 0, 0]), tempfile::tempdir().unwrap());
    let named: Vec<PathBuf> = manifests(&root.files()).into_keys().collect();
    for (number, file) in named.iter().enumerate() {
        fs::hard_link(root.artifacts().join(file), others.path().join(number.to_string())).unwrap();
    }
    let options = MigrateOptions { break_links: true, ..MigrateOptions::default() };
    let needs = probe(&root, &options).needs().unwrap();
    let before = taken(root.path());
    root.migrate(&["--break-links"]).expect(0);
    let migrated = taken(root.path());
    // The old files are still there under their other names.
    let kept = i64::try_from(named.len()).unwrap();
    assert_near("copies", needs.space_bytes, migrated.0 - before.0 + kept * BLOCK_BYTES.cast_signed());
    assert_near("copies, inodes", needs.inodes, migrated.1 - before.1 + kept);
}

#[test]
fn a_file_that_is_named_is_measured_alone() {
    let root = generated(30, [1, 0, 0]);
    let file = manifests(&root.files()).into_keys().next().unwrap();
    let options = MigrateOptions { manifest: Some(Path::new("artifacts").join(file)), ..MigrateOptions::default() };
    assert_eq!(probe(&root, &options).whole().records, 1);
    let (scratch, copied) = sample(&root, &options, (10, 1));
    assert_eq!((copied.len(), run(&root, &options, scratch.path())["counts"]["migrated"].as_u64()), (1, Some(1)));
}

/// Leaves what a killed estimate leaves: a marked directory with a sample in it.
fn killed_estimate(root: &Root) -> PathBuf {
    let scratch = root.path().join(".estimate-1.tmp");
    fs::create_dir_all(scratch.join("1")).unwrap();
    fs::write(scratch.join(SCRATCH_MARK), "estimate").unwrap();
    let options = MigrateOptions::default();
    with(|control| probe(root, &options).sample(&scratch.join("1"), 5, 1, control)).unwrap();
    assert_eq!(probe(root, &options).scratch().parent(), Some(root.path()));
    scratch
}

#[test]
fn what_a_killed_estimate_has_left_is_not_migrated_and_goes_with_the_next_clean_up() {
    let root = generated(10, [1, 0, 0]);
    let scratch = killed_estimate(&root);
    let unmarked = root.path().join(".estimate-2.tmp");
    fs::create_dir(&unmarked).unwrap();
    fs::write(unmarked.join("mine"), "x").unwrap();
    symlink(root.artifacts(), root.path().join(".estimate-3.tmp")).unwrap();
    for layout in ["canonical", "recursive"] {
        let found = root.haul("migrate", &["--dry-run", "--layout", layout, "--json"]).expect(0).json();
        assert_eq!((&found["records"], &found["manifests"]), (&json!(10), &json!(10)), "{layout}");
    }
    root.haul("clean", &["--json"]).expect(2);
    assert!(scratch.exists(), "it asks before");
    let cleaned = root.haul("clean", &["--yes", "--json"]).expect(0).json();
    assert_eq!((&cleaned["removed"], &cleaned["leftovers"].as_array().unwrap().len()), (&json!(0), &1));
    assert!(!scratch.exists() && unmarked.join("mine").exists() && root.artifacts().exists());
    let again = root.haul("clean", &["--json"]).expect(0).json();
    assert_eq!(again["leftovers"], json!([]));
}

#[test]
fn what_a_killed_run_has_shown_of_itself_goes_with_a_clean_up_and_reports_stay() {
    let root = generated(10, [1, 0, 0]);
    root.migrate(&[]).expect(0);
    let state = |name: &str| root.path().join("migration").join(name);
    fs::write(state("live.json"), "{}").unwrap();
    fs::write(state("estimate.json"), "{}").unwrap();
    let text = root.haul("clean", &["--yes"]).expect(0).stdout;
    assert!(text.contains("1 leftovers of killed commands removed"), "{text}");
    assert!(!state("live.json").exists());
    for kept in ["estimate.json", "report.json", "ledger.jsonl", "journal.jsonl"] {
        assert!(state(kept).exists(), "{kept}");
    }
}
