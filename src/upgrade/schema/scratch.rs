//! Private databases in which definitions are built, to be compared or tried.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::tracking::is_own;
use crate::db::sqlite::connect;

/// Opens an empty database.
pub fn empty() -> rusqlite::Result<Connection> {
    let scratch = Connection::open_in_memory()?;
    connect::set_up(&scratch)?;
    Ok(scratch)
}

/// Copies the tables and views of a database without their rows. Virtual tables are left out, with what cannot be made
/// again.
pub fn schema_copy(connection: &Connection) -> rusqlite::Result<Connection> {
    let scratch = empty()?;
    // Old definitions may hold a text in double quotes.
    scratch.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, true)?;
    let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type IN ('table', 'view') AND sql IS NOT NULL \
               AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY type, rowid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for row in rows {
        let (name, sql) = row?;
        if !is_own(&name) {
            // A function or a collation of the application may be missing here. Nothing depends on it but a statement that
            // names the table, which then says that it is not there.
            let _ = scratch.execute_batch(&sql);
        }
    }
    scratch.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    Ok(scratch)
}
