//! No database is more damaged than it was.

use rusqlite::Connection;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::upgrade::backfill::FileFacts;
use crate::upgrade::facts::{Baseline, ForeignKeyState, FtsState, Pages, Snapshot, foreign_key_state, fts_state};

/// Checks pages, keys and full-text indexes. The check of these with rank 1 is a command that looks like a change, so a
/// private copy gets it. Returns what the databases are like now as well.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<(CheckResult, Vec<FileFacts>), Error> {
    let mut findings = Findings::new("integrity");
    let mut now = Vec::new();
    let (mut orphans, mut stale, mut indexes) = (0, 0, 0);
    for file in files {
        check_stop(subject.control.stop)?;
        let copy = Snapshot::take(&file.path, subject.control.stop)?;
        let worse = file.plan.baseline.worse_state(copy.connection());
        for what in worse.map_err(|error| file.error("state of the database", error))? {
            findings.fault(file.file(), what);
        }
        now.push(facts(file, copy.connection()).map_err(|error| file.error("state of the database", error))?);
        let Baseline { foreign_keys, fts, .. } = &file.plan.baseline;
        match foreign_keys {
            ForeignKeyState::Violations(violations) => orphans += violations.values().sum::<u64>(),
            ForeignKeyState::Mismatch(what) => findings.note(format!("{}: {what}, as before", file.file())),
        }
        for (name, _) in fts.iter().filter(|(_, state)| matches!(state, FtsState::Inconsistent(_))) {
            stale += 1;
            findings.note(format!("{}: {name} disagrees with its table, as before", file.file()));
        }
        indexes += fts.len();
    }
    let figure = format!("before: {orphans} rows violate keys, {stale} of {indexes} full-text indexes are stale");
    let state = if findings.is_empty() { "nothing is worse now" } else { "worse now" };
    Ok((findings.with_figure(format!("{figure}; {state}")), now))
}

/// What expectations see of a database, in the form in which backfills see what it was like before.
fn facts(file: &Opened<'_>, copy: &Connection) -> rusqlite::Result<FileFacts> {
    let pages = Pages::read(&file.connection)?;
    let is_whole = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))? == "ok";
    let (keys, fts) = (foreign_key_state(copy)?, fts_state(copy)?);
    Ok(FileFacts::new(&file.plan.member, (pages.count, pages.free), is_whole, &keys, &fts))
}
