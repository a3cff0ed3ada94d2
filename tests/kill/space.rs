//! The real binary under `kill -9`: whatever the moment, and twice in a row, the rerun ends in the same bytes.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::killing::{Moments, haul, killed};
use crate::support::files::tree;

const NODES: u64 = 6_000;
const KILLS: u32 = 50;
/// Records a second: slow enough that the checkpoint interval, not its shortest time, decides how much can be lost.
const RATE: u64 = 10_000;
const INTERVAL_RECORDS: u64 = 4_000;
const BATCH_RECORDS: u64 = 250;

fn migrate(space: &Path) -> Command {
    let mut command = haul();
    command
        .args(["space", "migrate", "--space"])
        .arg(space)
        .args(["--progress", "events", "--parallel-workers", "2"])
        .args(["--rate-limit", &RATE.to_string()])
        .args(["--checkpoint-interval", &INTERVAL_RECORDS.to_string()])
        .args(["--batch-size", &BATCH_RECORDS.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Lets a run go on until `events` lines of progress have come, then for `delay`, and kills it. The records that it had
/// written by then, and whether it was killed before it ended by itself.
fn killed_after(events: u64, delay: Duration, child: Child) -> (u64, bool) {
    let written = Arc::new(AtomicU64::new(0));
    let (sum, mut seen, mut is_running) = (Arc::clone(&written), 0, true);
    let is_alive = killed(child, delay, move |event| {
        // Later phases count records again.
        is_running &= event["event"] != "phase_started" || event["phase"] == "run";
        if is_running && event["event"] == "batch_written" {
            sum.fetch_add(event["records"].as_u64().unwrap_or(0), Relaxed);
        }
        seen += 1;
        seen > events || !is_running
    });
    (written.load(Relaxed), is_alive)
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

    let mut moments = Moments::seeded();
    let (mut kills, mut lost_max, mut completed) = (0, 0, 0);
    while kills < KILLS {
        let in_a_row = 1 + moments.below(3);
        for _ in 0..in_a_row {
            let before = durable_records(&space);
            let events = moments.below(40);
            let delay = Duration::from_millis(moments.below(40));
            let (written, alive) = killed_after(events, delay, migrate(&space).spawn().unwrap());
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
