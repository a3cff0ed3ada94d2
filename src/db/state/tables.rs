//! The tables that haul keeps in a database: the ledger of applied migrations, the log of every attempt, the
//! [cursors](super::cursors) of batches, the [files](super::files) without a version, and the [schema](super::schemas)
//! after the last run.
//!
//! | ledger | | log | |
//! |---|---|---|---|
//! | `position` | order of application, from 1 | `id` | order of events, from 1 |
//! | `version` | digits without leading zeros | `attempt` | id of the row that started the attempt |
//! | `name` | label of the migration | `version`, `name` | of the migration |
//! | `checksum` | 64 hex digits | `direction` | `up`, `down` or `-` |
//! | `applied_at` | RFC 3339, UTC | `outcome` | the event, see [`Outcome`](super::Outcome) |
//! | `duration_ms` | | `started_at`, `finished_at` | RFC 3339, UTC; no end if something only started |
//! | `applied_by` | user, process and host | `duration_ms` | |
//! | `haul_version` | the version that applied it | `statement` | the statement that was reached, from 1 |
//! | | | `checksum` | of the file, or of the statements before that one; `session` if their session is lost |
//! | | | `error` | with file, line and code; what an engine said, a line for each notice; what an event changed |
//! | | | `owner`, `haul_version` | user, process and host; the version |
//!
//! Rows of the log are only appended, never changed. Old ones are removed on request only.

use crate::db::database::{Change, Database, LedgerName, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::migration::Error;

/// The default name of the ledger.
pub const LEDGER_NAME: &str = "haul_migrations";
/// PostgreSQL truncates names after 63 bytes, and the names of the other tables have a suffix.
const NAME_BYTES_MAX: usize = 55;

const LEDGER_COLUMNS: [(&str, &str); 8] = [
    ("position", "BIGINT NOT NULL PRIMARY KEY"),
    ("version", "TEXT NOT NULL UNIQUE"),
    ("name", "TEXT NOT NULL"),
    ("checksum", "TEXT NOT NULL"),
    ("applied_at", "TEXT NOT NULL"),
    ("duration_ms", "BIGINT NOT NULL"),
    ("applied_by", "TEXT NOT NULL"),
    ("haul_version", "TEXT NOT NULL"),
];

const LOG_COLUMNS: [(&str, &str); 14] = [
    ("id", "BIGINT NOT NULL PRIMARY KEY"),
    ("attempt", "BIGINT NOT NULL"),
    ("version", "TEXT NOT NULL"),
    ("name", "TEXT NOT NULL"),
    ("direction", "TEXT NOT NULL"),
    ("outcome", "TEXT NOT NULL"),
    ("started_at", "TEXT NOT NULL"),
    ("finished_at", "TEXT"),
    ("duration_ms", "BIGINT"),
    ("statement", "BIGINT"),
    ("checksum", "TEXT"),
    ("error", "TEXT"),
    ("owner", "TEXT NOT NULL"),
    ("haul_version", "TEXT NOT NULL"),
];

const CURSOR_COLUMNS: [(&str, &str); 8] = [
    ("version", "TEXT NOT NULL"),
    ("direction", "TEXT NOT NULL"),
    ("batch", "BIGINT NOT NULL"),
    ("key", "TEXT"),
    ("row_count", "BIGINT NOT NULL"),
    ("page_count", "BIGINT NOT NULL"),
    ("checksum", "TEXT NOT NULL"),
    ("updated_at", "TEXT NOT NULL"),
];

const FILE_COLUMNS: [(&str, &str); 7] = [
    ("kind", "TEXT NOT NULL"),
    ("name", "TEXT NOT NULL"),
    ("checksum", "TEXT NOT NULL"),
    ("applied_at", "TEXT NOT NULL"),
    ("duration_ms", "BIGINT NOT NULL"),
    ("applied_by", "TEXT NOT NULL"),
    ("haul_version", "TEXT NOT NULL"),
];

const SCHEMA_COLUMNS: [(&str, &str); 4] = [
    ("log_id", "BIGINT NOT NULL PRIMARY KEY"),
    ("taken_at", "TEXT NOT NULL"),
    ("digest", "TEXT NOT NULL"),
    ("text", "TEXT NOT NULL"),
];

/// A table that is created when it is first needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDemand {
    Cursors,
    Files,
    Schemas,
}

/// The names of haul's own tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The schema of all of them, if one is named.
    schema: Option<String>,
    /// True if that is the schema of a tenant.
    is_of_tenant: bool,
    ledger: String,
    log: String,
    cursors: String,
    files: String,
    schemas: String,
}

impl Default for Tables {
    fn default() -> Self {
        Self::of_name(LEDGER_NAME)
    }
}

impl Tables {
    /// Returns the tables for a ledger of this name, `NAME` or `SCHEMA.NAME`, each of letters, digits and underscores,
    /// and not starting with a digit.
    pub fn named(name: &str) -> Result<Self, Error> {
        let (schema, ledger) = name.split_once('.').map_or((None, name), |(schema, ledger)| (Some(schema), ledger));
        if !is_name(ledger) || ledger.len() > NAME_BYTES_MAX || !schema.is_none_or(is_name) {
            return Err(Error::Usage {
                what: format!("`{name}` cannot be the name of the ledger"),
                next: format!(
                    "use letters, digits and underscores, at most {NAME_BYTES_MAX}, and do not start with a digit; on \
                     PostgreSQL the name of a schema and a dot may stand before it"
                ),
            });
        }
        Ok(Self { schema: schema.map(str::to_owned), ..Self::of_name(ledger) })
    }

    /// Returns the tables of a tenant, in its schema. Fails if all tables were to be in another.
    pub fn in_schema(&self, tenant: &str) -> Result<Self, Error> {
        match &self.schema {
            Some(schema) => Err(Error::Usage {
                what: format!("the ledger is to be in the schema {schema}, and each schema has one of its own"),
                next: format!("write --table {}", self.ledger),
            }),
            None => Ok(Self { schema: Some(tenant.to_owned()), is_of_tenant: true, ..self.clone() }),
        }
    }

    /// Returns the schema of the tenant. Others are no concern of a run on it.
    pub fn tenant(&self) -> Option<&str> {
        self.schema.as_deref().filter(|_| self.is_of_tenant)
    }

    /// Fails if a schema is named and the database has none.
    pub fn require_fit(&self, dialect: Dialect) -> Result<(), Error> {
        match (&self.schema, dialect) {
            (Some(schema), Dialect::Sqlite) => Err(Error::Usage {
                what: format!("a SQLite database has no schema {schema} for the ledger"),
                next: format!("write --table {}", self.ledger),
            }),
            _ => Ok(()),
        }
    }

    /// Finds the tables in the database. Returns their schema if new tables would be created in another.
    pub fn find(&self, database: &mut dyn ReadDatabase) -> Result<Option<String>, EngineError> {
        let columns = LEDGER_COLUMNS.map(|(name, _)| name);
        database.find_ledger(LedgerName { schema: self.schema.as_deref(), table: &self.ledger, columns: &columns })
    }

    fn of_name(ledger: &str) -> Self {
        let with = |ending: &str| format!("{ledger}_{ending}");
        Self {
            schema: None,
            is_of_tenant: false,
            ledger: ledger.to_owned(),
            log: with("log"),
            cursors: with("cursors"),
            files: with("files"),
            schemas: with("schema"),
        }
    }

    /// Returns the name of the ledger.
    pub fn ledger(&self) -> &str {
        &self.ledger
    }

    /// Returns the name of the ledger for its lock: with the schema that was named, unless that is the one of a tenant,
    /// which the database knows.
    pub fn lock_name(&self) -> String {
        match &self.schema {
            Some(schema) if !self.is_of_tenant => format!("{schema}.{}", self.ledger),
            _ => self.ledger.clone(),
        }
    }

    /// Returns the name of the log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Returns the name of the table of cursors.
    pub fn cursors(&self) -> &str {
        &self.cursors
    }

    /// Returns the name of the table of files without a version.
    pub fn files(&self) -> &str {
        &self.files
    }

    /// Returns the name of the table with the schema after the last run.
    pub fn schemas(&self) -> &str {
        &self.schemas
    }

    /// Returns the names of all tables.
    pub fn all(&self) -> [&str; 5] {
        [&self.ledger, &self.log, &self.cursors, &self.files, &self.schemas]
    }

    /// Returns true if ledger and log exist. A table of the same name with other columns is an error.
    pub(super) fn exist(&self, database: &mut dyn ReadDatabase) -> Result<bool, EngineError> {
        self.find(database)?;
        let ledger = check_columns(database, &self.ledger, &LEDGER_COLUMNS)?;
        let log = check_columns(database, &self.log, &LOG_COLUMNS)?;
        match (ledger, log) {
            // A first run that was killed between the two leaves an empty ledger.
            (true, false) if is_empty(database, &self.ledger)? => Ok(false),
            // Rows come after the log, which another first run may have created since it was looked for.
            (true, false) if check_columns(database, &self.log, &LOG_COLUMNS)? => Ok(true),
            (true, false) => Err(self.lost_log()),
            (false, true) => self.exist_by_now(database),
            (false, false) if self.have(database, OnDemand::Schemas)? => self.exist_by_now(database),
            (both, _) => Ok(both),
        }
    }

    /// Looks again for the ledger, of which others of the tables are there: another first run may have created them since it
    /// was looked for, the ledger first.
    fn exist_by_now(&self, database: &mut dyn ReadDatabase) -> Result<bool, EngineError> {
        self.find(database)?;
        match check_columns(database, &self.ledger, &LEDGER_COLUMNS)? {
            true => self.exist(database),
            false => Err(self.lost_ledger()),
        }
    }

    fn lost_log(&self) -> EngineError {
        let what = format!("the table {} is gone, and {} is there", self.log, self.ledger);
        EngineError::new(EngineErrorKind::Unusable, what).with_hint(
            "restore it from a backup, or `haul db repair --lost-log` makes an empty one; what is applied is still recorded",
        )
    }

    fn lost_ledger(&self) -> EngineError {
        let what = format!("the table {}, which records what is applied, is gone", self.ledger);
        let [_, log, cursors, files, schemas] = self.all();
        EngineError::new(EngineErrorKind::Unusable, what).with_hint(format!(
            "restore it from a backup; or drop those of {log}, {cursors}, {files} and {schemas} that are there, and record what the schema has with \
             `haul db baseline VERSION`"
        ))
    }

    /// Creates the log again if it is gone and the ledger is there. Returns true if it was gone.
    pub(super) fn replace_lost_log(&self, database: &mut dyn Database) -> Result<bool, EngineError> {
        let ledger = check_columns(database, &self.ledger, &LEDGER_COLUMNS)?;
        if !ledger || check_columns(database, &self.log, &LOG_COLUMNS)? {
            return Ok(false);
        }
        create(database, &self.log, &LOG_COLUMNS, "").map(|()| true)
    }

    /// Creates ledger and log if they do not exist.
    pub(super) fn create(&self, database: &mut dyn Database) -> Result<(), EngineError> {
        for (table, columns) in [(&self.ledger, &LEDGER_COLUMNS[..]), (&self.log, &LOG_COLUMNS[..])] {
            create(database, table, columns, "")?;
        }
        Ok(())
    }

    /// Returns name, columns and key of a table.
    fn form(&self, table: OnDemand) -> (&str, &'static [(&'static str, &'static str)], &'static str) {
        match table {
            OnDemand::Cursors => (&self.cursors, &CURSOR_COLUMNS, "PRIMARY KEY (version, direction)"),
            OnDemand::Files => (&self.files, &FILE_COLUMNS, "PRIMARY KEY (kind, name)"),
            OnDemand::Schemas => (&self.schemas, &SCHEMA_COLUMNS, ""),
        }
    }

    /// Returns true if there is such a table.
    pub(super) fn have(&self, database: &mut dyn ReadDatabase, table: OnDemand) -> Result<bool, EngineError> {
        self.find(database)?;
        let (name, columns, _) = self.form(table);
        check_columns(database, name, columns)
    }

    /// Creates such a table if it does not exist.
    pub(super) fn create_on_demand(&self, database: &mut dyn Database, table: OnDemand) -> Result<(), EngineError> {
        if self.have(database, table)? {
            return Ok(());
        }
        let (name, columns, key) = self.form(table);
        create(database, name, columns, key)
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.to_ascii_lowercase().starts_with("sqlite_")
}

fn is_empty(database: &mut dyn ReadDatabase, table: &str) -> Result<bool, EngineError> {
    let reference = database.table_reference(table);
    database.query(&format!("SELECT version FROM {reference} LIMIT 1"), &[]).map(|rows| rows.is_empty())
}

fn create(
    database: &mut dyn Database,
    table: &str,
    columns: &[(&str, &str)],
    constraint: &str,
) -> Result<(), EngineError> {
    // In SQLite, an INTEGER key is the row id itself and needs no separate index.
    let kind = |kind: &str| match database.dialect() {
        Dialect::Sqlite => kind.replace("BIGINT", "INTEGER"),
        Dialect::Postgres => kind.to_owned(),
    };
    let mut parts: Vec<_> = columns.iter().map(|(name, of)| format!("{name} {}", kind(of))).collect();
    parts.extend(Some(constraint.to_owned()).filter(|constraint| !constraint.is_empty()));
    let reference = database.table_reference(table);
    database
        .query(&format!("CREATE TABLE IF NOT EXISTS {reference} ({})", parts.join(", ")), &[])
        .map(drop)
        .map_err(EngineError::about_rights)
}

/// Returns the change that appends a row with these values to a table.
pub(super) fn insert(database: &dyn ReadDatabase, table: &str, values: Vec<Value>) -> Change {
    let marks: Vec<_> = (1..=values.len()).map(|number| mark(database.dialect(), number)).collect();
    let sql = format!("INSERT INTO {} VALUES ({})", database.table_reference(table), marks.join(", "));
    Change { sql, values }
}

/// Returns a parameter in a statement.
pub(super) fn mark(dialect: Dialect, number: usize) -> String {
    match dialect {
        Dialect::Sqlite => format!("?{number}"),
        Dialect::Postgres => format!("${number}"),
    }
}

fn check_columns(database: &mut dyn ReadDatabase, table: &str, expected: &[(&str, &str)]) -> Result<bool, EngineError> {
    let found = database.columns(table)?;
    if found.is_empty() {
        return Ok(false);
    }
    let expected: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    if found == expected {
        return Ok(true);
    }
    let is_newer = found.len() > expected.len() && found[..expected.len()] == expected[..];
    let what = if is_newer {
        format!("the table {table} has columns that this version of haul does not know")
    } else {
        format!("the table {table} is not one of haul's")
    };
    let hint = if is_newer { "use the version of haul that wrote it" } else { "name another ledger with --table" };
    Err(EngineError::new(EngineErrorKind::Unusable, what).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::database::LockHolder;

    /// A database in which another run creates tables after so many looks at them.
    struct Growing {
        looks_before: usize,
        tables: Vec<(&'static str, Vec<String>)>,
        /// Looks at the log alone before it is there.
        log_looks_before: usize,
        rows: Vec<Vec<Value>>,
    }

    impl ReadDatabase for Growing {
        fn dialect(&self) -> Dialect {
            Dialect::Sqlite
        }

        fn place(&self) -> String {
            String::new()
        }

        fn query(&mut self, _sql: &str, _parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
            Ok(self.rows.clone())
        }

        fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
            if table.ends_with("_log") && self.log_looks_before > 0 {
                self.log_looks_before -= 1;
                return Ok(Vec::new());
            }
            let Some(left) = self.looks_before.checked_sub(1) else {
                let found = self.tables.iter().find(|(name, _)| *name == table);
                return Ok(found.map(|(_, columns)| columns.clone()).unwrap_or_default());
            };
            self.looks_before = left;
            Ok(Vec::new())
        }

        fn has_table(&mut self, _table: &str) -> Result<bool, EngineError> {
            Ok(false)
        }

        fn table_reference(&self, table: &str) -> String {
            table.to_owned()
        }

        fn lock_holder(&mut self, _table: &str) -> Result<Option<LockHolder>, Error> {
            Ok(None)
        }
    }

    #[test]
    fn tables_that_another_first_run_creates_meanwhile_are_not_lost() {
        let names = |columns: &[(&str, &str)]| columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let tables = vec![
            ("haul_migrations", names(&LEDGER_COLUMNS)),
            ("haul_migrations_log", names(&LOG_COLUMNS)),
            ("haul_migrations_schema", names(&SCHEMA_COLUMNS)),
        ];
        // They appear before the ledger, the log and the table of schemas are looked for, or after that.
        for (looks_before, exist) in [(0, true), (1, true), (2, true), (3, false)] {
            let mut database = Growing { looks_before, tables: tables.clone(), log_looks_before: 0, rows: Vec::new() };
            assert_eq!(Tables::default().exist(&mut database).unwrap(), exist, "{looks_before}");
        }
        let mut database =
            Growing { looks_before: 0, tables: tables[1..].to_vec(), log_looks_before: 0, rows: Vec::new() };
        assert!(Tables::default().exist(&mut database).unwrap_err().message.contains("is gone"));
    }

    /// Another first run creates the log after it was looked for, and applies a migration before the ledger is looked into.
    #[test]
    fn a_log_that_another_first_run_creates_meanwhile_is_not_lost() {
        let names = |columns: &[(&str, &str)]| columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let tables = vec![("haul_migrations", names(&LEDGER_COLUMNS)), ("haul_migrations_log", names(&LOG_COLUMNS))];
        let rows = vec![vec![Value::Integer(Some(1))]];
        let mut database = Growing { looks_before: 0, tables, log_looks_before: 1, rows };
        assert!(Tables::default().exist(&mut database).unwrap());
        database.log_looks_before = usize::MAX;
        assert!(Tables::default().exist(&mut database).unwrap_err().message.contains("haul_migrations_log is gone"));
    }

    #[test]
    fn names_of_tables_are_checked() {
        let tables = Tables::named("_my_Ledger2").unwrap();
        assert_eq!((tables.ledger(), tables.log()), ("_my_Ledger2", "_my_Ledger2_log"));
        let tables = Tables::named("app.x").unwrap();
        assert_eq!((tables.schema.as_deref(), tables.ledger()), (Some("app"), "x"));
        assert!(tables.require_fit(Dialect::Postgres).is_ok() && tables.require_fit(Dialect::Sqlite).is_err());
        for name in ["", "2x", "a b", "a\"b", "a;b", "ä", "sqlite_x", ".x", "x.", "a.b.c", &"x".repeat(56)] {
            assert!(Tables::named(name).is_err(), "{name}");
        }
    }
}
