//! Full-text indexes, and whether they agree with what they index.

use std::collections::BTreeMap;

use rusqlite::{Connection, ErrorCode};

use super::baseline::FtsState;
use super::schema::quoted;

/// Returns the names of the full-text tables, each with true if it is of FTS5.
///
/// They are recognised by the hidden column that has the name of the table: the one that takes commands.
pub fn fts_tables(connection: &Connection) -> rusqlite::Result<Vec<(String, bool)>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual' ORDER BY name";
    let names: Vec<String> =
        connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for name in names {
        let hidden = hidden_columns(connection, &name)?;
        if hidden.contains(&name) {
            found.push((name, hidden.contains(&"rank".to_owned())));
        }
    }
    Ok(found)
}

/// Returns no column if the table is of a module that haul does not have.
fn hidden_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let read = || {
        let sql = "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 1";
        connection.prepare_cached(sql)?.query_map([table], |row| row.get(0))?.collect()
    };
    match read() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(Vec::new()),
        read => read,
    }
}

/// Returns the state of each full-text index.
///
/// Only the check with rank 1 compares the index with the table that it indexes. It is a command in the form of an
/// `INSERT`, so the connection must be one that may write; it writes nothing.
pub fn fts_state(connection: &Connection) -> rusqlite::Result<BTreeMap<String, FtsState>> {
    let mut states = BTreeMap::new();
    for (name, is_fts5) in fts_tables(connection)? {
        let table = quoted(&name);
        let command = match is_fts5 {
            true => format!("INSERT INTO main.{table} ({table}, rank) VALUES ('integrity-check', 1)"),
            false => format!("INSERT INTO main.{table} ({table}) VALUES ('integrity-check')"),
        };
        let state = match connection.execute_batch(&command) {
            Ok(()) => FtsState::Consistent,
            // Any answer of the index itself: that it is wrong, or that it cannot be read.
            Err(rusqlite::Error::SqliteFailure(error, message))
                if matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) =>
            {
                FtsState::Inconsistent(message.unwrap_or_else(|| error.to_string()))
            }
            Err(error) => return Err(error),
        };
        states.insert(name, state);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTY_TRIGGERS: &str = "
        CREATE TABLE patterns (id INTEGER PRIMARY KEY, title TEXT);
        CREATE VIRTUAL TABLE found USING fts5(title, content='patterns', content_rowid='id');
        CREATE TRIGGER ai AFTER INSERT ON patterns
        BEGIN INSERT INTO found(rowid, title) VALUES (new.id, new.title); END;
        CREATE TRIGGER au AFTER UPDATE ON patterns BEGIN UPDATE found SET title = new.title WHERE rowid = new.id; END;
        INSERT INTO patterns VALUES (1, 'one'), (2, 'two');";

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn a_stale_index_is_seen_that_the_check_of_the_database_does_not_see() {
        let connection = database(FAULTY_TRIGGERS);
        assert_eq!(fts_state(&connection).unwrap()["found"], FtsState::Consistent);
        connection.execute_batch("UPDATE patterns SET title = 'three' WHERE id = 1").unwrap();
        let found = fts_state(&connection).unwrap();
        assert!(matches!(&found["found"], FtsState::Inconsistent(_)), "{found:?}");
        let integrity: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        connection.execute_batch("INSERT INTO found(found) VALUES ('rebuild')").unwrap();
        assert_eq!(fts_state(&connection).unwrap()["found"], FtsState::Consistent);
    }

    #[test]
    fn tables_are_known_apart() {
        let connection = database(
            "CREATE VIRTUAL TABLE five USING fts5(a); CREATE VIRTUAL TABLE four USING fts4(a);
             CREATE VIRTUAL TABLE none USING fts5(a, content=''); CREATE VIRTUAL TABLE box USING rtree(id, x, y);",
        );
        let expected = [("five".to_owned(), true), ("four".to_owned(), false), ("none".to_owned(), true)];
        assert_eq!(fts_tables(&connection).unwrap(), expected);
        assert!(fts_state(&connection).unwrap().values().all(|state| *state == FtsState::Consistent));
    }
}
