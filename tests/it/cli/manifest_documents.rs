//! `haul manifest` on single documents and on steps.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Stdio;

use crate::support::haul::Done;
use crate::support::place::Place;
use haul::durable::RealDisk;
use haul::migration::RunDirectory;
use serde_json::json;

const MANIFEST: &str = r#"{"schema_version": "1.1.0", "job_id": "j", "run_id": "r", "job_ref": "b", "job_type": "t",
 "status": "s", "input_snapshots": {}, "inputs_hash": null, "big": 1E400}"#;
const NOW: &str = "2026-03-01T12:34:56.789012Z";
const STEPS: &str = r#"
[[step]]
from = "1.2.0"
to = "1.3.0"
changes = ["Add priority_level field (default: normal)", "Bump schema_version to 1.3.0"]
add = [{ path = "priority_level", value = "normal", type = "string" }]
schema = "schema.json"
"#;

fn run_with_input(place: &Place, arguments: &[&str], input: &str) -> Done {
    let mut command = place.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Done::of(child.wait_with_output().unwrap())
}

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path().join("manifest.json"), MANIFEST).unwrap();
    fs::write(place.path().join("steps.toml"), STEPS).unwrap();
    let schema = json!({"type": "object", "properties": {"priority_level": {"enum": ["low", "normal"]}}});
    fs::write(place.path().join("schema.json"), schema.to_string()).unwrap();
    place
}

#[test]
fn a_manifest_is_shown_at_another_version_and_left_alone() {
    let place = place();
    let shown = place.run(&["manifest", "read", "manifest.json", "--now", NOW]).expect(0);
    insta::assert_snapshot!(shown.stdout);
    assert_eq!(fs::read_to_string(place.path().join("manifest.json")).unwrap(), MANIFEST);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
    place.run(&["manifest", "read", "manifest.json", "--target-version", "9.9.9"]).expect(2);
    place.run(&["manifest", "read", "manifest.json", "--target-version", "1.0.0"]).expect(65);
}

#[test]
fn a_schema_next_to_the_steps_is_checked() {
    let place = place();
    let read = ["manifest", "read", "manifest.json", "--steps-file", "steps.toml"];
    place.run(&read).expect(0);
    fs::write(place.path().join("manifest.json"), MANIFEST.replace("\"big\"", "\"priority_level\": \"odd\", \"big\""))
        .unwrap();
    let refused = place.run(&read).expect(65);
    assert!(refused.stderr.contains("E_SCHEMA"), "{}", refused.stderr);
    fs::remove_file(place.path().join("schema.json")).unwrap();
    place.run(&read).expect(2);
}

#[test]
fn manifests_are_validated_by_name() {
    let place = place();
    fs::write(place.path().join("bad.json"), "{\n  \"a\": 1,\n  \"a\": 2}").unwrap();
    fs::write(place.path().join("incomplete.json"), MANIFEST.replace("\"1.1.0\"", "\"1.2.0\"")).unwrap();
    let files = ["manifest", "validate", "manifest.json", "bad.json", "incomplete.json"];
    let done = place.run(&files).expect(65);
    insta::assert_snapshot!(done.stdout);
    let done = place.run(&[&files[..], &["--json"]].concat()).expect(65).json();
    assert_eq!(done["files"][1]["refused"]["code"], "E_DUPLICATE_KEY");
    assert_eq!(done["files"][1]["refused"]["line"], 3);
    assert_eq!(done["files"][0]["version"], "1.1.0");
    place.run(&["manifest", "validate", "manifest.json"]).expect(0);
    place.run(&["manifest", "validate", "absent.json"]).expect(2);
    let done =
        place.run(&["manifest", "validate", "absent.json", "manifest.json", "bad.json", "--json"]).expect(1).json();
    let codes: Vec<_> = (0..3).map(|file| done["files"][file]["refused"]["code"].as_str()).collect();
    assert_eq!(codes, [Some("E_IO"), None, Some("E_DUPLICATE_KEY")], "one that is absent does not hide the others");
}

#[test]
fn a_manifest_is_written_when_it_keeps_what_it_must() {
    let place = place();
    let write = |text: &str| run_with_input(&place, &["manifest", "write", "manifest.json"], text);
    let changed = MANIFEST.replace("\"s\"", "\"done\"");
    write(&changed).expect(0);
    let written = fs::read_to_string(place.path().join("manifest.json")).unwrap();
    assert!(written.contains("\"status\": \"done\"") && written.contains("1E400") && written.ends_with("}\n"));
    let refused = write(&changed.replace("\"r\"", "\"other\"")).expect(65);
    assert!(refused.stderr.contains("E_INVARIANT_2"), "{}", refused.stderr);
    write("{}").expect(65);
    assert_eq!(fs::read_to_string(place.path().join("manifest.json")).unwrap(), written);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
}

#[test]
fn steps_are_listed_drawn_and_proved() {
    let place = place();
    let steps = |verb: &str| place.run(&["manifest", "steps", verb, "--steps-file", "steps.toml"]).expect(0).stdout;
    insta::assert_snapshot!(steps("list"));
    insta::assert_snapshot!(steps("graph"));
    insta::assert_snapshot!(steps("check"));
    let given = ["manifest", "steps", "check", "manifest.json", "--json"];
    let proved = place.run(&given).expect(0).json();
    assert_eq!(proved["steps"][1]["manifests"], 4, "{proved}");
    fs::write(place.path().join("steps.toml"), "[[step]]").unwrap();
    place.run(&["manifest", "steps", "list", "--steps-file", "steps.toml"]).expect(2);
}

/// Creates the root `app` of an application with one manifest, and returns the path of the manifest.
fn tree(place: &Place) -> String {
    let directory = place.path().join("app/artifacts/job/run");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("manifest.json"), MANIFEST).unwrap();
    "app/artifacts/job/run/manifest.json".to_owned()
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_manifest_is_written_back_on_request() {
    let place = place();
    let file = tree(&place);
    let (path, directory) = (place.path().join(&file), place.path().join("app/artifacts/job/run"));
    let read = ["manifest", "read", &file, "--now", NOW];
    let shown = place.run(&read).expect(0).stdout;
    assert_eq!(fs::read_to_string(&path).unwrap(), MANIFEST);
    let written = place.run(&[&read[..], &["--write-back"]].concat()).expect(0).stdout;
    assert_eq!(written, shown);
    assert_eq!(fs::read_to_string(&path).unwrap(), shown);
    let [manifest, backup] = &names(&directory)[..] else { panic!("{:?}", names(&directory)) };
    assert_eq!(manifest, "manifest.json");
    assert_eq!(fs::read_to_string(directory.join(backup)).unwrap(), MANIFEST);
    let ledger = || fs::read(place.path().join("app/migration/ledger.jsonl")).unwrap();
    let before = ledger();
    assert_eq!(place.run(&["manifest", "read", &file, "--write-back"]).expect(0).stdout, shown);
    assert_eq!(ledger(), before, "a current file begins no run");
    let status = place.run(&["manifest", "status", "app", "--json"]).expect(0).json();
    let run = status["run"]["run_id"].as_str().unwrap();
    place.run(&["manifest", "verify", "app"]).expect(0);
    place.run(&["manifest", "rollback", "app", "--run", run, "--yes"]).expect(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), MANIFEST);
}

#[test]
fn a_manifest_that_cannot_be_written_back_is_refused_and_left() {
    let place = place();
    let file = tree(&place);
    let path = place.path().join(&file);
    let read = ["manifest", "read", &file, "--write-back"];
    place.run(&["manifest", "read", "manifest.json", "--write-back"]).expect(2);
    place.run(&["manifest", "read", "manifest.json", "--write-back", "--root", "app"]).expect(2);
    place.run(&["manifest", "read", "manifest.json", "--root", "app"]).expect(2);
    fs::hard_link(&path, place.path().join("other")).unwrap();
    let refused = place.run(&read).expect(65);
    assert!(refused.stderr.contains("E_HARDLINK"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), MANIFEST);
    fs::remove_file(place.path().join("other")).unwrap();
    let held = RunDirectory::new(place.path().join("app/migration"));
    let lock = held.lock(&RealDisk).unwrap();
    let refused = place.run(&read).expect(75);
    assert!(refused.stderr.contains("another run is active"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), MANIFEST);
    drop(lock);
    fs::write(&path, "{}").unwrap();
    assert!(place.run(&read).expect(65).stderr.contains("E_NOT_A_MANIFEST"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
}

#[test]
fn a_written_manifest_keeps_mode_and_owner() {
    let place = place();
    let path = place.path().join("manifest.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Only a superuser may change the owner of a file.
    let _ = chown(&path, Some(1234), Some(4321));
    let owner = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    let before = owner(&path);
    run_with_input(&place, &["manifest", "write", "manifest.json"], &MANIFEST.replace("\"s\"", "\"done\"")).expect(0);
    assert_eq!(owner(&path), before);
    assert!(fs::read_to_string(&path).unwrap().contains("done"));
}

#[test]
fn a_name_that_is_a_link_or_one_of_several_is_not_written() {
    let place = place();
    let path = place.path().join("manifest.json");
    let write = |name: &str| run_with_input(&place, &["manifest", "write", name], MANIFEST);
    symlink("manifest.json", place.path().join("link.json")).unwrap();
    write("link.json").expect(1);
    assert!(fs::symlink_metadata(place.path().join("link.json")).unwrap().is_symlink());
    fs::hard_link(&path, place.path().join("second.json")).unwrap();
    let refused = write("manifest.json").expect(65);
    assert!(refused.stderr.contains("E_HARDLINK"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), MANIFEST);
}

#[test]
fn nothing_is_written_while_a_run_is_active_in_the_tree() {
    let place = place();
    let run = place.path().join("artifacts/j/r");
    fs::create_dir_all(&run).unwrap();
    fs::copy(place.path().join("manifest.json"), run.join("manifest.json")).unwrap();
    let write = || run_with_input(&place, &["manifest", "write", "artifacts/j/r/manifest.json"], MANIFEST);
    write().expect(0);
    assert!(!place.path().join("migration").exists(), "a tree that was never migrated gets no run directory");
    let directory = RunDirectory::new(place.path().join("migration"));
    directory.create(&RealDisk).unwrap();
    let lock = directory.lock(&RealDisk).unwrap();
    let before = fs::read(run.join("manifest.json")).unwrap();
    let refused = write().expect(75);
    assert!(refused.stderr.contains("another run is active"), "{}", refused.stderr);
    assert_eq!(fs::read(run.join("manifest.json")).unwrap(), before);
    drop(lock);
    write().expect(0);
}

#[test]
fn steps_that_change_the_identity_of_a_run_are_refused_with_the_reason() {
    let place = place();
    for (operation, name) in [
        ("add = [{ path = \"run_id\", value = \"x\", type = \"string\" }]", "run_id"),
        ("add = [{ path = \"job_id\", value = \"x\", type = \"string\" }]", "job_id"),
        ("copy = [{ from = \"job_id\", to = \"job_ref\", type = \"string\" }]", "job_ref"),
        ("add = [{ path = \"doctrine.version\", value = \"x\", type = \"string\" }]", "doctrine.version"),
        ("add = [{ path = \"input_snapshots\", json = \"{}\", type = \"object\" }]", "input_snapshots"),
        ("add = [{ path = \"migration_history\", json = \"[]\", type = \"array\" }]", "migration_history"),
    ] {
        let step = format!("[[step]]\nfrom = \"1.2.0\"\nto = \"1.3.0\"\nchanges = [\"x\"]\n{operation}\n");
        fs::write(place.path().join("steps.toml"), step).unwrap();
        let said = format!("step 1.2.0 → 1.3.0: no step may change {name}: it identifies the run");
        for verb in [&["steps", "check"][..], &["steps", "list"], &["read", "manifest.json"]] {
            let refused = place.run(&[&["manifest"], verb, &["--steps-file", "steps.toml"]].concat()).expect(2);
            assert!(refused.stderr.contains(&said), "{}", refused.stderr);
        }
    }
}
