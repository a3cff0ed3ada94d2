//! No database is more damaged than it was.

use std::collections::BTreeMap;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::upgrade::facts::{Baseline, ForeignKeyState, FtsState, Snapshot, foreign_key_state, fts_state};

/// Checks pages, keys and full-text indexes. The check of these with rank 1 is a command that looks like a change, so a
/// private copy gets it.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("integrity");
    let (mut orphans, mut stale, mut indexes) = (0, 0, 0);
    for file in files {
        check_stop(subject.control.stop)?;
        let copy = Snapshot::take(&file.path, subject.control.stop)?;
        let worse = file.plan.baseline.worse_state(copy.connection());
        for what in worse.map_err(|error| file.error("state of the database", error))? {
            findings.fault(file.file(), what);
        }
        let Baseline { foreign_keys, fts, .. } = &file.plan.baseline;
        match foreign_keys {
            ForeignKeyState::Violations(violations) => orphans += violations.values().sum::<u64>(),
            ForeignKeyState::Mismatch(what) => {
                let now = foreign_key_state(copy.connection()).map_err(|error| file.error("keys", error))?;
                let is_still = matches!(now, ForeignKeyState::Mismatch(_));
                findings.note(format!("{}: {what}, {}", file.file(), state(is_still)));
            }
        }
        let mut now = BTreeMap::new();
        if fts.values().any(|state| *state != FtsState::Consistent) {
            now = fts_state(copy.connection()).map_err(|error| file.error("full-text indexes", error))?;
        }
        for (name, _) in fts.iter().filter(|(_, state)| matches!(state, FtsState::Inconsistent(_))) {
            stale += 1;
            let is_still = now.get(name) != Some(&FtsState::Consistent);
            findings.note(format!("{}: {name} disagrees with its table, {}", file.file(), state(is_still)));
        }
        indexes += fts.len();
    }
    let figure = format!("before: {orphans} rows violate keys, {stale} of {indexes} full-text indexes are stale");
    let state = if findings.is_empty() { "nothing is worse now" } else { "worse now" };
    Ok(findings.with_figure(format!("{figure}; {state}")))
}

fn state(is_still: bool) -> &'static str {
    if is_still { "as before" } else { "and is repaired" }
}
