//! The real binary under `kill -9`: whatever the moment, and twice in a row, the rerun ends in the same bytes.
#![allow(clippy::disallowed_methods, reason = "tests remove their targets directly")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::tree;

const NODES: u64 = 6_000;
const KILLS: u32 = 50;
/// Records a second: slow enough that the checkpoint interval, not its shortest time, decides how much can be lost.
const RATE: u64 = 10_000;
const INTERVAL_RECORDS: u64 = 4_000;
const BATCH_RECORDS: u64 = 250;

fn haul() -> Command {
    Command::new(env!("CARGO_BIN_EXE_haul"))
}

fn migrate(space: &Path) -> Command {
    let mut command = haul();
    command
        .args(["space", "migrate", "--space"])
        .arg(space)
        .args(["--progress", "json", "--parallel-workers", "2"])
        .args(["--rate-limit", &RATE.to_string()])
        .args(["--checkpoint-interval", &INTERVAL_RECORDS.to_string()])
        .args(["--batch-size", &BATCH_RECORDS.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// A small generator of random moments; its seed is printed by the test.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Lets a run go on until `events` lines of progress have come, then for `delay`, and kills it. The records that it had
/// written by then, and whether it was killed before it ended by itself.
fn killed(mut child: Child, events: u64, delay: Duration) -> (u64, bool) {
    let stderr = child.stderr.take().expect("a pipe");
    let (sender, receiver) = mpsc::channel();
    let lines = thread::spawn(move || {
        let mut written = 0;
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["event"] == "phase_started" && event["phase"] != "run" {
                // Later phases count records again.
                let _ = sender.send(());
                break;
            }
            if event["event"] == "batch_written" {
                written += event["records"].as_u64().unwrap_or(0);
            }
            let _ = sender.send(());
        }
        written
    });
    for _ in 0..events {
        if receiver.recv().is_err() {
            break;
        }
    }
    thread::sleep(delay);
    let alive = child.try_wait().expect("a status").is_none();
    child.kill().expect("a kill");
    child.wait().expect("an end");
    drop(receiver);
    (lines.join().expect("the lines"), alive)
}

/// Records that the checkpoint holds.
fn durable_records(space: &Path) -> u64 {
    let output = haul().args(["space", "status", "--json", "--space"]).arg(space).output().expect("a status");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    status["records"].as_u64().unwrap_or(0)
}

fn discard_target(space: &Path) {
    for name in ["migration", "dual-000001"] {
        let _ = fs::remove_dir_all(space.join(name));
    }
    let _ = fs::remove_file(space.join("CURRENT"));
}

#[test]
fn fifty_kills_at_random_moments_end_in_the_same_store() {
    let directory = tempfile::tempdir().unwrap();
    let space = directory.path().join("default");
    let nodes = NODES.to_string();
    let generated = haul().args(["space", "generate", "--nodes", &nodes, "--seed", "7"]).arg(&space).output().unwrap();
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let source = tree(&space.join("wal"));
    assert!(migrate(&space).output().unwrap().status.success());
    let reference = tree(&space.join("dual-000001"));
    discard_target(&space);

    let mut moments = Moments(0x6861_756c);
    let (mut kills, mut lost_max, mut completed) = (0, 0, 0);
    while kills < KILLS {
        let in_a_row = 1 + moments.below(3);
        for _ in 0..in_a_row {
            let before = durable_records(&space);
            let events = moments.below(40);
            let delay = Duration::from_millis(moments.below(40));
            let (written, alive) = killed(migrate(&space).spawn().unwrap(), events, delay);
            let durable = durable_records(&space);
            assert!(durable >= before, "a checkpoint went back from {before} to {durable} records");
            lost_max = lost_max.max((before + written).saturating_sub(durable));
            kills += u32::from(alive);
        }
        let end = migrate(&space).output().unwrap();
        assert!(end.status.success(), "{}", String::from_utf8_lossy(&end.stderr));
        assert_eq!(tree(&space.join("dual-000001")), reference, "after {kills} kills");
        assert_eq!(fs::read_to_string(space.join("CURRENT")).unwrap().trim(), "dual-000001");
        assert_eq!(tree(&space.join("wal")), source);
        completed += 1;
        discard_target(&space);
    }
    println!("{kills} kills, {completed} runs completed, at most {lost_max} records lost by one kill");
    // One interval, unless the disk takes longer for a commit than the records of half an interval take to come.
    assert!(lost_max <= 2 * INTERVAL_RECORDS, "{lost_max} records lost by one kill");
}
