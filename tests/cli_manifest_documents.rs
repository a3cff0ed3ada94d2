//! `haul manifest` on single documents and on steps, as people and programs see it.
#![allow(clippy::disallowed_methods, reason = "tests prepare files directly")]

mod cli_common;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use cli_common::{Done, Place};
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
fn a_schema_beside_the_steps_is_checked() {
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
    fs::write(place.path().join("hollow.json"), MANIFEST.replace("\"1.1.0\"", "\"1.2.0\"")).unwrap();
    let files = ["manifest", "validate", "manifest.json", "bad.json", "hollow.json"];
    let done = place.run(&files).expect(65);
    insta::assert_snapshot!(done.stdout);
    let done = place.run(&[&files[..], &["--json"]].concat()).expect(65).json();
    assert_eq!(done["files"][1]["refused"]["code"], "E_DUPLICATE_KEY");
    assert_eq!(done["files"][1]["refused"]["line"], 3);
    assert_eq!(done["files"][0]["version"], "1.1.0");
    place.run(&["manifest", "validate", "manifest.json"]).expect(0);
    place.run(&["manifest", "validate", "absent.json"]).expect(1);
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
