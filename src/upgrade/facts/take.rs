//! Takes the baseline of a database.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::baseline::{Baseline, TableFacts};
use super::content::table_facts;
use super::foreign_keys::foreign_key_state;
use super::fts::fts_state;
use super::instants::instant_forms;
use super::pages::{Pages, object_bytes};
use super::schema::{columns, tables};

impl Baseline {
    /// Measures the database of a connection that may write, and changes nothing. The connection must have the function
    /// `haul_form`.
    pub fn take(connection: &Connection) -> rusqlite::Result<Self> {
        let bytes = object_bytes(connection);
        let bytes_of = |name: &str| bytes.as_ref().and_then(|bytes| bytes.get(name).copied());
        let integrity = integrity(connection)?;
        let mut facts = BTreeMap::new();
        for table in tables(connection)? {
            let columns = columns(connection, &table)?;
            let found = TableFacts { bytes: bytes_of(&table), ..table_facts(connection, &table, columns)? };
            facts.insert(table, found);
        }
        let fts = fts_state(connection)?;
        let pages = Pages::read(connection)?;
        Ok(Self {
            tables: facts,
            integrity,
            foreign_keys: foreign_key_state(connection)?,
            fts_bytes: fts.keys().filter_map(|name| Some((name.clone(), bytes_of(name)?))).collect(),
            fts,
            instant_forms: instant_forms(connection)?,
            pages: pages.count,
            free_pages: pages.free,
            page_bytes: pages.bytes,
            journal_mode: pages.journal_mode,
            encoding: pages.encoding,
        })
    }

    /// True if the check of the whole database has found nothing.
    pub fn is_whole(&self) -> bool {
        self.integrity == ["ok"]
    }
}

/// Returns the rows of `PRAGMA integrity_check`.
pub(super) fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("PRAGMA main.integrity_check")?.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::functions::FunctionFlags;

    use super::super::baseline::{ForeignKeyState, FtsState};
    use super::*;

    #[test]
    fn a_baseline_tells_what_is_there_and_what_is_wrong() {
        let connection = Connection::open_in_memory().unwrap();
        let flags = FunctionFlags::SQLITE_UTF8;
        connection.create_scalar_function("haul_form", 1, flags, |_| Ok("sql")).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 CREATE TABLE p (id INTEGER PRIMARY KEY, created_at TEXT);
                 CREATE TABLE c (p REFERENCES p (id)); INSERT INTO c VALUES (1), (2); INSERT INTO p VALUES (1, 'x');
                 CREATE VIRTUAL TABLE f USING fts5(created_at, content='p', content_rowid='id');",
            )
            .unwrap();
        let before = connection.total_changes();
        let baseline = Baseline::take(&connection).unwrap();
        assert_eq!(before, connection.total_changes());
        assert!(baseline.is_whole());
        let rows: Vec<_> = baseline.tables.iter().map(|(name, facts)| (name.as_str(), facts.rows)).collect();
        assert_eq!(rows, [("c", 2), ("p", 1)]);
        assert_eq!(baseline.tables["p"].columns, ["id", "created_at"]);
        assert!(baseline.tables["p"].bytes.unwrap() > 0 && baseline.fts_bytes["f"] > 0);
        assert_eq!(baseline.foreign_keys, ForeignKeyState::Violations([("c -> p".to_owned(), 1)].into()));
        assert!(matches!(baseline.fts["f"], FtsState::Inconsistent(_)), "{:?}", baseline.fts);
        assert_eq!(baseline.instant_forms, [("sql".to_owned(), 1)].into());
        let text = serde_json::to_string(&baseline).unwrap();
        assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline);
    }

    #[test]
    fn an_index_that_lacks_a_row_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sql = "CREATE TABLE t (a); CREATE INDEX i ON t (a) WHERE a > 1; INSERT INTO t VALUES (1), (2);
                   PRAGMA writable_schema = ON;
                   UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (a)' WHERE name = 'i';";
        Connection::open(file.path()).unwrap().execute_batch(sql).unwrap();
        let other = Connection::open(file.path()).unwrap();
        let found = Baseline::take(&other).unwrap();
        assert!(!found.is_whole() && found.integrity[0].contains('i'), "{:?}", found.integrity);
    }
}
