//! What reports say of runs: against their schema, and against what the runs have done.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use haul::durable::RealDisk;
use haul::migration::RunOptions;
use haul::pipeline::{Control, Counted, Event, Observer, StopToken};
use haul::space::migrate::migrate;
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;
use parking_lot::Mutex;
use serde_json::Value;

use crate::support::files::tree;
use crate::support::manifest::Root;
use crate::support::place::Place;
use crate::upgrade::second_example::library;

fn report(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("report.json")).expect("a report")).expect("JSON")
}

#[track_caller]
fn check_schema(report: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let faults: Vec<_> =
        validator.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}\n{report:#}");
    let Value::Object(fields) = report else { panic!("an object") };
    let known = schema["properties"].as_object().unwrap();
    let unknown: Vec<_> = fields.keys().filter(|field| !known.contains_key(*field)).collect();
    assert!(unknown.is_empty(), "the schema does not describe {unknown:?}");
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn sum(values: &Value) -> u64 {
    values.as_object().unwrap().values().map(number).sum()
}

/// Bytes of all files below a directory.
fn bytes_below(directory: &Path) -> u64 {
    let files = tree(directory).into_keys().map(|path| directory.join(path).metadata().unwrap());
    files.filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

fn attempts(report: &Value) -> Vec<(String, Option<u64>, u64)> {
    let row =
        |row: &Value| (row["outcome"].as_str().unwrap().to_owned(), row["exit_code"].as_u64(), number(&row["records"]));
    report["attempts"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn the_report_of_a_space_tells_what_was_written_and_how() {
    let place = Place::with_space(3_000);
    place.space_run("migrate default --parallel-workers 2 --batch-size 100 --progress none").expect(0);
    let report = report(&place.space().join("migration"));
    check_schema(&report);
    let store = place.space().join("dual-000001");
    assert_eq!(number(&report["target_bytes"]), bytes_below(&store));
    assert_eq!(number(&report["target_bytes"]), sum(&report["written"]));
    assert_eq!(attempts(&report), [("published".to_owned(), Some(0), number(&report["records_read"]))]);
    let settings = &report["settings"];
    assert_eq!((number(&settings["workers"]), number(&settings["batch_records"])), (2, 100));
    assert_eq!((&settings["verify"], &settings["durability"]), (&"blocks".into(), &"group".into()));
    let phases: Vec<_> = report["phases"].as_array().unwrap().iter().map(|phase| &phase["phase"]).collect();
    assert_eq!(phases, ["run", "index", "seal", "verify", "publish"]);
    for stage in ["read", "convert", "write", "commit", "sync"] {
        assert!(number(&report["stages"][stage]["count"]) > 0, "{stage}");
    }
    assert!(number(&report["peaks"]["rss"]) > 1 << 20 && number(&report["peaks"]["budget"]) > 0);
    assert_eq!(report["haul"]["version"], env!("CARGO_PKG_VERSION"));
    let verify = report["next"]["verify"].as_str().unwrap();
    place.run(&verify.split(' ').skip(1).collect::<Vec<_>>()).expect(0);
}

#[test]
fn the_report_of_an_object_store_counts_every_file_of_the_store() {
    let place = Place::new();
    place.run(&["cas", "generate", "old", "--objects", "300", "--seed", "7"]).expect(0);
    place.run(&["cas", "migrate", "--source", "old", "--target", "new", "--progress", "none"]).expect(0);
    let report = report(&place.path().join("new.migration"));
    check_schema(&report);
    assert_eq!(number(&report["target_bytes"]), bytes_below(&place.path().join("new")));
    assert_eq!(number(&report["target_bytes"]), sum(&report["written"]));
    for part in ["blobs", "sidecars", "index"] {
        assert!(number(&report["written"][part]) > 0, "{part}");
    }
    let [(outcome, _, records)] = &attempts(&report)[..] else { panic!("{report:#}") };
    assert_eq!((outcome.as_str(), *records), ("published", number(&report["records_read"])));
}

#[test]
fn the_reports_of_trees_and_of_sets_fit_the_schema() {
    let root = Root::generated(200);
    root.haul("migrate", &[]);
    let report_of_tree = report(&root.path().join("migration"));
    check_schema(&report_of_tree);
    assert_eq!(number(&report_of_tree["target_bytes"]), sum(&report_of_tree["written"]));
    assert!(number(&report_of_tree["written"]["manifests"]) > 0);
    let set = library();
    set.upgrade("run", &["--yes"]).expect(0);
    let state = fs::read_dir(set.path()).unwrap().map(|entry| entry.unwrap().path());
    let state = state.into_iter().find(|path| path.join("report.json").exists()).expect("the state of the upgrade");
    check_schema(&report(&state));
}

/// Asks for a stop once so many records are migrated.
struct StopAfter {
    records: u64,
    migrated: AtomicU64,
    stop: StopToken,
}

impl Observer for StopAfter {
    fn observe(&self, event: &Event) {
        if let Event::BatchWritten { records, .. } = event
            && self.migrated.fetch_add(*records, Ordering::Relaxed) + records >= self.records
        {
            self.stop.request();
        }
    }
}

#[test]
fn a_run_that_was_stopped_and_resumed_has_an_honest_row_for_each_attempt() {
    let place = Place::with_space(3_000);
    let stop = StopToken::new();
    let observer = StopAfter { records: 800, migrated: AtomicU64::new(0), stop: stop.clone() };
    let options = MigrateOptions {
        run: RunOptions { batch_records: 100, ..RunOptions::default() },
        engine_stopped: true,
        ..MigrateOptions::default()
    };
    let paths = SpacePaths::new(place.space());
    let end = migrate(Arc::new(RealDisk), &paths, &options, &Control { stop: &stop, observer: &observer }).unwrap();
    assert!(end.stopped && end.records >= 800);
    let stopped = report(&place.space().join("migration"));
    check_schema(&stopped);
    assert_eq!(attempts(&stopped), [("stopped".to_owned(), Some(75), end.records)]);

    place.space_run("migrate default --batch-size 100 --progress none").expect(0);
    let resumed = report(&place.space().join("migration"));
    check_schema(&resumed);
    let all = number(&resumed["records_read"]);
    assert_eq!(
        attempts(&resumed),
        [("stopped".to_owned(), Some(75), end.records), ("published".to_owned(), Some(0), all - end.records)]
    );
    assert_eq!(resumed["attempts"][0], stopped["attempts"][0], "what the first one has left");
    // What was done before is not in the numbers of this attempt.
    assert_eq!(number(&resumed["phases"][0]["records"]), all - end.records);
    assert_eq!(resumed["duration_ms"].as_f64().unwrap() > 0.0, resumed["attempts"][1]["seconds"].as_f64() > Some(0.0));
}

#[test]
fn an_attempt_that_was_killed_has_the_records_that_the_next_one_found() {
    let place = Place::with_space(3_000);
    let mut command =
        place.command(&["space", "migrate", "default", "--batch-size", "50", "--checkpoint-interval", "100"]);
    command.args(["--rate-limit", "500", "--progress", "none"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("haul runs");
    let moved = || {
        let status = place.space_run("status default --json").json();
        status["run"]["records"].as_u64().unwrap_or(0)
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while moved() < 100 {
        assert!(Instant::now() < patience, "no checkpoint");
        sleep(Duration::from_millis(50));
    }
    child.kill().expect("a running process");
    child.wait().expect("an end");
    let found = moved();
    place.space_run("migrate default --progress none").expect(0);
    let report = report(&place.space().join("migration"));
    check_schema(&report);
    let all = number(&report["records_read"]);
    assert_eq!(attempts(&report), [("killed".to_owned(), None, found), ("published".to_owned(), Some(0), all - found)]);
    assert_eq!(report["attempts"][0]["ended_at"], Value::Null);
}

#[test]
fn a_failed_run_says_so_in_its_row() {
    let place = Place::with_space(50);
    let mut log = fs::read(place.log()).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 0xff;
    fs::write(place.log(), log).unwrap();
    let done = place.space_run("migrate default --corruption fail --progress none");
    assert!(done.code == 65, "{}", done.stderr);
    let report = report(&place.space().join("migration"));
    check_schema(&report);
    assert_eq!(report["outcome"], "failed: findings");
    assert!(matches!(&attempts(&report)[..], [(outcome, Some(65), _)] if outcome == "failed"), "{report:#}");
}

/// Keeps what the writer has counted, and how the run began and ended.
#[derive(Default)]
struct Told {
    counted: Mutex<Vec<Counted>>,
    run: Mutex<Vec<String>>,
}

impl Observer for Told {
    fn observe(&self, event: &Event) {
        match event {
            Event::Counted(counted) => self.counted.lock().push((**counted).clone()),
            Event::RunStarted(start) => {
                let (before, planned) = (start.records_before, start.records_planned.expect("a plan"));
                assert!(start.directory.is_some() && start.target.contains("dual-000001"), "{start:?}");
                self.run.lock().push(format!("{} {before} of {planned} {}", start.kind, start.is_resumed));
            }
            Event::RunEnded { outcome, exit_code } => self.run.lock().push(format!("{outcome} {exit_code}")),
            _ => {}
        }
    }
}

#[test]
fn what_is_counted_while_a_run_lasts_ends_as_the_report_has_it() {
    let place = Place::with_space(500);
    let (stop, told) = (StopToken::new(), Told::default());
    let options = MigrateOptions { engine_stopped: true, ..MigrateOptions::default() };
    let paths = SpacePaths::new(place.space());
    migrate(Arc::new(RealDisk), &paths, &options, &Control { stop: &stop, observer: &told }).unwrap();
    let report = report(&place.space().join("migration"));
    let counted = told.counted.into_inner();
    let as_json = |list: &[(Cow<'static, str>, u64)]| {
        Value::Object(list.iter().map(|(name, count)| (name.to_string(), (*count).into())).collect())
    };
    let last = counted.last().expect("something was counted");
    assert_eq!(as_json(&last.outcomes), report["counts"]);
    assert_eq!(as_json(&last.written), report["written"]);
    assert_eq!(as_json(&last.findings), report["findings_count"]);
    let first = &counted[0];
    assert!(first.written.iter().any(|(name, bytes)| name == "segments" && *bytes > 0), "{first:?}");
    assert_eq!(told.run.into_inner(), ["space 0 of 500 false", "published 0"]);
}
