//! Checks that fail, and estimates that are cut short.

use std::process::Stdio;
use std::time::Duration;

use super::{BRIEFLY, Place, names, range};
use crate::support::haul::Done;

#[test]
fn the_lock_of_a_run_fails_the_estimate_which_is_printed_all_the_same() {
    let place = Place::with_space(400);
    let mut command = place.command("space migrate ./s --rate-limit 20 --batch-size 10");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("s/migration/checkpoint.bin").exists() {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = place.run(&format!("space estimate ./s {BRIEFLY} --json")).expect(2);
    let estimate = done.json();
    range(&estimate["time"]);
    let lock = estimate["checks"].as_array().unwrap().iter().find(|check| check["code"] == "lock").unwrap();
    assert_eq!((&lock["status"], &estimate["exit_code"]), (&"fail".into(), &2.into()));
    assert!(run.try_wait().unwrap().is_none(), "the run goes on");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn too_little_space_fails_the_estimate() {
    let place = Place::with_space(100);
    let log = names(&place.path("s/wal")).remove(0);
    // A log with a hole, as long as no disk is.
    let file = std::fs::OpenOptions::new().write(true).open(place.path("s/wal").join(log)).unwrap();
    let len = file.metadata().unwrap().len();
    if file.set_len(len.max(1 << 43)).is_err() {
        return;
    }
    let done = Done::of(place.command("space estimate ./s --no-write --json").output().unwrap()).expect(2);
    let estimate = done.json();
    assert_eq!(estimate["fits"], false);
    let space = estimate["checks"].as_array().unwrap().iter().find(|check| check["code"] == "free_space").unwrap();
    assert_eq!(space["status"], "fail");
}

#[test]
fn a_stopped_estimate_leaves_nothing_of_its_samples() {
    let place = Place::with_space(3_000);
    let mut command = place.command("space estimate ./s --for 10m");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let is_scratch = |name: &String| name.starts_with(".estimate-");
    while !names(&place.path("s")).iter().any(is_scratch) {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let done = Done::of(run.wait_with_output().unwrap()).expect(75);
    assert!(done.stderr.contains("stopped") || done.stderr.contains("stop"), "{}", done.stderr);
    assert_eq!(names(&place.path("s")), ["wal"]);
}

#[test]
fn what_a_killed_estimate_has_left_goes_with_the_next_clean() {
    let place = Place::with_space(3_000);
    let mut command = place.command("space estimate ./s --for 10m");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let scratch = place.path("s").join(format!(".estimate-{}.tmp", run.id()));
    while !scratch.join("1/wal").exists() {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(scratch.exists());
    place.run("space migrate ./s").expect(0);
    place.run("space clean ./s --yes").expect(0);
    assert!(!scratch.exists());
}
