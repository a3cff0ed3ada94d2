//! Kills the real binary with `kill -9` while it replaces 5,000 manifests: no manifest is ever half written, each
//! original can be restored, and the next run gives the bytes of an uninterrupted one.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::manifest::{Files, NOW, Root, manifests};

const MANIFESTS: u64 = 5_000;
/// Number of trees, and of kills for each tree.
const TREES: u64 = 6;
const KILLS: u64 = 10;
/// Arguments that make a run slow, with a dozen groups, so that kills hit all parts of it.
const RATE: &str = "2000";

fn arguments() -> [&'static str; 10] {
    let course = ["--rate-limit", RATE, "--checkpoint-interval", "600", "--batch-size", "50"];
    let [a, b, c, d, e, f] = course;
    ["--now", NOW, "--parallel-workers", "2", a, b, c, d, e, f]
}

fn ledger_bytes(root: &Root) -> u64 {
    std::fs::metadata(root.path().join("migration/ledger.jsonl")).map_or(0, |metadata| metadata.len())
}

/// Starts a run and kills it `delay` after its ledger has the given length. Returns false if the run ended before.
fn killed(root: &Root, at_bytes: u64, delay: Duration) -> bool {
    let mut child = root.command("migrate", &arguments()).stdout(Stdio::null()).spawn().unwrap();
    while ledger_bytes(root) < at_bytes && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(500));
    }
    thread::sleep(delay);
    let is_alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    is_alive
}

fn check(root: &Root, old: &Files, new: &Files, kill: u64) -> u64 {
    let found = root.files();
    let mut replaced = 0;
    for (path, before) in old {
        let now = &found[path];
        assert!(now == before || *now == new[path], "kill {kill}: {} is neither old nor new", path.display());
        if now != before {
            replaced += 1;
            let directory = path.parent().unwrap_or(Path::new(""));
            let siblings = found.range(directory.to_path_buf()..).take_while(|(other, _)| other.starts_with(directory));
            let has_backup = siblings.into_iter().any(|(_, file)| file == before);
            assert!(has_backup, "kill {kill}: the original of {} is lost", path.display());
        }
    }
    replaced
}

#[test]
fn fifty_kills_never_leave_half_a_manifest_and_the_rerun_ends_the_same() {
    let old = manifests(&Root::generated(MANIFESTS).files());
    let reference = Root::generated(MANIFESTS);
    reference.haul("migrate", &["--now", NOW]).expect(0);
    let expected = reference.files();
    let new = manifests(&expected);

    let whole_bytes = ledger_bytes(&reference);
    let (mut kills, mut stages) = (0, BTreeSet::new());
    for tree in 0..TREES {
        let root = Root::generated(MANIFESTS);
        for kill in 0..KILLS {
            // Kills are spread over the whole run, and differ from tree to tree.
            let at_bytes = whole_bytes * (kill * TREES + tree) / (KILLS * TREES);
            let delay = Duration::from_millis((tree * KILLS + kill) * 7 % 23);
            kills += u64::from(killed(&root, at_bytes, delay));
            stages.insert(check(&root, &old, &new, kills));
        }
        root.haul("migrate", &arguments()).expect(0);
        assert_eq!(root.files(), expected, "after {kills} kills");
        let ledger = root.haul("verify", &["--json"]).expect(0).json();
        assert_eq!(ledger["ledger_files"], ledger["backups"], "{ledger}");
    }
    println!("{kills} kills, at {stages:?} of {MANIFESTS} replaced");
    assert!(kills >= 50, "only {kills} kills hit a run");
    assert!(stages.len() > 10, "kills fell on {stages:?} replaced files only");
}

#[test]
fn a_second_run_names_the_first_and_the_first_goes_on() {
    let root = Root::generated(1_000);
    let slow = ["--now", NOW, "--rate-limit", "100"];
    let mut first = root.command("migrate", &slow).stdout(Stdio::null()).spawn().unwrap();
    let lock = root.path().join("migration/lock");
    let owner = format!("pid {}", first.id());
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&owner)) {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended before it had the lock");
        thread::sleep(Duration::from_millis(5));
    }
    let second = root.haul("migrate", &["--now", NOW]).expect(75);
    assert!(second.stderr.contains(&owner), "{}", second.stderr);
    assert!(first.try_wait().unwrap().is_none(), "the first run is not disturbed");
    first.kill().unwrap();
    first.wait().unwrap();
    root.haul("migrate", &["--now", NOW]).expect(0);
    root.haul("verify", &[]).expect(0);
}
