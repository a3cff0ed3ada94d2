//! Old tables hold the rows that they held, over their old columns.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::upgrade::facts::quoted;
use crate::upgrade::rebuild::pending;
use crate::upgrade::schema::{ObjectKind, group_actions, tracking};

/// Checks the rows of each old table by the digest of its content.
///
/// A table of the new release that an earlier attempt has left, or one of haul's own, may have got rows: it may not have
/// lost any. Tables that are rebuilt have a check of their own.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("old data");
    let (mut tables, mut rows) = (0, 0);
    for file in files {
        check_stop(subject.control.stop)?;
        let baseline = &file.plan.baseline;
        let growing = growing(subject, file)?;
        let rebuilt = rebuilt(subject, file)?;
        let except = growing.union(&rebuilt).cloned().collect();
        let changes = baseline.changed_rows(&file.connection, &except);
        for change in changes.map_err(|error| file.error("old rows", error))? {
            findings.fault(file.file(), change);
        }
        for table in &growing {
            let (before, wrap) = (baseline.tables[table].rows, |error| file.error(table, error));
            let now = count(&file.connection, table).map_err(wrap)?;
            if now < before {
                findings.fault(file.file(), format!("table {table} has {now} rows, not at least {before}"));
            }
        }
        let compared = || baseline.tables.iter().filter(|(table, _)| !rebuilt.contains(*table));
        tables += compared().count();
        rows += compared().map(|(_, facts)| facts.rows).sum::<u64>();
    }
    let state = if findings.is_empty() { "are as they were" } else { "were looked at" };
    Ok(findings.with_figure(format!("{rows} rows of {tables} old tables {state}")))
}

/// Returns the tables of the baseline that the upgrade writes to.
fn growing(subject: &Subject<'_>, file: &Opened<'_>) -> Result<BTreeSet<String>, Error> {
    let groups = group_actions(&file.connection, subject.definition, &file.plan.member)?;
    let tables = groups.iter().flat_map(|group| &group.actions).filter(|action| action.head.kind == ObjectKind::Table);
    let new: BTreeSet<String> = tables.map(|action| action.head.name.to_ascii_lowercase()).collect();
    let is_growing = |name: &&String| new.contains(&name.to_ascii_lowercase()) || tracking::is_own(name);
    Ok(file.plan.baseline.tables.keys().filter(is_growing).cloned().collect())
}

/// Returns the tables of the baseline that rebuilds change.
fn rebuilt(subject: &Subject<'_>, file: &Opened<'_>) -> Result<BTreeSet<String>, Error> {
    let rebuilds = pending(&file.connection, subject.definition, &file.plan.member, &file.plan.steps);
    let rebuilds = rebuilds.map_err(|error| file.error("rebuilds", error))?;
    let tables = rebuilds.iter().flat_map(|planned| &planned.rebuild.tables);
    let names: BTreeSet<String> = tables.map(|name| name.to_ascii_lowercase()).collect();
    let is_rebuilt = |name: &&String| names.contains(&name.to_ascii_lowercase());
    Ok(file.plan.baseline.tables.keys().filter(is_rebuilt).cloned().collect())
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM main.{}", quoted(table));
    connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}
