//! Checkpoints of runs that take long for little.

use super::{NODES, migrate, wait_for};
use crate::support::place::Place;

#[test]
fn a_run_that_is_limited_has_a_checkpoint_after_ten_seconds() {
    let place = Place::with_space(NODES);
    // It would be under way for a minute, and is far from what makes a checkpoint by its size.
    let mut child =
        migrate(&place, &["--rate-limit", "50", "--batch-size", "10", "--progress", "none"]).spawn().unwrap();
    let records = || {
        let status = place.space_run("status default --json").expect(0).json();
        status["run"]["records"].as_u64().unwrap_or(0)
    };
    wait_for("a checkpoint", || records() > 0);
    assert!(child.try_wait().unwrap().is_none(), "it is still under way");
    let kept = records();
    child.kill().unwrap();
    child.wait().unwrap();
    let done = place.space_run("migrate default --progress json").expect(0);
    let before = format!("\"before\":{{\"records\":{kept},");
    assert!(kept < NODES && (done.stderr.contains(&before) || records() == NODES), "{kept}: {}", done.stderr);
    assert!(done.stderr.contains("\"resumed\":true"), "{}", done.stderr);
}
