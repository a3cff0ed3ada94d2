//! SIGUSR1 and SIGHUP.

use rustix::process::Signal;
use serde_json::Value;

use super::{NODES, Run, assert_store_as_always};
use crate::support::place::Place;

fn is_status(line: &str) -> bool {
    line.starts_with("run  ") && line.contains('%') && line.contains(" of about ") && line.contains(" nodes")
}

#[test]
fn sigusr1_prints_one_line_of_status_and_nothing_else() {
    let place = Place::with_space(NODES);
    let run = Run::begun(&place, &["--progress", "none"]);
    run.signal(Signal::USR1);
    let done = run.end().expect(0);
    let lines: Vec<_> = done.stderr.lines().collect();
    assert!(lines.len() == 1 && is_status(lines[0]), "{}", done.stderr);
    assert!(done.stdout.contains("published"), "{}", done.stdout);
}

#[test]
fn sigusr1_adds_one_line_to_those_of_a_run() {
    let place = Place::with_space(NODES);
    let run = Run::begun(&place, &[]);
    run.signal(Signal::USR1);
    let done = run.end().expect(0);
    assert_eq!(done.stderr.lines().filter(|line| is_status(line)).count(), 1, "{}", done.stderr);
}

#[test]
fn sighup_ends_with_a_checkpoint_from_which_the_run_goes_on() {
    let place = Place::with_space(NODES);
    let run = Run::begun(&place, &["--progress", "none"]);
    run.signal(Signal::HUP);
    let done = run.end().expect(75);
    assert!(done.stderr.contains("next: run again: "), "{}", done.stderr);
    let status = place.space_run("status default --json").expect(0).json();
    let records = status["run"]["records"].as_u64().unwrap_or_else(|| panic!("{status}"));
    assert!((1..NODES).contains(&records), "{status}");
    assert_eq!((&status["run"]["stage"], &status["lock_holder"]), (&"running".into(), &Value::Null));
    let done = place.space_run("migrate default --progress json").expect(0);
    let hello: Value = serde_json::from_str(done.stderr.lines().next().unwrap()).unwrap();
    assert_eq!((&hello["type"], &hello["resumed"]), (&"hello".into(), &true.into()), "{hello}");
    assert_store_as_always(&place);
}
