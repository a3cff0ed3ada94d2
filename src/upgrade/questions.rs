//! Asks a database for a number, without changing it.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::set::Member;
use super::values::{self, Values};
use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;

/// A number that a query gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The number; `None` if there is nothing that it could be about.
    pub value: Option<f64>,
    /// How many things it is about, if the query tells in a second column.
    pub sample: Option<u64>,
}

/// Opens a database for questions, with the functions of definitions.
pub fn open(path: &Path, values: &Values) -> Result<Connection, Error> {
    let connection = connect::open_for_read(path)?;
    values::register(&connection, values)?;
    Ok(connection)
}

/// Runs a query with one row. An empty result is a number without a value.
pub fn number(connection: &Connection, path: &Path, sql: &str) -> Result<Number, Error> {
    let read = |row: &Row<'_>| {
        let sample = if row.as_ref().column_count() > 1 { row.get::<_, Option<i64>>(1)? } else { None };
        Ok(Number { value: row.get(0)?, sample: sample.and_then(|count| u64::try_from(count).ok()) })
    };
    match connection.query_row(sql, [], read) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(Number { value: None, sample: None }),
        number => number.map_err(|error| engine_error(error).at(&connect::place(path))),
    }
}

/// Returns the primary file of a tier.
pub fn primary<'a>(members: &'a [Member], tier: &str) -> Option<&'a Member> {
    members.iter().find(|member| member.tier == tier && member.is_primary)
}

/// Returns the ratio of free pages to all pages of a database, from 0 to 1.
pub fn fragmentation(connection: &Connection, path: &Path) -> Result<f64, Error> {
    let sql = "SELECT CAST(freelist_count AS REAL) / max(page_count, 1) FROM pragma_freelist_count, pragma_page_count";
    Ok(number(connection, path, sql)?.value.unwrap_or(0.0))
}
