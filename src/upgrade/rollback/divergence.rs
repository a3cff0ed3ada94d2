//! What was written to a database since its snapshot, as SQL that a shell of SQLite can read in: a rollback takes these
//! rows away, and this makes that reversible.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::rebuilt::{SNAPSHOT, definition, export_name, is_rebuilt};
use super::statements::TableShape;
use crate::migration::Error;
use crate::upgrade::facts::quoted;

/// Tables that only haul reads, and that say nothing once the upgrade is gone.
const NOT_EXPORTED: [&str; 2] = ["haul_steps", "haul_progress"];
const HEAD: &str = "-- Rows that were written since the snapshot. Read in with: sqlite3 DATABASE < FILE\n\
                    PRAGMA foreign_keys = OFF;\n\
                    -- Without this a row that is replaced would leave the full-text index wrong.\n\
                    PRAGMA recursive_triggers = ON;\n\
                    BEGIN;\n";
const END: &str = "COMMIT;\n";

/// What differs in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDivergence {
    /// The table.
    pub table: String,
    /// True if the snapshot does not have it.
    pub is_new: bool,
    /// Rows that were inserted or changed.
    pub written: u64,
    /// Rows that were deleted.
    pub deleted: u64,
    /// Why some of it could not be read: the file may be damaged, and it is rolled back all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Receives the text.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Error> + 'a;

/// Exports what differs between the database of `connection` and its snapshot, which is attached as [`SNAPSHOT`]. Old
/// tables are compared over their old columns, so what the upgrade has added to a row is no difference. Of a table that it
/// has rebuilt all rows are exported, for a table `haul_rebuilt_NAME`: read in, they change no old row.
///
/// # Errors
/// If the text cannot be written. What cannot be read is in [`TableDivergence::problem`].
pub fn export(
    connection: &Connection,
    secret_columns: &[String],
    sink: &mut Sink<'_>,
) -> Result<Vec<TableDivergence>, Error> {
    sink(HEAD.as_bytes())?;
    let mut found = Vec::new();
    let (old, new) = match (table_names(connection, SNAPSHOT), table_names(connection, "main")) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => {
            found.push(unreadable("sqlite_schema", error.to_string()));
            (Vec::new(), Vec::new())
        }
    };
    for table in old.iter().filter(|table| !new.contains(table)) {
        found.push(unreadable(table, "the table is gone".into()));
    }
    for table in new.iter().filter(|table| !NOT_EXPORTED.contains(&table.as_str())) {
        let is_new = !old.contains(table);
        let mut divergence = TableDivergence { table: table.clone(), is_new, written: 0, deleted: 0, problem: None };
        let mut export = Export { connection, sink, failed: None };
        let done = export.table(table, is_new, secret_columns, &mut divergence);
        if let Some(error) = export.failed {
            return Err(error);
        }
        divergence.problem = done.err().map(|error| error.to_string());
        found.push(divergence);
    }
    sink(END.as_bytes())?;
    Ok(found)
}

fn unreadable(table: &str, problem: String) -> TableDivergence {
    TableDivergence { table: table.to_owned(), is_new: false, written: 0, deleted: 0, problem: Some(problem) }
}

/// Returns the tables that hold rows of their own, without those of SQLite and of full-text indexes.
fn table_names(connection: &Connection, schema: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = ?1 AND type = 'table' AND name NOT LIKE 'sqlite\\_%' \
               ESCAPE '\\' ORDER BY name";
    connection.prepare(sql)?.query_map([schema], |row| row.get(0))?.collect()
}

struct Export<'a, 'b> {
    connection: &'a Connection,
    sink: &'a mut Sink<'b>,
    /// The error of the sink, which ends everything.
    failed: Option<Error>,
}

impl Export<'_, '_> {
    fn table(
        &mut self,
        table: &str,
        is_new: bool,
        secret_columns: &[String],
        found: &mut TableDivergence,
    ) -> rusqlite::Result<()> {
        if !is_new && is_rebuilt(self.connection, table)? {
            return self.rebuilt(table, secret_columns, found);
        }
        let shape = TableShape::read(self.connection, if is_new { "main" } else { SNAPSHOT }, table, secret_columns)?;
        let name = quoted(table);
        let head = shape.insert_head();
        let (literals, same_row) = (shape.literals("n"), shape.same_row("o", "n"));
        if is_new {
            self.definitions(table)?;
            found.written =
                self.rows(&format!("SELECT {literals} FROM main.{name} AS n"), |row| format!("{head}{row});\n"))?;
            return Ok(());
        }
        let gone = format!(
            "SELECT {} FROM {SNAPSHOT}.{name} AS o WHERE NOT EXISTS (SELECT 1 FROM main.{name} AS n WHERE {})",
            shape.key_literals("o"),
            shape.same_key("n", "o")
        );
        let keys: Vec<_> = shape.key.iter().map(|key| quoted(key)).collect();
        let keys = keys.join(", ");
        // First, because a row that was written may have the unique value of one that is gone.
        found.deleted = self.rows(&gone, |row| format!("DELETE FROM {name} WHERE ({keys}) IS ({row});\n"))?;
        // Rows with a key that is unknown cannot be replaced one by one: all of them are written again.
        let null_key = shape.has_null_key("o");
        let has_null_keys = self.connection.query_row(
            &format!("SELECT EXISTS (SELECT 1 FROM {SNAPSHOT}.{name} AS o WHERE {null_key})"),
            [],
            |row| row.get::<_, bool>(0),
        )?;
        let mut is_written = format!("NOT EXISTS (SELECT 1 FROM {SNAPSHOT}.{name} AS o WHERE {same_row})");
        if has_null_keys {
            self.write(format!("DELETE FROM {name} AS o WHERE {null_key};\n").as_bytes())?;
            is_written = format!("{is_written} OR {}", shape.has_null_key("n"));
        }
        let written = format!("SELECT {literals} FROM main.{name} AS n WHERE {is_written}");
        found.written = self.rows(&written, |row| format!("{head}{row});\n"))?;
        Ok(())
    }

    /// Writes all rows of a table that was rebuilt, in its new columns, for a table of another name.
    fn rebuilt(&mut self, table: &str, secret_columns: &[String], found: &mut TableDivergence) -> rusqlite::Result<()> {
        let shape = TableShape::read(self.connection, "main", table, secret_columns)?;
        let (literals, name) = (shape.literals("n"), quoted(table));
        let shape = TableShape { name: export_name(table), ..shape };
        let head = shape.insert_head();
        self.write(definition(&shape).as_bytes())?;
        found.written =
            self.rows(&format!("SELECT {literals} FROM main.{name} AS n"), |row| format!("{head}{row});\n"))?;
        Ok(())
    }

    /// Writes the definitions of a new table and of its indexes.
    fn definitions(&mut self, table: &str) -> rusqlite::Result<()> {
        let sql = "SELECT sql FROM main.sqlite_schema WHERE tbl_name = ?1 AND type IN ('table', 'index') \
                   AND sql IS NOT NULL ORDER BY type DESC, name";
        let definitions: Vec<String> =
            self.connection.prepare(sql)?.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for sql in definitions {
            // SQLite keeps each definition with this head, however it was written.
            let kinds = ["CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "];
            let text = kinds.iter().find_map(|kind| Some(format!("{kind}IF NOT EXISTS {}", sql.strip_prefix(kind)?)));
            self.write(format!("{};\n", text.unwrap_or(sql)).as_bytes())?;
        }
        Ok(())
    }

    /// Writes a statement for each row of literals, and returns how many.
    fn rows(&mut self, sql: &str, statement: impl Fn(&str) -> String) -> rusqlite::Result<u64> {
        let connection = self.connection;
        let mut query = connection.prepare(sql)?;
        let width = query.column_count();
        let mut rows = query.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let mut literals = String::new();
            for index in 0..width {
                literals.push_str(if index > 0 { ", " } else { "" });
                if let ValueRef::Text(bytes) = row.get_ref(index)? {
                    literals.push_str(&String::from_utf8_lossy(bytes));
                }
            }
            self.write(statement(&literals).as_bytes())?;
            count += 1;
        }
        Ok(count)
    }

    fn write(&mut self, text: &[u8]) -> rusqlite::Result<()> {
        (self.sink)(text).map_err(|error| {
            self.failed = Some(error);
            rusqlite::Error::ExecuteReturnedResults
        })
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    const OLD: &str = "CREATE TABLE k(id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE, n);
        INSERT INTO k VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 1);
        CREATE TABLE loose(v TEXT); INSERT INTO loose VALUES ('one'), ('two'), ('three');
        CREATE TABLE pairs(a TEXT, b TEXT, v, PRIMARY KEY (b, a)) WITHOUT ROWID;
        INSERT INTO pairs VALUES ('x', 'y', 1), ('y', 'x', 2);
        CREATE TABLE t(key TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1), ('k', 2);
        CREATE VIRTUAL TABLE f USING fts5(v, content='k', content_rowid='id');
        CREATE TRIGGER k_ai AFTER INSERT ON k BEGIN INSERT INTO f(rowid, v) VALUES (new.id, new.v); END;
        CREATE TRIGGER k_ad AFTER DELETE ON k BEGIN INSERT INTO f(f, rowid, v) VALUES ('delete', old.id, old.v); END;
        CREATE TRIGGER k_au AFTER UPDATE ON k BEGIN INSERT INTO f(f, rowid, v) VALUES ('delete', old.id, old.v);
            INSERT INTO f(rowid, v) VALUES (new.id, new.v); END;
        INSERT INTO f(f) VALUES ('rebuild');";
    const UPGRADE: &str = "ALTER TABLE k ADD COLUMN status TEXT DEFAULT 'open'; UPDATE k SET status = 'done';
        CREATE TABLE added(id INTEGER PRIMARY KEY, secret TEXT, v); CREATE INDEX added_v ON added(v);
        INSERT INTO added VALUES (1, 'password', 'shown'); CREATE TABLE haul_steps(name);
        INSERT INTO haul_steps VALUES ('001');";
    const WORK: &str = "UPDATE k SET v = 'A' WHERE id = 1; UPDATE k SET n = 1.0 WHERE id = 4;
        DELETE FROM k WHERE id = 2;
        INSERT INTO k VALUES (9, 'line' || char(10) || 'it''s', x'00ff', NULL);
        INSERT INTO k VALUES (10, 'nul' || char(0) || 'end', 1.5, 'x');
        DELETE FROM loose WHERE v = 'two'; INSERT INTO loose VALUES ('four');
        UPDATE pairs SET v = 7 WHERE a = 'x'; DELETE FROM pairs WHERE a = 'y';
        UPDATE t SET v = 3 WHERE key IS NULL;";

    fn scene(directory: &Path) -> (Vec<TableDivergence>, String) {
        let (old, live) = (directory.join("old.db"), directory.join("live.db"));
        Connection::open(&old).unwrap().execute_batch(OLD).unwrap();
        std::fs::copy(&old, &live).unwrap();
        Connection::open(&live).unwrap().execute_batch(&format!("{UPGRADE}{WORK}")).unwrap();
        let connection = Connection::open(&live).unwrap();
        connection.execute("ATTACH ?1 AS snapshot", [old.to_str().unwrap()]).unwrap();
        let mut text = Vec::new();
        let found = export(&connection, &["added.secret".into()], &mut |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        });
        (found.unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn rows_are_counted_and_what_the_upgrade_did_is_no_difference() {
        let directory = tempfile::tempdir().unwrap();
        let (found, text) = scene(directory.path());
        let counts: Vec<_> = found.iter().map(|t| (t.table.as_str(), t.is_new, t.written, t.deleted)).collect();
        let expected = [
            ("added", true, 1, 0),
            ("k", false, 4, 1),
            ("loose", false, 1, 1),
            ("pairs", false, 1, 1),
            ("t", false, 1, 0),
        ];
        assert_eq!(counts, expected, "{text}");
        assert!(found.iter().all(|table| table.problem.is_none()), "{found:?}");
        assert!(text.contains("[redacted]") && !text.contains("password") && text.contains("shown"));
        assert!(!text.contains("haul_steps"));
    }

    /// Reads the export into the snapshot, with the same SQLite as this program has and, if it is there, with a shell.
    #[test]
    fn the_snapshot_with_the_export_is_the_database() {
        let directory = tempfile::tempdir().unwrap();
        let (_, text) = scene(directory.path());
        let old = directory.path().join("old.db");
        let of_shell = directory.path().join("shell.db");
        std::fs::copy(&old, &of_shell).unwrap();
        let read = Connection::open(&old).unwrap();
        read.execute_batch(&text).unwrap();
        same(&read, directory.path());
        let file = directory.path().join("export.sql");
        std::fs::write(&file, &text).unwrap();
        let input = std::fs::File::open(&file).unwrap();
        if let Ok(status) = Command::new("sqlite3").arg("-bail").arg(&of_shell).stdin(input).status() {
            assert!(status.success());
            same(&Connection::open(&of_shell).unwrap(), directory.path());
        }
    }

    fn same(restored: &Connection, directory: &Path) {
        restored.execute("ATTACH ?1 AS live", [directory.join("live.db").to_str().unwrap()]).unwrap();
        for (table, columns) in [
            ("k", "id, quote(v), quote(n), typeof(n)"),
            ("loose", "rowid, v"),
            ("pairs", "*"),
            ("t", "*"),
            ("added", "id, v"),
        ] {
            for (one, other) in [("main", "live"), ("live", "main")] {
                let sql = format!(
                    "SELECT count(*) FROM (SELECT {columns} FROM {one}.{table} \
                     EXCEPT SELECT {columns} FROM {other}.{table})"
                );
                let count: i64 = restored.query_row(&sql, [], |row| row.get(0)).unwrap();
                assert_eq!(count, 0, "{table}: in {one} and not in {other}");
            }
        }
        restored.execute("INSERT INTO main.f(f, rank) VALUES ('integrity-check', 1)", []).unwrap();
    }

    #[test]
    fn a_table_that_is_gone_is_named_and_one_that_was_rebuilt_is_exported_next_to_it_it() {
        let directory = tempfile::tempdir().unwrap();
        let (old, live) = (directory.path().join("old.db"), directory.path().join("live.db"));
        Connection::open(&old)
            .unwrap()
            .execute_batch("CREATE TABLE a(x); CREATE TABLE b(x); CREATE TABLE c(x)")
            .unwrap();
        let connection = Connection::open(&live).unwrap();
        connection
            .execute_batch("CREATE TABLE a(y); INSERT INTO a VALUES ('z'); CREATE TABLE b(x); INSERT INTO b VALUES (1)")
            .unwrap();
        connection.execute("ATTACH ?1 AS snapshot", [old.to_str().unwrap()]).unwrap();
        let mut text = Vec::new();
        let found = export(&connection, &[], &mut |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        });
        let found = found.unwrap();
        let problems: Vec<_> = found.iter().map(|t| (t.table.as_str(), t.problem.is_some(), t.written)).collect();
        assert_eq!(problems, [("c", true, 0), ("a", false, 1), ("b", false, 1)]);
        drop(connection);
        let restored = Connection::open(&old).unwrap();
        restored.execute_batch(&String::from_utf8(text).unwrap()).unwrap();
        let rows = "SELECT (SELECT count(*) FROM a) || (SELECT y FROM haul_rebuilt_a) || (SELECT x FROM b)";
        assert_eq!(restored.query_row(rows, [], |row| row.get::<_, String>(0)).unwrap(), "0z1");
    }
}
