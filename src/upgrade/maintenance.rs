//! What maintenance of the databases would do. Nothing is applied.

use std::path::Path;

use rusqlite::Connection;

use super::questions::fragmentation;
use super::set::Member;
use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;

/// Free pages of all pages over which a database is compacted.
pub const FRAGMENTATION_MAX: f64 = 0.20;

/// Returns what maintenance would do, a line each: every database is at least analysed.
pub fn plan(members: &[Member]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for member in members {
        let connection = connect::open_for_read(&member.path)?;
        lines.extend(plan_of(&connection, &member.path)?.into_iter().map(|line| format!("{}: {line}", member.key)));
    }
    Ok(lines)
}

fn plan_of(connection: &Connection, path: &Path) -> Result<Vec<String>, Error> {
    let free = fragmentation(connection, path)?;
    let mut lines = Vec::new();
    if free > FRAGMENTATION_MAX {
        lines.push(format!("VACUUM: {:.0} % of its pages are free", free * 100.0));
    }
    lines.push("ANALYZE".to_owned());
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING%fts5%' ORDER BY 1";
    let names = || {
        let mut statement = connection.prepare(sql)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        names.collect::<Result<Vec<_>, _>>()
    };
    let names = names().map_err(|error| engine_error(error).at(&connect::place(path)))?;
    lines.extend(names.into_iter().map(|name| format!("rebuild of the full-text index {name}")));
    Ok(lines)
}
