//! Whether a database still is what was measured before.

use rusqlite::Connection;

use crate::upgrade::facts::{columns, table_facts, tables};
use crate::upgrade::plan::{Baseline, TableFacts};

/// Returns how the content of a database differs from what was measured; `None` if it is the same: the same tables with
/// the same rows over the columns that were measured.
pub fn content_difference(connection: &Connection, measured: &Baseline) -> rusqlite::Result<Option<String>> {
    let names = tables(connection)?;
    if let Some(gone) = measured.tables.keys().find(|name| !names.contains(name)) {
        return Ok(Some(format!("table {gone} is gone")));
    }
    for name in names {
        let Some(before) = measured.tables.get(&name) else {
            return Ok(Some(format!("table {name} is new")));
        };
        let known = columns(connection, &name)?;
        if let Some(gone) = before.columns.iter().find(|column| !known.contains(column)) {
            return Ok(Some(format!("column {name}.{gone} is gone")));
        }
        let now = table_facts(connection, &name, before.columns.clone())?;
        if let Some(what) = table_difference(&name, before, &now) {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// Returns how two measurements of a database differ: in content, in what is wrong with it, or in its indexes of text.
/// The layout of its pages is no difference.
pub fn difference(before: &Baseline, now: &Baseline) -> Option<String> {
    if let Some(gone) = before.tables.keys().find(|name| !now.tables.contains_key(*name)) {
        return Some(format!("table {gone} is gone"));
    }
    if let Some(new) = now.tables.keys().find(|name| !before.tables.contains_key(*name)) {
        return Some(format!("table {new} is new"));
    }
    let of_tables = before.tables.iter().find_map(|(name, facts)| table_difference(name, facts, &now.tables[name]));
    of_tables
        .or_else(|| changed("integrity_check", &before.integrity, &now.integrity))
        .or_else(|| changed("foreign_key_check", &before.foreign_keys, &now.foreign_keys))
        .or_else(|| changed("the check of full-text indexes", &before.fts, &now.fts))
}

fn changed<T: PartialEq + std::fmt::Debug>(what: &str, before: &T, now: &T) -> Option<String> {
    (before != now).then(|| format!("{what}: {now:?}, was {before:?}"))
}

fn table_difference(name: &str, before: &TableFacts, now: &TableFacts) -> Option<String> {
    if before.columns != now.columns {
        return Some(format!("table {name} has other columns: {}", now.columns.join(", ")));
    }
    if before.rows != now.rows {
        return Some(format!("table {name} has {} rows, it had {}", now.rows, before.rows));
    }
    (before.content_sha256 != now.content_sha256).then(|| format!("rows of table {name} have changed"))
}
