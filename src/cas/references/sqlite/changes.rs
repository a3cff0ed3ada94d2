//! Rewrites the rows of a database inside a transaction, and checks what came out.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Row, ToSql, params_from_iter};

use super::super::failure::RewriteFailure;
use super::super::resolve::{Resolution, Resolver};
use super::super::rewriter::Rewriter;
use super::connect::failure;
use super::search::{Content, Found};
use super::tables::{Table, quoted};
use crate::pipeline::StopToken;

/// A value of a row.
enum Value<'a> {
    Same(ValueRef<'a>),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, Error> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Same(value) => *value,
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Rewrites all tables in which references were found.
pub(super) fn apply(
    connection: &Connection,
    path: &Path,
    resolver: &mut Resolver<'_>,
    stop: &StopToken,
    found: &Found,
) -> Result<(), RewriteFailure> {
    for (table, columns) in &found.tables {
        let change = Change { connection, path, table, columns };
        let rows = change.collect(resolver, stop)?;
        let changed = change.update().map_err(|error| failure(path, error))?;
        if changed != rows {
            let name = &table.name;
            return Err(RewriteFailure::Refused(format!("table {name}: {rows} rows to change, {changed} changed")));
        }
    }
    Ok(())
}

/// The change of one table.
struct Change<'a> {
    connection: &'a Connection,
    path: &'a Path,
    table: &'a Table,
    columns: &'a [String],
}

impl Change<'_> {
    /// Writes the rows to change into a temporary table: a table must not be read while its rows move. Returns their
    /// number.
    fn collect(&self, resolver: &mut Resolver<'_>, stop: &StopToken) -> Result<usize, RewriteFailure> {
        let wrap = |error| failure(self.path, error);
        let names: Vec<_> = (0..self.table.key.len() + self.columns.len()).map(|n| format!("v{n}")).collect();
        let create =
            format!("DROP TABLE IF EXISTS temp.haul_changes; CREATE TEMP TABLE haul_changes ({})", names.join(", "));
        self.connection.execute_batch(&create).map_err(wrap)?;
        let places = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO temp.haul_changes VALUES ({places})");
        let mut insert = self.connection.prepare(&insert).map_err(wrap)?;
        let mut read = self.table.key.clone();
        read.extend(self.columns.iter().map(|column| quoted(column)));
        let select = format!("SELECT {} FROM main.{}", read.join(", "), quoted(&self.table.name));
        let mut select = self.connection.prepare(&select).map_err(wrap)?;
        let (mut rows, mut changed) = (select.query([]).map_err(wrap)?, 0);
        while let Some(row) = rows.next().map_err(wrap)? {
            if stop.is_requested() {
                return Err(RewriteFailure::Stopped);
            }
            if let Some(values) = self.rewritten(row, resolver)? {
                changed += insert.execute(params_from_iter(values)).map_err(wrap)?;
            }
        }
        Ok(changed)
    }

    /// Returns the key and the new values of a row, unless it stays as it is.
    fn rewritten<'r>(
        &self,
        row: &'r Row<'_>,
        resolver: &mut Resolver<'_>,
    ) -> Result<Option<Vec<Value<'r>>>, RewriteFailure> {
        let (mut values, mut is_changed) = (Vec::new(), false);
        for index in 0..self.table.key.len() + self.columns.len() {
            let old = row.get_ref(index).map_err(|error| failure(self.path, error))?;
            let new = if index < self.table.key.len() { None } else { rewritten_value(old, resolver)? };
            is_changed |= new.is_some();
            values.push(new.unwrap_or(Value::Same(old)));
        }
        Ok(is_changed.then_some(values))
    }

    /// Changes the rows, and returns how many.
    fn update(&self) -> Result<usize, Error> {
        let keys = self.table.key.len();
        let name = quoted(&self.table.name);
        let set = self.columns.iter().enumerate();
        let set: Vec<_> = set.map(|(n, column)| format!("{} = x.v{}", quoted(column), keys + n)).collect();
        let of = self.table.key.iter().enumerate();
        let of: Vec<_> = of.map(|(n, column)| format!("t.{column} = x.v{n}")).collect();
        self.connection.execute(
            &format!(
                "UPDATE main.{name} AS t SET {} FROM temp.haul_changes AS x WHERE {}",
                set.join(", "),
                of.join(" AND ")
            ),
            [],
        )
    }
}

fn rewritten_value<'r>(value: ValueRef<'r>, resolver: &mut Resolver<'_>) -> Result<Option<Value<'r>>, RewriteFailure> {
    match Content::of(value) {
        Content::Other => Ok(None),
        Content::Digest(key) => Ok(match resolver.resolve(None, key)? {
            Resolution::Replace { key, .. } => Some(Value::Blob(key.0.to_vec())),
            _ => None,
        }),
        Content::Text(text) => {
            let (mut rewriter, mut out) = (Rewriter::new(resolver), Vec::new());
            rewriter.push(text, &mut out)?;
            if rewriter.finish(&mut out)? == 0 {
                return Ok(None);
            }
            Ok(Some(if matches!(value, ValueRef::Blob(_)) { Value::Blob(out) } else { Value::Text(out) }))
        }
    }
}

/// Returns how many rows refer to a row that is not there.
pub(super) fn foreign_key_violations(connection: &Connection) -> Result<u32, Error> {
    connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
}

/// Checks the whole database, and that no more rows than before refer to one that is not there.
pub(super) fn check(connection: &Connection, path: &Path, violations_before: u32) -> Result<(), RewriteFailure> {
    let wrap = |error| failure(path, error);
    let violations = foreign_key_violations(connection).map_err(wrap)?;
    if violations > violations_before {
        let more = violations - violations_before;
        return Err(RewriteFailure::Refused(format!("foreign keys would no longer hold in {more} more rows")));
    }
    let fault: String = connection.query_row("PRAGMA main.integrity_check(1)", [], |row| row.get(0)).map_err(wrap)?;
    if fault != "ok" {
        return Err(RewriteFailure::Refused(format!("its integrity check says: {fault}")));
    }
    Ok(())
}
