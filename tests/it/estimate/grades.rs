//! How a run grades the forecast that was made of it, and what the history keeps.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use super::{BRIEFLY, Place, names, range};

#[test]
fn the_next_run_of_the_plan_grades_the_estimate() {
    for (estimate, migrate, report) in [
        ("space estimate ./s", "space migrate ./s", "s/migration/report.json"),
        ("cas estimate c v2", "cas migrate c v2", "v2.migration/report.json"),
        ("manifest estimate m", "manifest migrate m", "m/migration/report.json"),
    ] {
        let place = Place::with_space(400);
        place.run("cas generate c --objects 60 --generation v0.5 --seed 7").expect(0);
        place.run("manifest generate m --manifests 60 --seed 7").expect(0);
        let expected = place.json(&format!("{estimate} {BRIEFLY}"));
        let done = place.run(&format!("{migrate} --progress json")).stderr;
        let hello = done.lines().find(|line| line.contains(r#""type":"hello""#)).expect("a first line");
        let hello: serde_json::Value = serde_json::from_str(hello).unwrap();
        assert_eq!(range(&hello["estimate"]), range(&expected["time"]), "{migrate}");
        let report = place.document(report);
        assert_eq!(range(&report["estimate"]), range(&expected["time"]), "{migrate}");
        let grade = &report["grade"];
        assert_eq!(range(&grade["predicted"]), range(&expected["time"]), "{migrate}");
        let (actual, ratio) = (grade["actual"].as_f64().unwrap(), grade["ratio"].as_f64().unwrap());
        assert!((actual / range(&grade["predicted"])[1] / ratio - 1.0).abs() < 0.01, "{grade}");
        assert_eq!(place.history_lines().len(), 1, "{migrate}");
    }
}

#[test]
fn the_history_holds_no_path_and_only_this_user_reads_it() {
    let place = Place::with_space(400);
    place.json(&format!("space estimate ./s {BRIEFLY}"));
    place.run("space migrate ./s").expect(0);
    let text = std::fs::read_to_string(place.history()).unwrap();
    assert!(!text.contains(place.directory.path().to_str().unwrap()) && !text.contains("\"s\""), "{text}");
    assert_eq!(std::fs::metadata(place.history()).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = place.run("space estimate ./s --history").expect(0).stdout;
    assert!(shown.contains("1 runs, 1 graded") && shown.contains("400 records"), "{shown}");
    let document = place.json("space estimate ./s --history");
    assert_eq!((&document["groups"][0]["kind"], &document["groups"][0]["graded"]), (&"space".into(), &1.into()));
}

#[test]
fn an_estimate_of_another_plan_or_of_other_settings_is_not_graded() {
    let place = Place::with_space(300);
    place.json(&format!("space estimate ./s {BRIEFLY}"));
    place.run("space migrate ./s --parallel-workers 7").expect(0);
    let report = place.document("s/migration/report.json");
    assert!(report["grade"].is_null() && report["estimate"].is_null());
    let [line] = &place.history_lines()[..] else { panic!("a run without a forecast is kept as well") };
    assert!(line["forecast"].is_null() && line["seconds"].as_f64() > Some(0.0), "{line}");
}

#[test]
fn a_run_that_was_resumed_is_not_graded() {
    let place = Place::with_space(400);
    place.json(&format!("space estimate ./s {BRIEFLY}"));
    let mut command = place.command("space migrate ./s --rate-limit 50 --batch-size 10");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("s/migration/checkpoint.bin").exists() {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    place.run("space migrate ./s").expect(0);
    let report = place.document("s/migration/report.json");
    assert!(report["grade"].is_null() && report["attempts"].as_array().unwrap().len() == 2);
    assert!(place.history_lines().is_empty());
}

#[test]
fn a_history_that_cannot_be_written_is_a_note_and_no_error() {
    let place = Place::with_space(100);
    std::fs::write(place.path("state"), "a file in the place of its directory").unwrap();
    let done = place.run("space migrate ./s").expect(0);
    assert!(done.stderr.contains("the run cannot be added to the history"), "{}", done.stderr);
    std::fs::remove_file(place.path("state")).unwrap();
    let mut command = place.command("space migrate ./s --restart --yes");
    let done = crate::support::haul::Done::of(command.env("HAUL_HISTORY", "none").output().unwrap()).expect(0);
    assert!(!done.stderr.contains("history"), "{}", done.stderr);
    assert!(!names(place.directory.path()).contains(&"state".to_owned()));
}
