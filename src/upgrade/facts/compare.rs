//! Compares a database with its baseline.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::baseline::{Baseline, ForeignKeyState, FtsState};
use super::content::table_facts;
use super::foreign_keys::foreign_key_state;
use super::fts::fts_state;
use super::schema::{columns, tables};
use super::take::integrity;

impl Baseline {
    /// Leaves columns, as pairs of table and column, out of what is known of the tables. An upgrade that adds columns
    /// finds them if an earlier attempt has added them, and fills them: they are no old data.
    pub fn without_columns(mut self, connection: &Connection, added: &[(String, String)]) -> rusqlite::Result<Self> {
        for (table, facts) in &mut self.tables {
            let is_added = |column: &String| {
                added.iter().any(|(of, name)| of.eq_ignore_ascii_case(table) && name.eq_ignore_ascii_case(column))
            };
            let kept: Vec<_> = facts.columns.iter().filter(|column| !is_added(column)).cloned().collect();
            if kept.len() < facts.columns.len() {
                let bytes = facts.bytes;
                *facts = table_facts(connection, table, kept)?;
                facts.bytes = bytes;
            }
        }
        Ok(self)
    }

    /// Says how the rows of the tables differ from this baseline, over the columns that it knows. Tables that it does
    /// not know are no difference; those in `except` are not looked at.
    pub fn changed_rows(&self, connection: &Connection, except: &BTreeSet<String>) -> rusqlite::Result<Vec<String>> {
        let mut found = Vec::new();
        let there: BTreeSet<_> = tables(connection)?.into_iter().collect();
        for (table, facts) in self.tables.iter().filter(|(table, _)| !except.contains(*table)) {
            if !there.contains(table) {
                found.push(format!("table {table} is gone"));
                continue;
            }
            let known = columns(connection, table)?;
            if let Some(gone) = facts.columns.iter().find(|column| !known.contains(column)) {
                found.push(format!("column {table}.{gone} is gone"));
                continue;
            }
            let now = table_facts(connection, table, facts.columns.clone())?;
            if now.rows != facts.rows {
                found.push(format!("table {table} has {} rows, not {}", now.rows, facts.rows));
            } else if now.content_sha256 != facts.content_sha256 {
                found.push(format!("rows of table {table} have changed"));
            }
        }
        Ok(found)
    }

    /// Says what is worse than in this baseline.
    pub fn worse_than(&self, now: &Health) -> Vec<String> {
        let mut found = Vec::new();
        if now.integrity != self.integrity && !now.is_whole() {
            found.push(format!("integrity_check: {}", now.integrity.join("; ")));
        }
        found.extend(worse_keys(&self.foreign_keys, &now.foreign_keys));
        for (name, _) in self.fts.iter().filter(|(_, state)| **state == FtsState::Consistent) {
            match now.fts.get(name) {
                Some(FtsState::Consistent) => {}
                Some(FtsState::Inconsistent(error)) => found.push(format!("full-text index {name}: {error}")),
                None => found.push(format!("full-text index {name} is gone")),
            }
        }
        found
    }
}

/// What is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The rows of `PRAGMA integrity_check`: `["ok"]`, or what is wrong.
    pub integrity: Vec<String>,
    /// What `PRAGMA foreign_key_check` says.
    pub foreign_keys: ForeignKeyState,
    /// State of each full-text index, by name.
    pub fts: BTreeMap<String, FtsState>,
}

impl Health {
    /// Looks at a database. If it has full-text indexes, the connection must be one that may write.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            integrity: integrity(connection)?,
            foreign_keys: foreign_key_state(connection)?,
            fts: fts_state(connection)?,
        })
    }

    /// True if the check of the whole database has found nothing.
    pub fn is_whole(&self) -> bool {
        self.integrity == ["ok"]
    }
}

/// Says how the state of foreign keys is worse than before.
pub fn worse_keys(before: &ForeignKeyState, now: &ForeignKeyState) -> Option<String> {
    match (before, now) {
        (ForeignKeyState::Violations(before), ForeignKeyState::Violations(now)) => {
            let is_worse = |(key, count): &(&String, &u64)| **count > before.get(*key).copied().unwrap_or(0);
            let (key, count) = now.iter().find(is_worse)?;
            Some(format!("{count} rows violate the key {key}, {} did before", before.get(key).copied().unwrap_or(0)))
        }
        (ForeignKeyState::Violations(_), ForeignKeyState::Mismatch(error)) => Some(error.clone()),
        (ForeignKeyState::Mismatch(before), ForeignKeyState::Mismatch(now)) if before != now => Some(now.clone()),
        (ForeignKeyState::Mismatch(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (Connection, Baseline) {
        let connection = Connection::open_in_memory().unwrap();
        let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function("haul_form", 1, flags, |_| Ok("sql")).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF; CREATE TABLE p (id INTEGER PRIMARY KEY, a, added);
                 CREATE TABLE c (p REFERENCES p (id)); CREATE TABLE own (a);
                 CREATE VIRTUAL TABLE f USING fts5(a, content='p', content_rowid='id');
                 INSERT INTO p VALUES (1, 'x', NULL); INSERT INTO c VALUES (1), (2);
                 INSERT INTO f (f) VALUES ('rebuild');",
            )
            .unwrap();
        let added = [("P".to_owned(), "Added".to_owned())];
        let baseline = Baseline::take(&connection).unwrap().without_columns(&connection, &added).unwrap();
        (connection, baseline)
    }

    fn changes(sql: &str) -> Vec<String> {
        let (connection, baseline) = database();
        connection.execute_batch(sql).unwrap();
        let mut found = baseline.changed_rows(&connection, &["own".to_owned()].into()).unwrap();
        found.extend(baseline.worse_than(&Health::read(&connection).unwrap()));
        found
    }

    #[test]
    fn what_an_upgrade_may_do_is_no_difference() {
        let (_, baseline) = database();
        assert_eq!(baseline.tables["p"].columns, ["id", "a"]);
        assert!(baseline.tables["p"].bytes.is_some());
        for sql in [
            "",
            "UPDATE p SET added = 1; INSERT INTO own VALUES (1); CREATE TABLE new (a); ALTER TABLE p ADD COLUMN more",
            "UPDATE c SET rowid = rowid + 7",
        ] {
            assert!(changes(sql).is_empty(), "{sql}");
        }
    }

    #[test]
    fn what_it_may_not_do_is_found() {
        let cases = [
            ("DROP TABLE c", "table c is gone"),
            ("ALTER TABLE c RENAME COLUMN p TO q", "column c.p is gone"),
            ("INSERT INTO c VALUES (1)", "table c has 3 rows, not 2"),
            ("UPDATE c SET p = 1.0", "rows of table c have changed"),
            (
                "INSERT INTO own VALUES (1); CREATE TABLE d (p REFERENCES p (id)); INSERT INTO d VALUES (3)",
                "1 rows violate the key d -> p, 0 did before",
            ),
            (
                "CREATE TABLE d (p REFERENCES p (none)); INSERT INTO d VALUES (3)",
                "foreign key mismatch - \"d\" referencing \"p\"",
            ),
            ("DELETE FROM f WHERE rowid = 1", "full-text index f: database disk image is malformed"),
            ("DROP TABLE f", "full-text index f is gone"),
        ];
        for (sql, expected) in cases {
            assert_eq!(changes(sql), [expected], "{sql}");
        }
    }
}
