//! What a group of statements may not change: objects that were there, their rows, and the state of foreign keys.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::form::column_lines;
use super::tracking::is_own;
use crate::upgrade::facts::{ForeignKeyState, foreign_key_state, quoted};

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    sql: String,
    /// The columns of a table.
    columns: Vec<(String, String)>,
    /// The rows of a table, or why they cannot be counted.
    rows: String,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldState {
    objects: BTreeMap<(String, String), Object>,
    foreign_keys: ForeignKeyState,
    quick_check: String,
}

impl OldState {
    /// Reads what is there. haul's own tables are left out.
    pub fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut objects = BTreeMap::new();
        let sql = "SELECT type, name, coalesce(sql, '') FROM main.sqlite_schema";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            let (kind, name, sql): (String, String, String) = row?;
            // The engine's own tables change with what is created.
            if is_own(&name) || name.starts_with("sqlite_") {
                continue;
            }
            let is_table = kind == "table" && !sql.to_ascii_lowercase().starts_with("create virtual");
            let (mut columns, mut rows) = (Vec::new(), String::new());
            if is_table {
                columns = column_lines(connection, &name)?;
                rows = count(connection, &name);
            }
            objects.insert((kind, name), Object { sql, columns, rows });
        }
        let quick_check = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(Self { objects, foreign_keys: foreign_key_state(connection)?, quick_check })
    }

    /// Says what of this is no longer so in `after`. Tables in `altered` may have further columns.
    pub fn change(&self, after: &Self, altered: &BTreeSet<String>) -> Option<String> {
        for (key @ (kind, name), object) in &self.objects {
            let Some(now) = after.objects.get(key) else { return Some(format!("{kind} {name} is gone")) };
            let may_grow = kind == "table" && altered.contains(&name.to_ascii_lowercase());
            if !(now.sql == object.sql || may_grow && now.columns.starts_with(&object.columns)) {
                return Some(format!("{kind} {name} has another definition"));
            }
            if now.rows != object.rows {
                return Some(format!("table {name} had {} rows and has {}", object.rows, now.rows));
            }
        }
        if after.foreign_keys != self.foreign_keys {
            return Some(format!("foreign keys: {:?} before, {:?} now", self.foreign_keys, after.foreign_keys));
        }
        let is_worse = self.quick_check == "ok" && after.quick_check != "ok";
        is_worse.then(|| format!("quick_check: {}", after.quick_check))
    }
}

fn count(connection: &Connection, table: &str) -> String {
    let sql = format!("SELECT count(*) FROM main.{}", quoted(table));
    let count = connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
    count.map_or_else(|error| error.to_string(), |count| count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_what_was_there_is_seen() {
        let base = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (a REFERENCES p(id)); CREATE INDEX i ON c (a); \
                    INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);";
        let altered: BTreeSet<String> = ["c".to_owned()].into();
        for (change, what) in [
            ("CREATE TABLE n (a); INSERT INTO n VALUES (1)", None),
            ("ALTER TABLE c ADD COLUMN b", None),
            ("ALTER TABLE p ADD COLUMN b", Some("table p has another definition")),
            ("ALTER TABLE c RENAME COLUMN a TO b", Some("index i has another definition")),
            ("DROP INDEX i", Some("index i is gone")),
            ("INSERT INTO c VALUES (NULL)", Some("table c had 1 rows and has 2")),
            ("UPDATE c SET a = 7", Some("foreign keys: Violations({}) before, Violations({\"c -> p\": 1}) now")),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            connection.execute_batch(base).unwrap();
            let before = OldState::of(&connection).unwrap();
            connection.execute_batch(change).unwrap();
            let found = before.change(&OldState::of(&connection).unwrap(), &altered);
            assert_eq!(found.as_deref(), what, "{change}");
        }
    }
}
