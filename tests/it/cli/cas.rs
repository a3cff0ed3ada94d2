//! The life of a content-addressed store on the command line.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::haul::{Done, HAUL};
use crate::support::nodes::tree;
use crate::support::old_objects::{object_path, zstd};
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;
use haul::durable::RealDisk;
use serde_json::Value;

/// Returns a source with two generations, a duplicate, a sidecar, and a file that is not an object.
fn store() -> OldStore {
    let store = OldStore::new();
    store
        .object(Algorithm::Sha256, b"one", Shape::TwoLevels)
        .object(Algorithm::Sha256, b"two", Shape::TwoLevels)
        .object(Algorithm::Blake3, b"two", Shape::TwoLevels)
        .stored(Algorithm::Blake3, &[0; 5000], &zstd(&[0; 5000]), Shape::TwoLevels)
        .sidecar_of(Algorithm::Blake3, &[0; 5000], &zstd(&[0; 5000]), Shape::TwoLevels, 1_795_207_503)
        .file("objects/README", b"not an object");
    store
}

/// Returns that source with two objects that cannot be migrated.
fn damaged_store() -> OldStore {
    let store = store();
    store.stored(Algorithm::Sha256, b"three", b"thrEe", Shape::TwoLevels);
    symlink("/nowhere", store.root().join(object_path(Algorithm::Sha256, b"link", Shape::Flat))).unwrap();
    store
}

fn run_in(directory: &Path, arguments: &str) -> Done {
    let words = std::iter::once("cas").chain(arguments.split_whitespace());
    let mut command = std::process::Command::new(HAUL);
    command.args(words).current_dir(directory).stdin(std::process::Stdio::null());
    command.env_remove("COLUMNS").env_remove("NO_COLOR");
    Done::of(command.output().expect("haul runs"))
}

fn run(store: &OldStore, arguments: &str) -> Done {
    run_in(store.place(), arguments)
}

/// Compares both outputs with a snapshot, except for times, rates, free space and temporary paths.
#[track_caller]
fn snapshot(store: &OldStore, name: &str, done: &Done) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b(\d+\.\d s|\d+ ms)\b", "[time]");
    settings.add_filter(r"[\d,]+ (objects|files|directories)/s", "[rate] $1/s");
    settings.add_filter(r"[\d.]+ ([KMGT]iB|bytes)/s", "[rate]/s");
    settings.add_filter(r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "[at]");
    settings.add_filter(r"[\d.]+ [GT]iB free", "[free] free");
    settings.add_filter(r"[\d,]+ free|no limit", "[free] free");
    settings.add_filter(r"digest +[0-9a-f]{64}", "digest [digest]");
    let texts = done.texts().replace(store.place().to_str().unwrap(), "[place]");
    settings.bind(|| insta::assert_snapshot!(name, texts));
}

const PLACES: &str = "--source old --target new";

#[test]
fn a_plan_leaves_nothing() {
    let store = store();
    let before = tree(store.place());
    snapshot(&store, "cas_plan", &run(&store, &format!("plan {PLACES}")).expect(0));
    let plan = run(&store, &format!("plan {PLACES} --json --compress zstd")).expect(0).json();
    assert_eq!((&plan["objects"], &plan["layout"]["two_levels"]), (&Value::from(4), &Value::from(4)));
    assert_eq!(tree(store.place()), before);
}

#[test]
fn a_dry_run_reports_what_would_be_left_out() {
    let store = damaged_store();
    let before = tree(store.place());
    snapshot(&store, "cas_dry_run", &run(&store, &format!("migrate {PLACES} --dry-run")).expect(3));
    let strict = run(&store, &format!("migrate {PLACES} --dry-run --strict --json --progress none")).expect(65);
    assert_eq!((&strict.json()["would_fail"], &strict.json()["exit_code"]), (&Value::from(true), &Value::from(65)));
    assert_eq!(strict.stderr, "");
    assert_eq!(tree(store.place()), before);
    run(&store, &format!("migrate {PLACES} --strict")).expect(65);
    run(&store, &format!("migrate {PLACES} --restart --yes")).expect(3);
}

#[test]
fn a_dry_run_of_a_sound_store_is_short() {
    let store = store();
    let done = run(&store, &format!("migrate {PLACES} --dry-run --progress none")).expect(0);
    assert!(done.stdout.starts_with("old to new: a migration would succeed\n"), "{}", done.stdout);
}

#[test]
fn a_store_is_migrated_and_rolled_back() {
    let store = store();
    let source = store.seen();
    snapshot(&store, "cas_migrated", &run(&store, &format!("migrate {PLACES}")).expect(0));
    snapshot(&store, "cas_status_published", &run(&store, "status new").expect(0));
    let declined = run(&store, "rollback new").expect(2);
    snapshot(&store, "cas_rollback_declined", &declined);
    assert!(store.target().exists());
    snapshot(&store, "cas_rolled_back", &run(&store, "rollback new --yes").expect(0));
    assert!(!store.target().exists());
    snapshot(&store, "cas_status_rolled_back", &run(&store, "status new").expect(0));
    let again = run(&store, "rollback new --yes").expect(0);
    assert!(again.stdout.contains("rolled back already"), "{}", again.stdout);
    let refused = run(&store, &format!("migrate {PLACES}")).expect(2);
    assert!(refused.stderr.contains("migrate again with --restart"), "{}", refused.stderr);
    run(&store, &format!("migrate {PLACES} --restart --yes")).expect(0);
    assert_eq!(store.seen(), source);
}

#[test]
fn a_rollback_needs_no_working_directory() {
    let store = store();
    run(&store, &format!("migrate {PLACES}")).expect(0);
    let elsewhere = tempfile::tempdir().unwrap();
    run_in(elsewhere.path(), &format!("rollback {} --yes", store.target().display())).expect(0);
    assert!(!store.target().exists());
}

#[test]
fn a_rollback_that_is_impossible_is_explained() {
    let store = store();
    snapshot(&store, "cas_rollback_of_nothing", &run(&store, "rollback new --yes").expect(2));
    run(&store, &format!("migrate {PLACES}")).expect(0);
    store.object(Algorithm::Sha256, b"late", Shape::TwoLevels);
    snapshot(&store, "cas_rollback_source_changed", &run(&store, "rollback new --yes").expect(65));
    fs::remove_file(store.root().join(object_path(Algorithm::Sha256, b"late", Shape::TwoLevels))).unwrap();
    let index = store.target().join("index.ndjson");
    fs::write(&index, [fs::read(&index).unwrap(), b"\n".to_vec()].concat()).unwrap();
    snapshot(&store, "cas_rollback_target_changed", &run(&store, "rollback new --yes").expect(2));
    let forced = run(&store, "rollback new --yes --force --json").expect(0).json();
    assert_eq!((&forced["placement"], &forced["exit_code"]), (&Value::from("new"), &Value::from(0)));
}

#[test]
fn a_replaced_store_is_kept_until_it_is_cleaned() {
    let store = store();
    fs::create_dir(store.target()).unwrap();
    fs::write(store.target().join("mine"), b"mine").unwrap();
    run(&store, &format!("migrate {PLACES} --replace")).expect(0);
    let status = run(&store, "status new --json").expect(0).json();
    assert_eq!(
        (&status["is_as_sealed"], &status["run"]["rules"]["placement"]),
        (&Value::from(true), &Value::from("replace"))
    );
    let declined = run(&store, "clean new").expect(2);
    snapshot(&store, "cas_clean_declined", &declined);
    snapshot(&store, "cas_cleaned", &run(&store, "clean new --yes").expect(0));
    snapshot(&store, "cas_rollback_cleaned", &run(&store, "rollback new --yes").expect(2));
    let empty = run(&store, "clean new").expect(0);
    assert_eq!(empty.stdout, "new: nothing to remove\n");
    let document = run(&store, "clean new --json --progress none").expect(0);
    assert_eq!((&document.json()["target"], &document.json()["bytes"]), (&Value::from("new"), &Value::from(0)));
    assert_eq!(document.stderr, "");
}

#[test]
fn the_status_of_other_places_is_shown_too() {
    let store = store();
    snapshot(&store, "cas_status_nothing", &run(&store, "status new").expect(2));
    run(&store, &format!("migrate {PLACES}")).expect(0);
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
    snapshot(&store, "cas_status_no_run", &run(&store, "status new").expect(0));
    let here = run_in(&store.target(), "status .").expect(0);
    assert!(here.stdout.contains("a store"), "{}", here.stdout);
    run(&store, "migrate --source old --target other --no-publish").expect(0);
    let unfinished = run(&store, "status other").expect(0);
    assert!(unfinished.stdout.contains("again to continue"), "{}", unfinished.stdout);
}

#[test]
fn a_second_command_is_refused_while_one_runs() {
    let store = store();
    run(&store, &format!("migrate {PLACES}")).expect(0);
    let lock = store.paths().run_directory().lock(&RealDisk).unwrap();
    for verb in ["rollback new --yes", "clean new --yes"] {
        let done = run(&store, verb).expect(75);
        assert!(done.stderr.contains("error: another run is active: pid "), "{}", done.stderr);
    }
    assert!(run(&store, "status new").expect(0).stdout.contains("active run                  pid "));
    drop(lock);
    run(&store, "rollback new --yes").expect(0);
}

#[test]
fn every_document_parses_and_nothing_else_is_on_stdout() {
    let store = store();
    for arguments in [
        "plan --source old --target new",
        "estimate --source old --target new",
        "migrate --source old --target new --dry-run",
        "migrate --source old --target new",
        "migrate --source old --target new --dry-run --restart --replace",
        "status new",
        "rollback new --yes",
        "status new",
        "clean new --yes",
    ] {
        let done = run(&store, &format!("{arguments} --json")).expect(0);
        assert!(done.json().is_object(), "{arguments}: {}", done.stdout);
        assert!(!done.texts().contains(['\x1b', '\r']), "{arguments}");
    }
}
