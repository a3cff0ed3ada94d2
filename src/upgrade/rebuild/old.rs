//! What there was of the tables of a rebuild and has to be there again: columns, indexes, triggers, and the numbers that
//! AUTOINCREMENT has given.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::quotes::with_old_quotes;
use crate::migration::Error;
use crate::upgrade::definition::Rebuild;
use crate::upgrade::facts::{columns, quoted};
use crate::upgrade::schema::Place;

/// Returns true if a table is among these.
pub fn is_listed(tables: &[String], table: &str) -> bool {
    tables.iter().any(|listed| listed.eq_ignore_ascii_case(table))
}

/// What there was of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Old {
    /// The columns of each table that was there.
    columns: BTreeMap<String, Vec<String>>,
    /// Type, name and definition of indexes and then triggers.
    objects: Vec<(String, String, String)>,
    /// The highest number that was given, by table.
    sequences: Vec<(String, i64)>,
}

impl Old {
    /// Reads it.
    pub fn of(connection: &Connection, tables: &[String]) -> rusqlite::Result<Self> {
        let mut old = Self::default();
        let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY type, rowid";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name, table, sql): (String, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            match kind.as_str() {
                _ if !is_listed(tables, &table) => {}
                "table" => drop(old.columns.insert(name.clone(), columns(connection, &name)?)),
                _ => old.objects.push((kind, name, sql)),
            }
        }
        if has_sequences(connection)? {
            let mut statement =
                connection.prepare("SELECT name, seq FROM main.sqlite_sequence WHERE seq IS NOT NULL")?;
            let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let all: Vec<(String, i64)> = all.collect::<Result<_, _>>()?;
            old.sequences = all.into_iter().filter(|(table, _)| is_listed(tables, table)).collect();
        }
        Ok(old)
    }

    /// Makes indexes and triggers again that are gone, keeps the highest numbers, and refuses the loss of anything that
    /// the rebuild does not name as gone.
    pub fn put_back(&self, connection: &Connection, rebuild: &Rebuild, place: &Place) -> Result<(), Error> {
        let is_gone = |name: &str| is_listed(&rebuild.gone, name);
        for (kind, name, sql) in &self.objects {
            let wrap = |error| place.error(&format!("{kind} {name} cannot be made again"), error);
            if !is_gone(name) && !exists(connection, kind, name).map_err(wrap)? {
                with_old_quotes(connection, || connection.execute_batch(sql)).map_err(wrap)?;
            }
        }
        for (table, old) in &self.columns {
            let wrap = |error| place.error(table, error);
            let now = columns(connection, table).map_err(wrap)?;
            let is_lost = |column: &&String| !is_listed(&now, column) && !is_gone(&format!("{table}.{column}"));
            if now.is_empty() && !is_gone(table) {
                return Err(place.unfit(format!("{}: table {table} is gone", rebuild.name)));
            }
            if let Some(lost) = old.iter().find(is_lost).filter(|_| !now.is_empty()) {
                return Err(place.unfit(format!("{}: column {table}.{lost} is gone", rebuild.name)));
            }
            if !now.is_empty() {
                prepare_changes(connection, table, &now[0]).map_err(wrap)?;
            }
        }
        self.sequences.iter().try_for_each(|(table, seq)| {
            keep_sequence(connection, table, *seq).map_err(|error| place.error("sqlite_sequence", error))
        })
    }
}

fn exists(connection: &Connection, kind: &str, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE type = ?1 AND name = ?2 COLLATE NOCASE";
    connection.query_row(sql, [kind, name], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

fn has_sequences(connection: &Connection) -> rusqlite::Result<bool> {
    exists(connection, "table", "sqlite_sequence")
}

/// Compiles an insertion, a change and a removal, and with each the triggers of the table: SQLite makes a trigger without
/// looking at the names in it.
fn prepare_changes(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
    let (table, column) = (quoted(table), quoted(column));
    with_old_quotes(connection, || {
        for sql in [
            format!("INSERT INTO main.{table} DEFAULT VALUES"),
            format!("UPDATE main.{table} SET {column} = {column}"),
            format!("DELETE FROM main.{table}"),
        ] {
            connection.prepare(&sql)?;
        }
        Ok(())
    })
}

/// AUTOINCREMENT gives no number again, also none of a row that is long gone.
fn keep_sequence(connection: &Connection, table: &str, seq: i64) -> rusqlite::Result<()> {
    let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let definition: Option<String> = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
    let numbers = definition.is_some_and(|sql| sql.to_ascii_lowercase().contains("autoincrement"));
    if !numbers {
        return Ok(());
    }
    let update = "UPDATE main.sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1 COLLATE NOCASE";
    if connection.execute(update, (table, seq))? == 0 {
        connection.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)", (table, seq))?;
    }
    Ok(())
}
