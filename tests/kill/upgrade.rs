//! Kills the real binary with `kill -9` in every phase of an upgrade and in its rollback: all databases are old or all are
//! new, but for a switch that the next command completes, and no row of the old release is ever lost.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::killing::{Moments, haul, sampled_or_full};
use crate::support::cortex::{Content, contents, set};

/// Kills in `HAUL_CRASH_FULL`, and without it.
const KILLS: (u64, u64) = (110, 12);
const CONVERSATIONS: u32 = 400;
const MESSAGES: u32 = 10;

/// Runs a command to its end. Returns its exit code and its document.
fn done(verb: &str, directory: &Path) -> (i32, Value) {
    let mut command = haul();
    command.args(["upgrade", verb, "--json"]).arg(directory);
    if verb != "status" {
        command.arg("--yes");
    }
    let output = command.output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{verb}: {said}"));
    (output.status.code().expect("no signal"), document)
}

/// Starts a command and kills it after a while. False: it had ended before.
fn killed(verb: &str, directory: &Path, moments: &mut Moments, bound_ms: u64) -> bool {
    let mut command = haul();
    command.args(["upgrade", verb, "--yes", "--progress", "none"]).arg(directory);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary");
    std::thread::sleep(moments.delay_below(bound_ms));
    let is_alive = child.try_wait().expect("a status").is_none();
    child.kill().expect("a kill");
    child.wait().expect("an end");
    is_alive
}

/// Checks what a kill has left. Returns whether a switch was interrupted.
fn check(directory: &Path, before: &[Content]) -> bool {
    let (_, status) = done("status", directory);
    let is_interrupted = status["is_switch_interrupted"] == true;
    let now = contents(directory);
    for (now, before) in now.iter().zip(before) {
        assert_eq!(now.old_rows, before.old_rows);
    }
    let new = now.iter().filter(|content| content.is_new).count();
    assert!(new == 0 || new == now.len() || is_interrupted, "{new} of {} are new: {status}", now.len());
    is_interrupted
}

#[test]
fn kills_in_every_phase_leave_all_databases_old_or_all_new() {
    let mut moments = Moments::seeded();
    let (mut real, mut interrupted) = (0, 0);
    let directory = tempfile::tempdir().expect("a directory");
    set(directory.path(), CONVERSATIONS, MESSAGES);
    let before = contents(directory.path());
    // How long an undisturbed run takes here decides where the kills fall.
    let started = std::time::Instant::now();
    assert_eq!(done("run", directory.path()).0, 0);
    let run_ms = started.elapsed().as_millis() as u64 + 1;
    assert_eq!(done("rollback", directory.path()).0, 0);
    while real < sampled_or_full(KILLS.1, KILLS.0) {
        let directory = tempfile::tempdir().expect("a directory");
        set(directory.path(), CONVERSATIONS, MESSAGES);
        for _ in 0..1 + moments.below(3) {
            real += u64::from(killed("run", directory.path(), &mut moments, run_ms));
            interrupted += u64::from(check(directory.path(), &before));
        }
        let (code, end) = done("run", directory.path());
        assert_eq!(code, 0, "{end}");
        let now = contents(directory.path());
        assert!(now.iter().all(|content| content.is_new), "{now:?}");
        real += u64::from(killed("rollback", directory.path(), &mut moments, run_ms / 3));
        interrupted += u64::from(check(directory.path(), &before));
        let (code, end) = done("rollback", directory.path());
        assert_eq!(code, 0, "{end}");
        assert_eq!(contents(directory.path()), before);
    }
    println!("{real} kills, {interrupted} of them within a switch");
}
