//! haul's own tables in a database: `migrations` for people, `haul_steps` as the authority on what is applied, and
//! `haul_progress` for the cursors of backfills.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::form::column_lines;

/// The names of haul's own tables.
const TABLES: [&str; 3] = ["migrations", "haul_steps", "haul_progress"];
/// Returns true for the name of one of haul's own tables.
pub fn is_own(table: &str) -> bool {
    TABLES.iter().any(|own| own.eq_ignore_ascii_case(table))
}

/// The name of the row that `freeze` writes.
pub const START: &str = "MIGRATION_START";

const DEFINITIONS: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS main.migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, \
     applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, checksum TEXT NOT NULL, success INTEGER NOT NULL, \
     error_message TEXT)",
    "CREATE TABLE IF NOT EXISTS main.haul_steps (name TEXT PRIMARY KEY, checksum TEXT, tool_version TEXT, started_at TEXT, \
     completed_at TEXT, duration_ms INTEGER, schema_before TEXT, schema_after TEXT)",
    "CREATE TABLE IF NOT EXISTS main.haul_progress (step TEXT PRIMARY KEY, cursor INTEGER, rows INTEGER)",
];
const COLUMNS: [&[&str]; 3] = [
    &["id", "name", "applied_at", "checksum", "success", "error_message"],
    &["name", "checksum", "tool_version", "started_at", "completed_at", "duration_ms", "schema_before", "schema_after"],
    &["step", "cursor", "rows"],
];

/// A step that has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// The name of a group or of a backfill.
    pub name: String,
    /// SHA-256 of its scripts.
    pub checksum: String,
    /// When it began, in UTC.
    pub started_at: String,
    /// When it ended.
    pub completed_at: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Fingerprint of all definitions before it.
    pub schema_before: String,
    /// Fingerprint of all definitions after it.
    pub schema_after: String,
}

/// Says what keeps an existing table from being one of haul's own: a column that is missing, or one that haul would leave
/// empty and that may not be.
pub fn problem(connection: &Connection) -> rusqlite::Result<Option<String>> {
    for (table, known) in TABLES.iter().zip(COLUMNS) {
        let columns = column_lines(connection, table)?;
        if columns.is_empty() {
            let sql = "SELECT type FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'";
            let kind: Option<String> = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
            if let Some(kind) = kind {
                return Ok(Some(format!("{kind} {table} is in the place of haul's own table")));
            }
            continue;
        }
        if let Some(missing) = known.iter().find(|name| columns.iter().all(|(column, _)| column != *name)) {
            return Ok(Some(format!("table {table} has no column {missing}")));
        }
        if let Some(what) = columns.iter().find_map(|(name, line)| refuses_rows(table, name, line)) {
            return Ok(Some(what));
        }
        let refuses = |line: &str| line.contains(" not null") && !line.contains(" default ");
        let foreign = columns.iter().find(|(name, line)| !known.contains(&name.as_str()) && refuses(line));
        if let Some((column, _)) = foreign {
            return Ok(Some(format!("table {table} has a column {column} that haul would leave empty")));
        }
        let sql = "SELECT count(*) FROM pragma_index_list(?1, 'main') WHERE \"unique\" AND origin <> 'pk'";
        if connection.query_row(sql, [table], |row| row.get::<_, i64>(0))? > 0 {
            return Ok(Some(format!("table {table} has a unique key that its rows may violate")));
        }
    }
    Ok(None)
}

/// Says why rows of failed and of repeated steps would not fit into an existing `migrations`.
fn refuses_rows(table: &str, column: &str, line: &str) -> Option<String> {
    let is_key = line.contains(" primary key ") && column != "id";
    match (table, column) {
        ("migrations", _) if is_key => Some(format!("the primary key of table {table} is {column}, not id")),
        ("migrations", "error_message") if line.contains(" not null") => {
            Some(format!("column {column} of table {table} may not be empty"))
        }
        _ => None,
    }
}

/// Creates those of haul's own tables that are missing.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    DEFINITIONS.iter().try_for_each(|sql| connection.execute(sql, []).map(drop))
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    Ok(!column_lines(connection, table)?.is_empty())
}

/// Returns the checksum of each step that has run, by name.
pub fn applied(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    if !exists(connection, "haul_steps")? {
        return Ok(BTreeMap::new());
    }
    let mut statement = connection.prepare("SELECT name, checksum FROM main.haul_steps")?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default())))?;
    rows.collect()
}

/// Writes down that a step has run, in the transaction of the step.
pub fn record(connection: &Connection, step: &StepRecord) -> rusqlite::Result<()> {
    let sql = "INSERT INTO main.haul_steps (name, checksum, tool_version, started_at, completed_at, duration_ms, \
               schema_before, schema_after) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (tool, duration_ms) = (env!("CARGO_PKG_VERSION"), i64::try_from(step.duration_ms).unwrap_or(i64::MAX));
    connection.execute(
        sql,
        params![
            step.name,
            step.checksum,
            tool,
            step.started_at,
            step.completed_at,
            duration_ms,
            step.schema_before,
            step.schema_after
        ],
    )?;
    record_row(connection, &step.name, &step.checksum, None)
}

/// Writes down that a step has failed.
pub fn record_failure(connection: &Connection, name: &str, checksum: &str, error: &str) -> rusqlite::Result<()> {
    record_row(connection, name, checksum, Some(error))
}

/// Writes down that an upgrade has begun, with the digest of its plan. Once, however often it is called.
pub fn record_start(connection: &Connection, plan_digest: &str) -> rusqlite::Result<()> {
    if !is_recorded(connection, START, plan_digest)? {
        record_row(connection, START, plan_digest, None)?;
    }
    Ok(())
}

/// Returns true if `migrations` says that this has succeeded, with this checksum.
pub fn is_recorded(connection: &Connection, name: &str, checksum: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM main.migrations WHERE name = ?1 AND checksum = ?2 AND success = 1";
    Ok(exists(connection, "migrations")?
        && connection.query_row(sql, [name, checksum], |row| row.get::<_, i64>(0))? > 0)
}

fn record_row(connection: &Connection, name: &str, checksum: &str, error: Option<&str>) -> rusqlite::Result<()> {
    // The time is written, as a looser table may lack the default.
    let sql = "INSERT INTO main.migrations (name, applied_at, checksum, success, error_message) \
               VALUES (?1, datetime('now'), ?2, ?3, ?4)";
    connection.execute(sql, params![name, checksum, error.is_none(), error]).map(drop)
}

/// Where a backfill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The number of the last row that was looked at.
    pub at: i64,
    /// Rows that were written.
    pub rows: i64,
}

/// Returns where a backfill stands.
pub fn cursor(connection: &Connection, step: &str) -> rusqlite::Result<Cursor> {
    if !exists(connection, "haul_progress")? {
        return Ok(Cursor::default());
    }
    let sql = "SELECT coalesce(cursor, 0), coalesce(rows, 0) FROM main.haul_progress WHERE step = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok(Cursor { at: row.get(0)?, rows: row.get(1)? });
    Ok(connection.query_row(sql, [step], read).optional()?.unwrap_or_default())
}

/// Writes down where a backfill stands, in the transaction of its rows.
pub fn set_cursor(connection: &Connection, step: &str, cursor: Cursor) -> rusqlite::Result<()> {
    let sql = "INSERT INTO main.haul_progress (step, cursor, rows) VALUES (?1, ?2, ?3) \
               ON CONFLICT (step) DO UPDATE SET cursor = excluded.cursor, rows = excluded.rows";
    connection.prepare_cached(sql)?.execute(params![step, cursor.at, cursor.rows]).map(drop)
}

/// Returns this moment as CURRENT_TIMESTAMP writes it.
pub fn now(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT datetime('now')", [], |row| row.get(0))
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
    fn a_looser_table_is_adopted_with_its_rows() {
        let loose = "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT, checksum TEXT, \
                     success BOOLEAN, error_message TEXT, note TEXT); \
                     INSERT INTO migrations (name, success) VALUES ('old', 0);";
        let connection = database(loose);
        assert_eq!(problem(&connection).unwrap(), None);
        create(&connection).unwrap();
        for _ in 0..2 {
            record_start(&connection, "digest").unwrap();
        }
        let sql = "SELECT group_concat(name || ' ' || success || ' ' || coalesce(checksum, '')) FROM migrations";
        let rows: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, "old 0 ,MIGRATION_START 1 digest");
    }

    #[test]
    fn a_table_that_cannot_be_adopted_is_named() {
        for (sql, what) in [
            (
                "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT)",
                "table migrations has no column applied_at",
            ),
            ("CREATE TABLE haul_steps (a)", "table haul_steps has no column name"),
            ("CREATE VIEW haul_progress AS SELECT 1 AS a", "table haul_progress has no column step"),
            (
                "CREATE TABLE haul_progress (step TEXT, cursor, rows, owner TEXT NOT NULL)",
                "table haul_progress has a column owner that haul would leave empty",
            ),
            (
                "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at, checksum, success, \
                 error_message)",
                "table migrations has a unique key that its rows may violate",
            ),
            (
                "CREATE TABLE migrations (id, name TEXT PRIMARY KEY, applied_at, checksum, success, error_message)",
                "the primary key of table migrations is name, not id",
            ),
            (
                "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name, applied_at, checksum, success, \
                 error_message TEXT NOT NULL)",
                "column error_message of table migrations may not be empty",
            ),
        ] {
            assert_eq!(problem(&database(sql)).unwrap().as_deref(), Some(what), "{sql}");
        }
        let connection = database("");
        create(&connection).unwrap();
        assert_eq!(problem(&connection).unwrap(), None);
    }

    #[test]
    fn cursors_are_kept() {
        let connection = database("");
        assert_eq!(cursor(&connection, "a").unwrap(), Cursor::default());
        create(&connection).unwrap();
        for at in [5, 9] {
            set_cursor(&connection, "a", Cursor { at, rows: 3 }).unwrap();
            assert_eq!(cursor(&connection, "a").unwrap(), Cursor { at, rows: 3 });
        }
    }
}
