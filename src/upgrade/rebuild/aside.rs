//! Views and triggers that are taken away while tables are dropped and renamed: SQLite renames no table as long as one of
//! them names a table that is not there.

use rusqlite::Connection;

use super::old::is_listed;
use super::quotes::with_old_quotes;
use crate::migration::Error;
use crate::upgrade::facts::quoted;
use crate::upgrade::schema::Place;

/// Definitions of views and triggers, in the order in which they are made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Names of the views.
    views: Vec<String>,
    /// Type, name and definition.
    objects: Vec<(String, String, String)>,
}

impl Aside {
    /// Takes away all views, and the triggers of tables other than `tables`. A view that cannot be read is an error: it
    /// would be one afterwards too, and nobody could tell why.
    pub fn take(connection: &Connection, tables: &[String], place: &Place) -> Result<Self, Error> {
        let wrap = |error| place.error("views and triggers", error);
        let views = views(connection).map_err(wrap)?;
        if let Some(broken) = broken_view(connection, &views).map_err(wrap)? {
            return Err(place.bad_data(format!("{broken}: drop it, or mend it, before tables are rebuilt")));
        }
        let objects = take(connection, tables).map_err(wrap)?;
        Ok(Self { views, objects })
    }

    /// Makes them again, and reads every view.
    pub fn put_back(&self, connection: &Connection, place: &Place) -> Result<(), Error> {
        let wrap = |error| place.error("views and triggers", error);
        for (kind, name, sql) in &self.objects {
            let made = with_old_quotes(connection, || connection.execute_batch(sql));
            made.map_err(|error| place.error(&format!("{kind} {name} cannot be made again"), error))?;
        }
        match broken_view(connection, &self.views).map_err(wrap)? {
            Some(broken) => Err(place.bad_data(format!("after the rebuild, {broken}"))),
            None => Ok(()),
        }
    }
}

fn views(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'view' ORDER BY rowid";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Says which view cannot be read, and why.
fn broken_view(connection: &Connection, views: &[String]) -> rusqlite::Result<Option<String>> {
    with_old_quotes(connection, || {
        let broken = views.iter().find_map(|view| {
            let read = connection.prepare(&format!("SELECT * FROM main.{}", quoted(view)));
            read.err().map(|error| format!("view {view} cannot be read: {error}"))
        });
        Ok(broken)
    })
}

fn take(connection: &Connection, tables: &[String]) -> rusqlite::Result<Vec<(String, String, String)>> {
    // A view of this connection may name a table too; phase 3 makes it again.
    let temporary = "SELECT name FROM temp.sqlite_schema WHERE type = 'view'";
    let names: Vec<String> =
        connection.prepare(temporary)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP VIEW temp.{}", quoted(name))))?;
    let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') \
               ORDER BY type = 'trigger', rowid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let all: Vec<(String, String, String, String)> = rows.collect::<Result<_, _>>()?;
    drop(statement);
    let is_aside = |(kind, _, table, _): &(String, String, String, String)| kind == "view" || !is_listed(tables, table);
    let all: Vec<_> = all.into_iter().filter(is_aside).map(|(kind, name, _, sql)| (kind, name, sql)).collect();
    // Triggers first: a view takes its own with it.
    for (kind, name, _) in all.iter().rev() {
        connection.execute_batch(&format!("DROP {kind} main.{}", quoted(name)))?;
    }
    Ok(all)
}
