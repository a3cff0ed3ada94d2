//! The session of a connection that the application has opened and gets back: what a section leaves in it is removed,
//! and what it has changed is set to what it was.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::errors::engine_error;
use super::reader;
use crate::db::database::Value;
use crate::db::engine_error::EngineError;

/// The pragmas that hold for a connection and can be read. Others hold for the file, or only act.
const PRAGMAS: [&str; 26] = [
    "analysis_limit",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "foreign_keys",
    "fullfsync",
    "ignore_check_constraints",
    "journal_size_limit",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "wal_autocheckpoint",
    "writable_schema",
];
const QUOTES: [DbConfig; 2] = [DbConfig::SQLITE_DBCONFIG_DQS_DDL, DbConfig::SQLITE_DBCONFIG_DQS_DML];

/// What a connection was like when haul got it.
pub struct CallersSession {
    pragmas: Vec<(&'static str, String)>,
    /// True where a name in double quotes may be a text.
    quotes: Vec<bool>,
    attached: BTreeSet<String>,
    /// The temporary objects, each with its kind.
    temporary: BTreeSet<(String, String)>,
}

impl CallersSession {
    /// Reads what is set.
    pub fn of(connection: &Connection) -> Result<Self, EngineError> {
        let pragma = |name: &'static str| Ok(value(connection, name)?.map(|value| (name, value)));
        let pragmas = PRAGMAS.into_iter().map(pragma).collect::<Result<Vec<_>, EngineError>>()?;
        let quotes = QUOTES.into_iter().map(|option| connection.db_config(option).map_err(engine_error));
        Ok(Self {
            pragmas: pragmas.into_iter().flatten().collect(),
            quotes: quotes.collect::<Result<_, _>>()?,
            attached: attached(connection)?,
            temporary: temporary(connection)?.into_iter().collect(),
        })
    }

    /// Removes and resets what was left since.
    pub fn restore(&self, connection: &Connection) -> Result<(), EngineError> {
        let run = |sql: String| connection.execute_batch(&sql).map_err(engine_error);
        for name in attached(connection)?.difference(&self.attached) {
            run(format!("DETACH {}", quoted(name)))?;
        }
        // Triggers and views come first; the indexes of a table go with it.
        for (kind, name) in temporary(connection)? {
            if !self.temporary.contains(&(kind.clone(), name.clone())) {
                run(format!("DROP {kind} IF EXISTS temp.{}", quoted(&name)))?;
            }
        }
        for (name, before) in &self.pragmas {
            if value(connection, name)?.as_ref() != Some(before) {
                run(format!("PRAGMA {name} = {before}"))?;
            }
        }
        Ok(())
    }

    /// Restores everything, also what haul sets itself.
    pub fn give_back(&self, connection: &mut Connection) -> Result<(), EngineError> {
        connection.progress_handler(0, None::<fn() -> bool>).map_err(engine_error)?;
        self.restore(connection)?;
        for (option, before) in QUOTES.into_iter().zip(&self.quotes) {
            connection.set_db_config(option, *before).map_err(engine_error)?;
        }
        let nobody = None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>;
        connection.authorizer(nobody).map_err(engine_error)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the value of a pragma, if this build of SQLite has it.
fn value(connection: &Connection, name: &str) -> Result<Option<String>, EngineError> {
    let rows = reader::query(connection, &format!("PRAGMA {name}"), &[])?;
    Ok(rows.into_iter().flatten().next().and_then(Value::into_optional_text))
}

fn attached(connection: &Connection) -> Result<BTreeSet<String>, EngineError> {
    let rows = reader::query(connection, "SELECT name FROM pragma_database_list WHERE name <> 'temp'", &[])?;
    Ok(rows.into_iter().flatten().map(Value::into_text).collect())
}

fn temporary(connection: &Connection) -> Result<Vec<(String, String)>, EngineError> {
    let sql = "SELECT type, name FROM temp.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE \
               '\\' ORDER BY \
               CASE type WHEN 'trigger' THEN 1 WHEN 'view' THEN 2 WHEN 'table' THEN 3 ELSE 4 END";
    let object = |row: Vec<Value>| {
        let mut values = row.into_iter().map(Value::into_text);
        (values.next().unwrap_or_default(), values.next().unwrap_or_default())
    };
    Ok(reader::query(connection, sql, &[])?.into_iter().map(object).collect())
}
