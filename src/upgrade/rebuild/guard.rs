//! Keeps the statements of a rebuild from touching tables that it does not name.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// What is forbidden, and what was refused.
#[derive(Debug, Default)]
struct Watched {
    /// Names of tables in small letters.
    forbidden: BTreeSet<String>,
    /// True while a statement of a rebuild runs.
    is_on: bool,
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

    /// Forbids every table that is there, except these and those in which virtual ones of these keep their data.
    pub fn forbid_all_but(&self, connection: &Connection, tables: &[String]) -> rusqlite::Result<()> {
        let sql = "SELECT lower(name), type FROM pragma_table_list WHERE schema = 'main' AND type <> 'view'";
        let mut statement = connection.prepare(sql)?;
        let there = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let there: Vec<(String, String)> = there.collect::<Result<_, _>>()?;
        let listed: Vec<_> = tables.iter().map(|table| table.to_ascii_lowercase()).collect();
        let is_of = |name: &str, table: &str| name.strip_prefix(table).is_some_and(|rest| rest.starts_with('_'));
        let is_allowed = |(name, kind): &(String, String)| {
            listed.contains(name)
                || name.starts_with("sqlite_")
                || kind == "shadow" && listed.iter().any(|table| is_of(name, table))
        };
        self.watched().forbidden = there.into_iter().filter(|table| !is_allowed(table)).map(|(name, _)| name).collect();
        Ok(())
    }

    /// Runs a statement with `run`, and returns what it was refused.
    pub fn during<T>(&self, run: impl FnOnce() -> T) -> (T, Option<String>) {
        self.watched().is_on = true;
        let result = run();
        let mut watched = self.watched();
        watched.is_on = false;
        (result, watched.refused.take())
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn judge(&mut self, context: &AuthContext<'_>) -> Authorization {
        if !self.is_on || self.allows(context) {
            return Authorization::Allow;
        }
        self.refused.get_or_insert_with(|| format!("{:?}", context.action));
        Authorization::Deny
    }

    fn allows(&self, context: &AuthContext<'_>) -> bool {
        let is_free = |table: &str| !self.forbidden.contains(&table.to_ascii_lowercase());
        use AuthAction::*;
        match context.action {
            Select | Read { .. } | Recursive | Reindex { .. } => true,
            Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
            Insert { table_name }
            | Update { table_name, .. }
            | Delete { table_name }
            | CreateTable { table_name }
            | DropTable { table_name }
            | CreateVtable { table_name, .. }
            | DropVtable { table_name, .. }
            | CreateIndex { table_name, .. }
            | DropIndex { table_name, .. }
            | CreateTrigger { table_name, .. }
            | DropTrigger { table_name, .. } => is_free(table_name),
            AlterTable { database_name, table_name } => database_name == "main" && is_free(table_name),
            // SQLite itself asks for these: for a new column with a condition, and in a module.
            Pragma { pragma_name: "quick_check", .. } | Pragma { pragma_name: "data_version", pragma_value: None } => {
                true
            }
            _ => false,
        }
    }
}
