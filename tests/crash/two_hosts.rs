//! Two hosts on one file system, on which a lock does not reach the other host: one begins while the other works. The
//! first ends with 75; what the second has made is whole, and so is the state.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use haul::cas::options::Placement;
use haul::durable::{SimulatedDisk, read_file};
use haul::migration::{Durability, Error, exit};
use haul::pipeline::{Event, Observer};

use crate::support::scene::Scene;

/// Lets another host work while this one makes its n-th event known.
struct Interrupted<'a> {
    events: AtomicUsize,
    at: usize,
    other: &'a (dyn Fn() + Sync),
}

impl Observer for Interrupted<'_> {
    fn observe(&self, event: &Event) {
        // After its end a run writes nothing that another could be in the way of.
        if matches!(event, Event::RunEnded { .. }) {
            return;
        }
        if self.events.fetch_add(1, Ordering::SeqCst) == self.at {
            (self.other)();
        }
    }
}

/// Runs `here`, and `there` in the middle of it: at each of its events in turn, on disks of their own that `disk` makes.
/// The state is in `run_directory`.
pub fn take_over<T>(
    disk: impl Fn() -> SimulatedDisk,
    run: impl Fn(&SimulatedDisk, &dyn Observer) -> Result<T, Error> + Sync,
    check: impl Fn(&SimulatedDisk, &dyn Fn() -> String),
    run_directory: &Path,
) {
    let mut at = 0;
    loop {
        let here = disk();
        let there = here.on_another_host();
        let about = || format!("at event {at}");
        // Threads of the first run go on until they look at the lock, and may be in the way of one attempt.
        let failed = AtomicUsize::new(0);
        let attempt = || {
            let is_ok = run(&there, &haul::pipeline::Silent).is_ok();
            failed.fetch_add(usize::from(!is_ok), Ordering::SeqCst);
            is_ok
        };
        let other = || assert!(attempt() || attempt(), "{}", about());
        let observer = Interrupted { events: AtomicUsize::new(0), at, other: &other };
        let result = run(&here, &observer);
        if at >= observer.events.into_inner() {
            assert!(result.is_ok() && at > 4, "{at} events");
            return;
        }
        let error = result.err().unwrap_or_else(|| panic!("both have the lock, {}", about()));
        assert!(matches!(&error, Error::Locked { owner } if owner.contains(", claim ")), "{error:?}, {}", about());
        assert_eq!(error.exit_code(), exit::TEMPORARY);
        check(&here, &about);
        check_state(&here, run_directory, failed.load(Ordering::SeqCst), &about);
        assert!(run(&here, &haul::pipeline::Silent).is_ok(), "again, {}", about());
        check(&here, &about);
        at += 1;
    }
}

/// Whoever lost the space writes nothing more into the journal: the attempts that `failed` are those of the other.
fn check_state(disk: &SimulatedDisk, run_directory: &Path, failed: usize, about: &dyn Fn() -> String) {
    let read = |name: &str| String::from_utf8(read_file(disk, &run_directory.join(name), 1 << 20).unwrap()).unwrap();
    let events: Vec<String> = read("journal.jsonl")
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}, {}", about()));
            line["event"].as_str().unwrap().to_owned()
        })
        .collect();
    let written = events.iter().filter(|event| *event == "failed").count();
    assert!(!events.is_empty() && written <= failed, "{events:?}, {}", about());
    let (lock, report) = (read("lock"), read("report.json"));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let run = report["run_id"].as_str().unwrap();
    assert!(lock.starts_with("pid ") && lock.contains(", claim "), "{lock}");
    assert!(lock.ends_with(&format!(", run {run}")), "{lock}, {run}, {}", about());
}

#[test]
fn whoever_takes_an_object_store_over_ends_it_and_the_other_is_told_so() {
    for placement in [Placement::New, Placement::Merge, Placement::Replace] {
        let mut scene = Scene::new(placement, Durability::Group);
        scene.is_sharing = false;
        take_over(
            || scene.disk(),
            |disk, observer| scene.run_with(disk, &scene.options, observer),
            |disk, about| scene.check_complete(disk, about),
            scene.paths().run_directory().path(),
        );
    }
}
