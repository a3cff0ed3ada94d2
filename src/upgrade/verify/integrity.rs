//! No database is more damaged than it was.

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::upgrade::backfill::FileFacts;
use crate::upgrade::facts::{Baseline, ForeignKeyState, FtsState, Health, Pages, Snapshot, fts_tables};

/// Checks pages, keys and full-text indexes. Returns what the databases are like now as well.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<(CheckResult, Vec<FileFacts>), Error> {
    let mut findings = Findings::new("integrity");
    let mut now = Vec::new();
    let (mut orphans, mut stale, mut indexes) = (0, 0, 0);
    for file in files {
        check_stop(subject.control.stop)?;
        let health = health(subject, file)?;
        for what in file.plan.baseline.worse_than(&health) {
            findings.fault(file.file(), what);
        }
        let pages = Pages::read(&file.connection).map_err(|error| file.error("its pages", error))?;
        let (pages, is_whole) = ((pages.count, pages.free), health.is_whole());
        now.push(FileFacts::new(&file.plan.member, pages, is_whole, &health.foreign_keys, &health.fts));
        let Baseline { foreign_keys, fts, .. } = &file.plan.baseline;
        match foreign_keys {
            ForeignKeyState::Violations(violations) => orphans += violations.values().sum::<u64>(),
            ForeignKeyState::Mismatch(what) => {
                let is_still = matches!(health.foreign_keys, ForeignKeyState::Mismatch(_));
                findings.note(format!("{}: {what}, {}", file.file(), state(is_still)));
            }
        }
        for (name, _) in fts.iter().filter(|(_, state)| matches!(state, FtsState::Inconsistent(_))) {
            stale += 1;
            let is_still = health.fts.get(name) != Some(&FtsState::Consistent);
            findings.note(format!("{}: {name} disagrees with its table, {}", file.file(), state(is_still)));
        }
        indexes += fts.len();
    }
    let figure = format!("before: {orphans} rows violate keys, {stale} of {indexes} full-text indexes are stale");
    let state = if findings.is_empty() { "nothing is worse now" } else { "worse now" };
    Ok((findings.with_figure(format!("{figure}; {state}")), now))
}

/// The check of a full-text index with rank 1 is a command that looks like a change, so a private copy gets it.
fn health(subject: &Subject<'_>, file: &Opened<'_>) -> Result<Health, Error> {
    let wrap = |error| file.error("state of the database", error);
    if fts_tables(&file.connection).map_err(wrap)?.is_empty() {
        return Health::read(&file.connection).map_err(wrap);
    }
    let copy = Snapshot::take(&file.path, subject.control.stop)?;
    Health::read(copy.connection()).map_err(wrap)
}

fn state(is_still: bool) -> &'static str {
    if is_still { "as before" } else { "and is repaired" }
}
