//! Faults of a store, for people.

use std::collections::BTreeMap;

use crate::cas::verify::{FAULTS_KEPT_MAX, VerifyFault};
use crate::cli::table::Table;
use crate::migration::units::count_text;

/// Faults that are shown; `--json` lists more.
const FAULTS_SHOWN_MAX: usize = 50;

/// Writes how many faults there are of each name, then the first of them.
pub fn write_faults(table: &mut Table, counts: &BTreeMap<&str, u64>, faults: &[VerifyFault]) {
    table.nested(|table| table.counts(counts.iter().map(|(name, count)| (name, *count))));
    let shown = faults.len().min(FAULTS_SHOWN_MAX);
    for VerifyFault { kind, path, text, .. } in &faults[..shown] {
        table.line(format_args!("{}: {path}: {text}", kind.severity().name()));
    }
    let hidden = counts.values().sum::<u64>().saturating_sub(shown as u64);
    if hidden > 0 {
        let listed = count_text(FAULTS_KEPT_MAX as u64);
        table.line(format_args!("… and {} more; --json lists up to {listed} in all", count_text(hidden)));
    }
}
