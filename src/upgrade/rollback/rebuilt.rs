//! Tables with another definition than in the snapshot: the rows of the two cannot be compared one by one, and those of
//! the new one do not fit into the old one.

use rusqlite::{Connection, OptionalExtension};

use super::statements::TableShape;
use crate::upgrade::facts::quoted;

/// Under which name the snapshot is attached.
pub const SNAPSHOT: &str = "snapshot";

/// Returns the name under which the rows of such a table are exported.
pub fn export_name(table: &str) -> String {
    format!("haul_rebuilt_{table}")
}

/// Returns true if the definition of a table has changed in another way than by columns that were added.
pub fn is_rebuilt(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let definition = |schema: &str| -> rusqlite::Result<Option<String>> {
        let sql = format!("SELECT sql FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ?1");
        connection.query_row(&sql, [table], |row| row.get(0)).optional()
    };
    Ok(match (definition(SNAPSHOT)?, definition("main")?) {
        (Some(old), Some(new)) => !is_extended(&old, &new),
        _ => false,
    })
}

/// Returns true if `new` is `old` with one text put in: SQLite adds a column to the text of a definition.
fn is_extended(old: &str, new: &str) -> bool {
    let equal = |pair: &(u8, u8)| pair.0 == pair.1;
    let from_start = old.bytes().zip(new.bytes()).take_while(equal).count();
    let from_end = old.bytes().rev().zip(new.bytes().rev()).take_while(equal).count();
    // Each added column is put in at the same place.
    from_start + from_end >= old.len()
}

/// Returns the definition of the table that takes the rows: columns without types and conditions.
pub fn definition(shape: &TableShape) -> String {
    let columns: Vec<_> = shape.columns.iter().map(|column| quoted(column)).collect();
    format!("CREATE TABLE IF NOT EXISTS {} ({});\n", quoted(&shape.name), columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_added_are_no_other_definition() {
        for (base, change, is_expected) in [
            ("CREATE TABLE t (a, b)", "", false),
            ("CREATE TABLE t (a, b)", "ALTER TABLE t ADD COLUMN c; ALTER TABLE t ADD COLUMN d DEFAULT 'x'", false),
            (
                "CREATE TABLE t (a, b, CHECK (a > 0))",
                "ALTER TABLE t ADD COLUMN c INTEGER; ALTER TABLE t ADD COLUMN d",
                false,
            ),
            ("CREATE TABLE t (a, b)", "DROP TABLE t; CREATE TABLE t (a, c)", true),
            ("CREATE TABLE t (a, b)", "CREATE TABLE n (a, b); DROP TABLE t; ALTER TABLE n RENAME TO t", true),
            ("CREATE TABLE t (a CHECK (a IN (1)))", "DROP TABLE t; CREATE TABLE t (a CHECK (a IN (2)))", true),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(&format!("ATTACH ':memory:' AS {SNAPSHOT}")).unwrap();
            connection.execute_batch(&base.replace("TABLE t", &format!("TABLE {SNAPSHOT}.t"))).unwrap();
            connection.execute_batch(&format!("{base}; {change}")).unwrap();
            assert_eq!(is_rebuilt(&connection, "t").unwrap(), is_expected, "{base}: {change}");
        }
    }
}
