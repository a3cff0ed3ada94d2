//! How the binary shows a run: what signals do, what terminals and programs get, and that nobody who looks holds it up.

mod checkpoints;
mod objects;
mod signals;
mod terminals;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::files::tree;
use crate::support::haul::Done;
use crate::support::place::Place;

/// Records of the spaces here.
const NODES: u64 = 3000;
/// With these a run takes more than a second.
const SLOWLY: [&str; 4] = ["--rate-limit", "1500", "--batch-size", "100"];
/// Against a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn migrate(place: &Place, more: &[&str]) -> Command {
    let mut command = place.command(&["space", "migrate", "default"]);
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A run that is under way, slowly.
struct Run {
    child: Child,
}

impl Run {
    /// Starts one, and waits until something is done.
    fn begun(place: &Place, more: &[&str]) -> Self {
        let child = migrate(place, &SLOWLY).args(more).spawn().expect("haul starts");
        let records = || {
            let text = fs::read(place.space().join("migration/live.json")).ok()?;
            serde_json::from_slice::<Value>(&text).ok()?["done"]["records"].as_u64()
        };
        wait_for("the run to begin", || records().is_some_and(|records| records > 0));
        Self { child }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    fn end(self) -> Done {
        Done::of(self.child.wait_with_output().expect("it ends"))
    }
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fails unless the store is the same as one that was made at once.
#[track_caller]
fn assert_store_as_always(place: &Place) {
    let other = Place::with_space(NODES);
    other.space_run("migrate default").expect(0);
    let store = |place: &Place| tree(&place.space().join("dual-000001"));
    assert!(store(place) == store(&other), "the stores differ");
    assert_eq!(current(place), current(&other));
}

fn current(place: &Place) -> Vec<u8> {
    fs::read(place.space().join("CURRENT")).expect("a published store")
}
