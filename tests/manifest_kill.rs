//! The real binary under `kill -9` while it replaces 5,000 manifests: none is ever half written, every original can be
//! had again, and the rerun ends in the bytes of an uninterrupted run.
#![allow(clippy::disallowed_methods, reason = "tests look at files directly")]

mod manifest_common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use manifest_common::{Files, NOW, Root, manifests};

const MANIFESTS: u64 = 5_000;
const KILLS: u32 = 50;
/// Slow enough that kills fall all over a run.
const RATE: &str = "8000";

fn arguments() -> [&'static str; 10] {
    let course = ["--rate-limit", RATE, "--checkpoint-interval", "600", "--batch-size", "50"];
    let [a, b, c, d, e, f] = course;
    ["--now", NOW, "--parallel-workers", "2", a, b, c, d, e, f]
}

/// A moment within a run, by the number of the kill: spread over all of it, in no order.
fn moment(kill: u32) -> Duration {
    Duration::from_millis(u64::from(kill) * 179 % 613)
}

fn check(root: &Root, old: &Files, new: &Files, kill: u32) -> u64 {
    let found = root.files();
    let mut replaced = 0;
    for (path, before) in old {
        let now = &found[path];
        assert!(now == before || *now == new[path], "kill {kill}: {} is neither old nor new", path.display());
        if now != before {
            replaced += 1;
            let directory = path.parent().unwrap_or(Path::new(""));
            let beside = found.range(directory.to_path_buf()..).take_while(|(other, _)| other.starts_with(directory));
            let has_backup = beside.into_iter().any(|(_, file)| file == before);
            assert!(has_backup, "kill {kill}: the original of {} is lost", path.display());
        }
    }
    replaced
}

#[test]
fn fifty_kills_never_leave_half_a_manifest_and_the_rerun_ends_the_same() {
    let root = Root::generated(MANIFESTS);
    let old = manifests(&root.files());
    let reference = Root::generated(MANIFESTS);
    reference.haul("migrate", &["--now", NOW]).expect(0);
    let expected = reference.files();
    let new = manifests(&expected);

    let (mut kills, mut stages) = (0, BTreeSet::new());
    let mut current = root;
    while kills < KILLS {
        let mut child = current.command("migrate", &arguments()).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(moment(kills));
        let alive = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u32::from(alive);
        stages.insert(check(&current, &old, &new, kills));
        if !alive || kills % 10 == 0 {
            current.haul("migrate", &arguments()).expect(0);
            assert_eq!(current.files(), expected, "after {kills} kills");
            let ledger = current.haul("verify", &["--json"]).expect(0).json();
            assert_eq!(ledger["ledger_files"], ledger["backups"], "{ledger}");
            current = Root::generated(MANIFESTS);
        }
    }
    assert!(stages.len() > 5, "kills fell on {stages:?} replaced files only");
}
