//! Temporary views that hide the differences between shapes.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use crate::db::sqlite::connect::place;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;
use crate::upgrade::definition::Definition;

/// Creates the views of a tier for a file of a shape. They end with the connection. Views of the same names are replaced.
pub fn create_views(connection: &Connection, definition: &Definition, tier: &str, shape: &str) -> Result<(), Error> {
    let create = || {
        let tables = tables(connection)?;
        for view in definition.views.iter().filter(|view| view.tier == tier) {
            let name = &view.name;
            connection.execute_batch(&format!("DROP VIEW IF EXISTS temp.\"{name}\""))?;
            if let Some(sql) = view.select_for(shape, |table| tables.contains(&table.to_ascii_lowercase())) {
                connection.execute_batch(&format!("CREATE TEMP VIEW \"{name}\" AS {sql}"))?;
            }
        }
        Ok(())
    };
    create().map_err(|error: rusqlite::Error| {
        engine_error(error).at(&place(Path::new(connection.path().unwrap_or_default())))
    })
}

/// Returns the names of the tables in small letters.
fn tables(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}
