//! Keeps a statement of a script from doing anything but what its first words say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::head::{Head, ObjectKind};

const SCHEMA_TABLES: [&str; 3] = ["sqlite_master", "sqlite_schema", "sqlite_sequence"];

/// What the statement that runs may make, and what it was refused.
#[derive(Debug, Default)]
struct Watched {
    kind: Option<ObjectKind>,
    name: String,
    table: String,
    refused: Option<String>,
}

/// Refuses what a statement may not do, while one runs.
#[derive(Debug, Clone, Default)]
pub struct Guard(Arc<Mutex<Watched>>);

impl Guard {
    /// Watches a connection. Between statements, everything is allowed.
    pub fn of(connection: &mut Connection) -> rusqlite::Result<Self> {
        let guard = Self::default();
        let watched = guard.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| watched.watched().judge(&context)))?;
        Ok(guard)
    }

    /// Stops watching.
    pub fn remove(connection: &mut Connection) -> rusqlite::Result<()> {
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
    }

    /// Runs a statement with `run`, and returns what it was refused. `name` is the name that its object gets.
    pub fn during<T>(&self, head: &Head, name: &str, run: impl FnOnce() -> T) -> (T, Option<String>) {
        *self.watched() = Watched {
            kind: Some(head.kind),
            name: name.to_ascii_lowercase(),
            table: head.table.clone(),
            refused: None,
        };
        let result = run();
        (result, std::mem::take(&mut *self.watched()).refused)
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn judge(&mut self, context: &AuthContext<'_>) -> Authorization {
        let Some(kind) = self.kind else { return Authorization::Allow };
        if self.allows(kind, context) {
            return Authorization::Allow;
        }
        self.refused.get_or_insert_with(|| format!("{:?}", context.action));
        Authorization::Deny
    }

    fn allows(&self, kind: ObjectKind, context: &AuthContext<'_>) -> bool {
        let is_own = |name: &str| name.eq_ignore_ascii_case(&self.name);
        let is_its_table = |name: &str| name.eq_ignore_ascii_case(&self.table);
        // A module keeps its data in tables whose names begin with its own.
        let is_of_module = |name: &str| {
            let lower = name.to_ascii_lowercase();
            let rest = lower.strip_prefix(&self.name);
            kind == ObjectKind::VirtualTable && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        use AuthAction::*;
        match context.action {
            Select | Read { .. } | Recursive => true,
            Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
            Insert { table_name } | Update { table_name, .. } | Delete { table_name } => {
                SCHEMA_TABLES.contains(&table_name)
                    || is_of_module(table_name)
                    || kind == ObjectKind::Table && is_own(table_name)
            }
            // The first AUTOINCREMENT makes the engine's own table of numbers.
            CreateTable { table_name: "sqlite_sequence" } => true,
            CreateTable { table_name } => kind == ObjectKind::Table && is_own(table_name) || is_of_module(table_name),
            CreateVtable { table_name, .. } => kind == ObjectKind::VirtualTable && is_own(table_name),
            CreateIndex { index_name, table_name } => match kind {
                ObjectKind::Index => is_own(index_name) && is_its_table(table_name),
                // The keys of a table are indexes of their own.
                ObjectKind::Table => is_own(table_name),
                _ => is_of_module(table_name),
            },
            // SQLite fills a new index the way REINDEX does.
            Reindex { index_name } => kind == ObjectKind::Index && is_own(index_name) || is_of_module(index_name),
            CreateView { view_name } => kind == ObjectKind::View && is_own(view_name),
            CreateTrigger { trigger_name, table_name } => {
                kind == ObjectKind::Trigger && is_own(trigger_name) && is_its_table(table_name)
            }
            AlterTable { database_name, table_name } => {
                kind == ObjectKind::Column && database_name == "main" && is_its_table(table_name)
            }
            // SQLite itself asks for these: for a new column with a condition, and in a module.
            Pragma { pragma_name: "quick_check", .. } => kind == ObjectKind::Column,
            Pragma { pragma_name: "data_version", pragma_value: None } => kind == ObjectKind::VirtualTable,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sql: &str) -> (bool, Option<String>) {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (a TEXT); CREATE TABLE other (a); INSERT INTO t VALUES ('x')")
            .unwrap();
        let guard = Guard::of(&mut connection).unwrap();
        let head = Head::of(sql).unwrap_or(Head {
            kind: ObjectKind::Table,
            name: "n".into(),
            name_range: 0..0,
            table: "n".into(),
        });
        let (result, refused) = guard.during(&head, &head.name, || connection.execute_batch(sql));
        connection.execute_batch("DELETE FROM other").unwrap();
        (result.is_ok(), refused)
    }

    #[test]
    fn statements_may_do_what_they_say() {
        for sql in [
            "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, b REFERENCES t(a))",
            "CREATE TABLE n AS SELECT * FROM t",
            "CREATE UNIQUE INDEX i ON t (lower(a)) WHERE a <> ''",
            "CREATE VIEW v AS SELECT * FROM t",
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM other; END",
            "CREATE VIRTUAL TABLE f USING fts5(a, content='t')",
            "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'open'",
            "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 0 CHECK (b >= 0)",
        ] {
            assert_eq!(outcome(sql), (true, None), "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT s",
            "ATTACH ':memory:' AS x",
            "PRAGMA user_version = 1",
            "PRAGMA writable_schema = ON",
            "DROP TABLE t",
            "DROP INDEX IF EXISTS i",
            "DELETE FROM t",
            "INSERT INTO t VALUES ('y')",
            "UPDATE t SET a = 'y'",
            "ALTER TABLE t RENAME TO u",
            "CREATE TABLE n (a); CREATE TABLE m (a)",
            "CREATE TEMP TABLE n (a)",
            "ANALYZE",
            "REINDEX",
            "SELECT load_extension('x')",
            "CREATE INDEX i ON t (a); DELETE FROM t",
        ] {
            let (is_done, refused) = outcome(sql);
            let is_nothing = sql.starts_with("DROP INDEX") || sql == "ANALYZE" || sql == "REINDEX";
            assert!(refused.is_some() && !is_done || is_nothing, "{sql}");
        }
    }
}
