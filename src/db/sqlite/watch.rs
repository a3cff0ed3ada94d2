//! Notes what statements are about to do, as SQLite itself reports it when it prepares them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// The pragma of a connection that cannot be read.
const UNREADABLE: &str = "case_sensitive_like";

/// What a statement changes, triggers and actions of foreign keys included.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The tables of the main database that it writes to, creates, alters or drops, in lower case.
    pub tables: BTreeSet<String>,
    /// The tables among them that it drops.
    pub dropped: BTreeSet<String>,
    /// True if it alters a table, which may give it another name.
    pub alters: bool,
    /// True if it sets something for the connection: a pragma, an attached database, a temporary object.
    pub sets_session: bool,
    /// True if it sets something that nobody can read, so that it cannot be set back.
    pub cannot_be_undone: bool,
    /// True if it creates, alters or drops something.
    is_definition: bool,
    /// True if it writes to the table that holds the definitions.
    writes_schema: bool,
}

impl Changes {
    /// Returns true if any table may have changed, because the definitions were edited as rows.
    pub fn is_of_everything(&self) -> bool {
        self.writes_schema && !self.is_definition
    }

    fn add(&mut self, context: &AuthContext<'_>) {
        use AuthAction::*;
        let is_main = context.database_name == Some("main");
        match context.action {
            Insert { table_name } | Update { table_name, .. } | Delete { table_name } if is_main => {
                let is_schema = ["sqlite_master", "sqlite_schema"].contains(&table_name);
                self.writes_schema |= is_schema;
                self.tables.extend(Some(folded(table_name)).filter(|_| !is_schema));
            }
            DropTable { table_name } => {
                self.is_definition = true;
                if is_main {
                    self.tables.insert(folded(table_name));
                    self.dropped.insert(folded(table_name));
                }
            }
            CreateTable { table_name } | CreateIndex { table_name, .. } | DropIndex { table_name, .. } => {
                self.is_definition = true;
                self.tables.extend(Some(folded(table_name)).filter(|_| is_main));
            }
            AlterTable { database_name, table_name } => {
                (self.is_definition, self.alters) = (true, true);
                self.tables.extend(Some(folded(table_name)).filter(|_| database_name == "main"));
            }
            CreateTrigger { .. }
            | DropTrigger { .. }
            | CreateView { .. }
            | DropView { .. }
            | CreateVtable { .. }
            | DropVtable { .. } => self.is_definition = true,
            CreateTempIndex { .. }
            | CreateTempTable { .. }
            | CreateTempTrigger { .. }
            | CreateTempView { .. }
            | DropTempIndex { .. }
            | DropTempTable { .. }
            | DropTempTrigger { .. }
            | DropTempView { .. } => {
                (self.is_definition, self.sets_session) = (true, true);
            }
            Pragma { pragma_name, pragma_value: Some(_) } if pragma_name.eq_ignore_ascii_case(UNREADABLE) => {
                (self.sets_session, self.cannot_be_undone) = (true, true);
            }
            Attach { .. } | Detach { .. } | Pragma { pragma_value: Some(_), .. } => self.sets_session = true,
            _ => {}
        }
    }
}

/// SQLite takes names for equal whose ASCII letters differ in case only.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Notes what is prepared on a connection while it is asked to.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Option<Changes>>>);

/// Whose connection is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// haul's: it is closed with all that was set in it.
    Haul,
    /// That of the application, which gets it back. What cannot be set back is denied.
    Application,
}

impl Watch {
    /// Watches a connection.
    pub fn of(connection: &mut Connection, owner: Owner) -> rusqlite::Result<Self> {
        let watch = Self::default();
        let noted = watch.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if let Some(changes) = noted.noted().as_mut() {
                changes.add(&context);
                if changes.cannot_be_undone && owner == Owner::Application {
                    return Authorization::Deny;
                }
            }
            Authorization::Allow
        }))?;
        Ok(watch)
    }

    /// Prepares a statement with `prepare`, and returns what it changes when it runs.
    pub fn during<T>(&self, prepare: impl FnOnce() -> T) -> (T, Changes) {
        *self.noted() = Some(Changes::default());
        let prepared = prepare();
        (prepared, self.noted().take().unwrap_or_default())
    }

    fn noted(&self) -> MutexGuard<'_, Option<Changes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
