//! The tables of a database, and the digest of all definitions.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

/// Returns a name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the names of the ordinary tables, sorted: none of SQLite's own, no virtual ones, none that hold the data of
/// virtual ones.
pub fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list \
               WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Returns the columns of a table or view, in order; none if there is no such table. Computed columns are left out.
pub fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1, 'main') ORDER BY cid";
    connection.prepare_cached(sql)?.query_map([table], |row| row.get(0))?.collect()
}

/// Returns the SHA-256 of the definitions of all objects, in hexadecimal digits. White space between words does not
/// count.
pub fn schema_sha256(connection: &Connection) -> rusqlite::Result<String> {
    let sql = "SELECT type, name, sql FROM sqlite_schema \
               WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut hasher = Sha256::new();
    while let Some(row) = rows.next()? {
        let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        for part in [kind, name, single_spaced(&sql)] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Returns bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the definition with one space for each stretch of white space that stands outside of quotes.
fn single_spaced(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut until = None;
    for character in sql.chars() {
        let is_space = until.is_none() && character.is_ascii_whitespace();
        match (until, character) {
            (Some(end), _) if character == end => until = None,
            (None, '\'' | '"' | '`') => until = Some(character),
            (None, '[') => until = Some(']'),
            _ => {}
        }
        match is_space {
            true if text.ends_with(' ') => {}
            true => text.push(' '),
            false => text.push(character),
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn only_ordinary_tables_are_listed() {
        let connection = database(
            "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT, \"od\"\"d\" TEXT, twice AS (id * 2));
             CREATE TABLE a (a); CREATE TABLE sqlitely (a); CREATE INDEX i ON a (a); CREATE VIEW v AS SELECT * FROM a;
             CREATE VIRTUAL TABLE f USING fts5(a); ANALYZE; CREATE TEMP TABLE t (a);",
        );
        assert_eq!(tables(&connection).unwrap(), ["a", "b", "sqlitely"]);
        assert_eq!(columns(&connection, "b").unwrap(), ["id", "od\"d"]);
        assert!(columns(&connection, "none").unwrap().is_empty());
        assert_eq!(quoted("od\"d"), "\"od\"\"d\"");
    }

    #[test]
    fn the_digest_is_that_of_definitions_and_not_of_white_space_or_rows() {
        let digest = |sql: &str| schema_sha256(&database(sql)).unwrap();
        let first = digest("CREATE TABLE a (a TEXT DEFAULT 'x  y', b); CREATE INDEX i ON a (a)");
        assert_eq!(first.len(), 64);
        assert_eq!(first, digest("CREATE TABLE a (a\n  TEXT DEFAULT 'x  y',\tb); CREATE INDEX i ON a (a); ANALYZE"));
        let others = [
            "CREATE TABLE a (a TEXT DEFAULT 'x y', b); CREATE INDEX i ON a (a)",
            "CREATE TABLE a (a TEXT DEFAULT 'x  y', b); CREATE INDEX i ON a (b)",
            "CREATE TABLE a (a TEXT DEFAULT 'x  y', b)",
        ];
        for other in others {
            assert_ne!(first, digest(other), "{other}");
        }
    }
}
