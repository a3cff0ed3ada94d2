//! Faults of a store, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cas::verify::{FAULTS_KEPT_MAX, VerifyFault};
use crate::migration::exit;
use crate::migration::units::count_text;

/// Faults that are shown; `--json` lists more.
const FAULTS_SHOWN_MAX: usize = 50;

/// What the system is told of a store that was read: what is wrong in it is bad data.
pub fn exit_code(stopped: bool, errors: u64) -> u8 {
    match (stopped, errors) {
        (true, _) => exit::TEMPORARY,
        (false, 0) => exit::OK,
        (false, _) => exit::BAD_DATA,
    }
}

/// Appends how many there are by name, and the first of them.
pub fn push_faults(text: &mut String, counts: &BTreeMap<&str, u64>, faults: &[VerifyFault]) -> std::fmt::Result {
    for (name, count) in counts {
        writeln!(text, "  {name:<28}{:>16}", count_text(*count))?;
    }
    let shown = faults.len().min(FAULTS_SHOWN_MAX);
    for VerifyFault { kind, path, text: what, .. } in &faults[..shown] {
        writeln!(text, "{}: {path}: {what}", kind.severity().name())?;
    }
    let hidden = counts.values().sum::<u64>().saturating_sub(shown as u64);
    if hidden > 0 {
        let listed = count_text(FAULTS_KEPT_MAX as u64);
        writeln!(text, "and {} more; --json lists up to {listed} in all", count_text(hidden))?;
    }
    Ok(())
}
