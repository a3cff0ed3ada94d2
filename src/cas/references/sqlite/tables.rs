//! The tables of a database and their columns.

use rusqlite::{Connection, Error};

/// A table.
pub(super) struct Table {
    pub(super) name: String,
    /// True if a module has its content: it is searched, but not rewritten.
    pub(super) is_virtual: bool,
    /// The columns that have values of their own.
    pub(super) columns: Vec<String>,
    /// The columns that tell its rows apart, quoted; empty if none can be named.
    pub(super) key: Vec<String>,
}

/// Returns the tables, without those of SQLite and those that a virtual table has its content in.
pub(super) fn tables(connection: &Connection) -> Result<Vec<Table>, Error> {
    let mut statement = connection.prepare(
        "SELECT name, type = 'virtual', wr FROM pragma_table_list \
         WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, is_virtual, is_without_rowid) = row?;
        table(connection, name, is_virtual, is_without_rowid)
    })
    .collect()
}

fn table(connection: &Connection, name: String, is_virtual: bool, is_without_rowid: bool) -> Result<Table, Error> {
    let mut statement =
        connection.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid")?;
    let rows = statement.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let all: Vec<(String, u32, u32)> = rows.collect::<Result<_, _>>()?;
    let key = match is_without_rowid {
        true => {
            let mut key: Vec<_> = all.iter().filter(|column| column.1 > 0).collect();
            key.sort_by_key(|column| column.1);
            key.iter().map(|column| quoted(&column.0)).collect()
        }
        false => {
            let is_free = |rowid: &&str| !all.iter().any(|column| column.0.eq_ignore_ascii_case(rowid));
            ["rowid", "_rowid_", "oid"].iter().copied().find(is_free).map(str::to_owned).into_iter().collect()
        }
    };
    // The others are computed, or are arguments of a module.
    let columns = all.into_iter().filter(|column| column.2 == 0).map(|column| column.0).collect();
    Ok(Table { name, is_virtual, columns, key })
}

/// Returns a name as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
