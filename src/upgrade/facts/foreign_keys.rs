//! What `PRAGMA foreign_key_check` says, also where it fails.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::baseline::ForeignKeyState;

/// How SQLite begins the error of a key that names a column that does not exist or is not unique.
const MISMATCH: &str = "foreign key mismatch";

/// Returns the rows that violate a key, counted by child and parent: `messages -> conversations`; or the error of the
/// check.
pub fn foreign_key_state(connection: &Connection) -> rusqlite::Result<ForeignKeyState> {
    match violations(connection) {
        Ok(violations) => Ok(ForeignKeyState::Violations(violations)),
        Err(error) => match message(&error) {
            Some(message) if message.starts_with(MISMATCH) => Ok(ForeignKeyState::Mismatch(message.to_owned())),
            _ => Err(error),
        },
    }
}

fn violations(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare("PRAGMA main.foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (child, parent): (String, String) = (row.get(0)?, row.get(2)?);
        *found.entry(format!("{child} -> {parent}")).or_default() += 1;
    }
    Ok(found)
}

fn message(error: &rusqlite::Error) -> Option<&str> {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => Some(message),
        rusqlite::Error::SqlInputError { msg, .. } => Some(msg),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sql: &str) -> ForeignKeyState {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF; CREATE TABLE p (id INTEGER PRIMARY KEY, x)").unwrap();
        connection.execute_batch(sql).unwrap();
        foreign_key_state(&connection).unwrap()
    }

    #[test]
    fn orphans_are_counted_by_key() {
        let found = state(
            "CREATE TABLE c (p REFERENCES p (id)); CREATE TABLE d (p REFERENCES gone (id));
             INSERT INTO p (id) VALUES (1); INSERT INTO c VALUES (1), (2), (3), (NULL); INSERT INTO d VALUES (1);",
        );
        let expected = [("c -> p".to_owned(), 2), ("d -> gone".to_owned(), 1)];
        assert_eq!(found, ForeignKeyState::Violations(expected.into()));
        assert_eq!(state("CREATE TABLE c (p REFERENCES p (id))"), ForeignKeyState::Violations(BTreeMap::new()));
    }

    #[test]
    fn a_key_to_a_column_that_does_not_exist_is_named() {
        let found = state("CREATE TABLE c (p REFERENCES p (absent)); INSERT INTO c VALUES (1)");
        assert_eq!(found, ForeignKeyState::Mismatch("foreign key mismatch - \"c\" referencing \"p\"".into()));
    }
}
