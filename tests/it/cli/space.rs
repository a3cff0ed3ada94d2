//! The life of a space on the command line.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};

use crate::support::haul::{Done, HAUL};
use crate::support::place::Place;
use haul::durable::RealDisk;
use haul::space::paths::SpacePaths;
use serde_json::Value;

/// Returns filters for what differs from run to run: times, rates, temporary paths.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b(\d+\.\d s|\d+ ms)\b", "[time]");
    settings.add_filter(r"[\d,]+ nodes/s", "[rate]");
    settings.add_filter(r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "[at]");
    settings.add_filter(r"workers \d+", "workers [n]");
    settings.add_filter(r"[\d.]+ [GT]iB free", "[free]");
    settings.add_filter(r"digest +[0-9a-f]{64}", "digest [digest]");
    settings
}

#[test]
fn a_plan_reads_only() {
    let place = Place::with_space(20);
    let done = place.space_run("plan default").expect(0);
    settings().bind(|| insta::assert_snapshot!(done.texts()));
    let document = place.space_run("plan default --json").expect(0).json();
    assert_eq!(document["records_estimated"], 20);
    assert_eq!(std::fs::read_dir(place.space()).unwrap().count(), 1);
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = Place::with_space(20);
    let done = place.space_run("migrate default --dry-run").expect(0);
    settings().bind(|| insta::assert_snapshot!(done.texts()));
    let document = place.space_run("migrate default --dry-run --json --progress none").expect(0).json();
    assert_eq!(document["counts"]["migrated"], 20);
    assert_eq!(std::fs::read_dir(place.space()).unwrap().count(), 1);
}

#[test]
fn a_space_is_migrated_and_rolled_back() {
    let place = Place::with_space(50);
    let log = std::fs::read(place.log()).unwrap();
    let migrated = place.space_run("migrate default").expect(0);
    settings().bind(|| insta::assert_snapshot!("migrated", migrated.texts()));
    let again = place.space_run("migrate default").expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let verified = place.space_run("verify default --full").expect(0);
    settings().bind(|| insta::assert_snapshot!("verified", verified.texts()));
    let status = place.space_run("status default").expect(0);
    settings().bind(|| insta::assert_snapshot!("status", status.texts()));
    let declined = place.space_run("rollback default").expect(2);
    assert!(declined.stderr.contains("next: add --yes"), "{}", declined.stderr);
    let back = place.space_run("rollback default --yes").expect(0);
    settings().bind(|| insta::assert_snapshot!("rolled_back", back.texts()));
    assert_eq!(std::fs::read_to_string(place.space().join("CURRENT")).unwrap(), "wal\n");
    assert_eq!(std::fs::read(place.log()).unwrap(), log);
    let forth = place.space_run("migrate default --json --progress none").expect(0).json();
    assert_eq!((&forth["stage"], &forth["exit_code"]), (&Value::from("published"), &Value::from(0)));
}

#[test]
fn every_document_parses_and_nothing_else_is_on_stdout() {
    let place = Place::with_space(10);
    for arguments in [
        "plan default",
        "estimate default",
        "stats default",
        "status default",
        "migrate default --dry-run",
        "migrate default --no-publish",
        "publish default",
        "verify default --quick",
        "verify default --subset 1/2",
        "status default",
        "stats default",
        "export default --to exported",
        "rollback default --yes",
        "clean default --yes",
    ] {
        let done = place.space_run(&format!("{arguments} --json")).expect(0);
        assert!(done.json().is_object(), "{arguments}: {}", done.stdout);
        let silent = place.space_run(&format!("{arguments} --json --progress none"));
        assert_eq!(silent.stderr.lines().filter(|line| !is_allowed_in_silence(line)).count(), 0, "{}", silent.stderr);
    }
}

/// Errors, and what a destructive command is about to do, are said in any case.
fn is_allowed_in_silence(line: &str) -> bool {
    ["error: ", "next: ", "note: ", "this ", "  "].iter().any(|start| line.starts_with(start))
}

#[test]
fn a_space_that_is_not_there_is_a_usage_error() {
    let place = Place::new();
    let done = place.space_run("migrate nowhere").expect(2);
    insta::assert_snapshot!(done.texts(), @r#"
    ---
    error: no space "nowhere": neither data/nowhere nor nowhere is a directory
    next: name a space below --data-dir, or give the path of a directory that holds wal/
    "#);
    std::fs::DirBuilder::new().recursive(true).create(place.path().join("data/empty")).unwrap();
    let done = place.space_run("migrate empty --json").expect(2);
    insta::assert_snapshot!(done.stdout, @r#"
    {
      "error": {
        "message": "data/empty has no wal directory, so it is not an Engram space",
        "exit_code": 2,
        "next": "name a space directory: the one that holds wal/"
      }
    }
    "#);
}

#[test]
fn damage_is_reported_and_can_be_left_out() {
    let place = Place::with_space(20);
    let file = std::fs::OpenOptions::new().write(true).open(place.log()).unwrap();
    // This offset is in the payload of the first record, after its header.
    file.write_all_at(b"damage", 200).unwrap();
    drop(file);
    let done = place.space_run("migrate default --dry-run").expect(65);
    assert!(done.stdout.contains("would publish nothing"), "{}", done.stdout);
    let done = place.space_run("migrate default").expect(65);
    assert_eq!(done.stdout, "");
    assert!(done.stderr.contains("data/default/migration/report.json"), "{}", done.stderr);
    assert!(done.stderr.contains("fatal: wal-") && done.stderr.contains(" at 0, "), "{}", done.stderr);
    assert!(done.stderr.contains("next: "), "{}", done.stderr);
    assert!(!place.space().join("CURRENT").exists());
    let report = std::fs::read_to_string(place.space().join("migration/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["findings"].as_array().unwrap().len(), 1);

    let done = place.space_run("migrate default --corruption resync --json").expect(3);
    let document = done.json();
    assert_eq!((&document["counts"]["migrated"], &document["exit_code"]), (&Value::from(19), &Value::from(3)));
    assert_eq!(document["stage"], "published");
}

#[test]
fn a_second_run_is_refused() {
    let place = Place::with_space(5);
    let run_directory = SpacePaths::new(place.space()).run_directory();
    run_directory.create(&RealDisk).unwrap();
    let lock = run_directory.lock(&RealDisk).unwrap();
    let done = place.space_run("migrate default").expect(75);
    assert!(done.stderr.contains("error: another run is active: pid "), "{}", done.stderr);
    drop(lock);
    place.space_run("migrate default").expect(0);
}

#[test]
fn restarting_needs_consent() {
    let place = Place::with_space(5);
    place.space_run("migrate default --restart").expect(0);
    let done = place.space_run("migrate default --restart").expect(2);
    insta::assert_snapshot!(done.texts());
    place.space_run("migrate default --restart --yes").expect(0);
}

#[test]
fn resuming_needs_an_earlier_run() {
    let place = Place::with_space(5);
    let done = place.space_run("migrate default --resume").expect(2);
    assert!(done.stderr.contains("no earlier run to resume"), "{}", done.stderr);
}

/// Starts a migration that takes ten seconds, and waits for its first checkpoint.
fn slow_run(place: &Place) -> (Child, BufReader<std::process::ChildStderr>) {
    let arguments = "space migrate default --rate-limit 500 --batch-size 64 --checkpoint-interval 1 --progress events --corruption skip";
    let words: Vec<_> = arguments.split(' ').collect();
    let mut command = place.command(&words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(r#""event":"checkpoint_written""#) {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "it ended before its first checkpoint");
        serde_json::from_str::<Value>(&line).expect("an event is a JSON object");
    }
    (child, events)
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

fn end_of(mut child: Child, mut events: BufReader<std::process::ChildStderr>) -> Done {
    let mut stderr = String::new();
    events.read_to_string(&mut stderr).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let mut done = Done::of(child.wait_with_output().unwrap());
    (done.stdout, done.stderr) = (stdout, stderr);
    done
}

#[test]
fn a_signal_stops_a_run_that_the_same_command_completes() {
    for name in ["TERM", "INT"] {
        let place = Place::with_space(5_000);
        let (child, events) = slow_run(&place);
        signal(&child, name);
        let done = end_of(child, events).expect(75);
        assert!(done.stderr.contains("stopping at the next batch; again to end at once"), "{}", done.stderr);
        let texts = done.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        let texts: Vec<_> = texts.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect();
        let next = texts.iter().find_map(|text| text.strip_prefix("next: run again: ")).expect("a command");
        assert_eq!(
            next,
            format!(
                "{HAUL} space migrate default --rate-limit 500 --batch-size 64 --checkpoint-interval 1 --progress events --corruption skip"
            )
        );
        assert!(done.stdout.contains("stopped"), "{}", done.stdout);
        assert!(!place.space().join("CURRENT").exists());

        let resumed = place.space_run("migrate default --corruption skip --json").expect(0).json();
        assert_eq!((&resumed["resumed"], &resumed["records"]), (&Value::from(true), &Value::from(5_000)));
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::with_space(5_000);
    let (child, events) = slow_run(&place);
    // Both are delivered when the process continues, before it can end by itself.
    for name in ["STOP", "INT", "TERM", "CONT"] {
        signal(&child, name);
    }
    let code = end_of(child, events).code;
    assert!([130, 143].contains(&code), "{code}");
    place.space_run("migrate default --corruption skip").expect(0);
}

#[test]
fn a_killed_run_is_resumed() {
    let place = Place::with_space(5_000);
    let (child, events) = slow_run(&place);
    signal(&child, "KILL");
    end_of(child, events).expect(137);
    let resumed = place.space_run("migrate default --corruption skip --resume --json").expect(0).json();
    assert_eq!(resumed["counts"]["migrated"], 5_000);
}

#[test]
fn nothing_is_coloured_or_animated_off_a_terminal() {
    let place = Place::with_space(5);
    for arguments in ["migrate default --progress bar", "verify default", "status default", "migrate default --colour"]
    {
        let words: Vec<_> = std::iter::once("space").chain(arguments.split_whitespace()).collect();
        for no_colour in [None, Some("1")] {
            let mut command = place.command(&words);
            command.envs(no_colour.map(|value| ("NO_COLOR", value)));
            let texts = Done::of(command.output().unwrap()).texts();
            assert!(!texts.contains(['\x1b', '\r']), "{arguments}: {texts:?}");
        }
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let place = Place::with_space(5);
    for arguments in [&["space", "plan", "default"][..], &["space", "migrate", "default", "--json"], &["--help"]] {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = Done::of(child.wait_with_output().unwrap()).expect(0);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    }
}
