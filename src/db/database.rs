//! The interface of a database engine that the runner uses.
//!
//! There are two traits, so that code that only reads cannot write: plans, status and dry runs get a [`ReadDatabase`],
//! whose connections are opened read-only; a run gets a [`Database`].

use std::any::Any;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::backup::{Backup, BackupScope};
use super::dialect::Dialect;
use super::engine_error::EngineError;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// A value of one of haul's own tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number, or NULL.
    Integer(Option<i64>),
    /// A text, or NULL.
    Text(Option<String>),
}

impl Value {
    /// Returns the text, or an empty one for NULL.
    pub fn into_text(self) -> String {
        self.into_optional_text().unwrap_or_default()
    }

    /// Returns the text or NULL; a number is converted to text.
    pub fn into_optional_text(self) -> Option<String> {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.map(|number| number.to_string()),
        }
    }

    /// Returns the number, or `None` for NULL and for a text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => *number,
            Self::Text(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

/// A change of haul's own tables, which returns one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The statement, in the SQL of the engine.
    pub sql: String,
    /// Its parameters.
    pub values: Vec<Value>,
}

/// The holder of the lock of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockHolder {
    /// The owner, as the holder wrote it.
    pub owner: String,
    /// The process that holds the lock: on this or another host for SQLite, on the server for PostgreSQL.
    pub pid: Option<i64>,
    /// The start of the lock or session, as RFC 3339, if it is known.
    pub since: Option<String>,
    /// The address of the client of PostgreSQL; `local` for a socket.
    pub client: Option<String>,
}

/// Whether others on the way can read what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// No: the connection is encrypted with TLS. A pool in between may go on without.
    Tls,
    /// Yes: nothing is encrypted.
    Off,
    /// No: it is a socket of this machine.
    Socket,
}

/// The name of a ledger, and what it must look like.
#[derive(Debug, Clone, Copy)]
pub struct LedgerName<'a> {
    /// The schema, if one was named.
    pub schema: Option<&'a str>,
    /// The name of the table.
    pub table: &'a str,
    /// Its first columns.
    pub columns: &'a [&'a str],
}

/// The limits of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The wall-clock limit for the whole section; `None` is no limit.
    pub timeout: Option<Duration>,
    /// The limit for each wait for a lock; `None` is the default of the engine.
    pub lock_timeout: Option<Duration>,
    /// True if SQLite enforces foreign keys.
    pub foreign_keys: bool,
    /// True if SQLite compares the violations of foreign keys before the commit with those at the start.
    pub checks_foreign_keys: bool,
}

/// A database that is only read.
pub trait ReadDatabase {
    /// Returns the SQL dialect.
    fn dialect(&self) -> Dialect;
    /// Returns the name of the database, without any secret.
    fn place(&self) -> String;
    /// Returns how the connection to a server is encrypted. An engine without a server has none.
    fn encryption(&self) -> Option<Encryption> {
        None
    }
    /// Runs one of haul's own statements and returns its rows.
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError>;
    /// Finds the ledger, so that [`columns`](Self::columns) and [`table_reference`](Self::table_reference) are about the
    /// place where it is; one that does not exist yet belongs where new tables are created. Returns its schema if new
    /// tables would be created in another. An engine without schemas has only one place.
    fn find_ledger(&mut self, _ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        Ok(None)
    }
    /// Begins to read the schema: all names are returned with their schemas until [`end_reading`](Self::end_reading),
    /// and no other session notices that. An engine without schemas has nothing to do.
    fn begin_reading(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Ends what [`begin_reading`](Self::begin_reading) has begun.
    fn end_reading(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
    /// Returns the names of the columns of one of haul's own tables, in order; empty if there is no such table.
    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError>;
    /// Returns true if there is a table of this name where statements of migrations would find it.
    fn has_table(&mut self, table: &str) -> Result<bool, EngineError>;
    /// Returns the reference to one of haul's own tables for use in statements: quoted, and with its schema.
    fn table_reference(&self, table: &str) -> String;
    /// Returns the holder of the lock for the ledger `table`.
    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error>;
}

/// A database that migrations run on.
///
/// The order of calls is that of docs/source-sql.md, "Order of one migration": [`try_lock`](Self::try_lock); then for
/// each section [`arm`](Self::arm), [`begin`](Self::begin), [`run`](Self::run) for each statement,
/// [`check_before_commit`](Self::check_before_commit), [`disarm`](Self::disarm), [`commit`](Self::commit). A section
/// without a transaction leaves out `begin` and `commit`, and ends with [`reset`](Self::reset).
pub trait Database: ReadDatabase + Any + Send {
    /// Takes the lock for the ledger `table`. It is held until [`unlock`](Self::unlock), or until the database is
    /// dropped or the process ends. The inner error names the holder.
    fn try_lock(&mut self, table: &str, owner: &str) -> Result<Result<(), LockHolder>, Error>;
    /// Returns true if the lock is still held.
    fn holds_lock(&mut self) -> Result<bool, EngineError>;
    /// Releases the lock.
    fn unlock(&mut self) -> Result<(), EngineError>;
    /// Ends the process or session that holds the lock, which [`lock_holder`](ReadDatabase::lock_holder) has returned.
    fn end_lock_holder(&mut self, table: &str, holder: &LockHolder) -> Result<(), Error>;
    /// Copies the database, or at least what `scope` says, into a file in `directory`, or in a directory that the engine
    /// chooses. The copy is complete and durable on return. Must be called outside of transactions. `stop` is checked
    /// regularly.
    fn back_up(&mut self, scope: &BackupScope, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error>;
    /// Returns the commands that restore a backup, each as a list of words.
    fn restore_commands(&self, backup: &Path) -> Vec<Vec<String>>;
    /// Starts the time limit of a section. Statements are cancelled when it has passed, and when `stop` is requested.
    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError>;
    /// Stops the time limit. Returns true if it has passed, so that a statement may have been cancelled for it.
    fn disarm(&mut self) -> bool;
    /// Begins the transaction that a section shares with its row in the ledger.
    fn begin(&mut self) -> Result<(), EngineError>;
    /// Returns what the engine had to say about the statements of migrations since the last call, and forgets it.
    fn take_notices(&mut self) -> Vec<String>;
    /// Runs one statement of a migration.
    fn run(&mut self, statement: &str) -> Result<(), EngineError>;
    /// Checks that the transaction is still the one that was begun, that its changes may be committed, that the lock is
    /// still held if it was taken, and that the section has left no session setting behind. An engine with a server may
    /// do so together with haul's next statement or the commit, which then fails.
    fn check_before_commit(&mut self) -> Result<(), EngineError>;
    /// Ends a part of the open transaction, as if another transaction followed: checks what
    /// [`check_before_commit`](Self::check_before_commit) does and what a commit would, and removes what the part has
    /// left in the session. The limits stay.
    fn end_part(&mut self) -> Result<(), EngineError>;
    /// Commits the transaction.
    fn commit(&mut self) -> Result<(), EngineError>;
    /// Makes changes of haul's own and commits the transaction, on an engine with a server in one message. Returns the
    /// number that each change has returned, if it has changed anything.
    fn commit_with(&mut self, changes: &[Change]) -> Result<Vec<Option<i64>>, EngineError> {
        let mut numbers = Vec::with_capacity(changes.len());
        for change in changes {
            let rows = self.query(&change.sql, &change.values)?;
            numbers.push(rows.first().and_then(|row| row.first()).and_then(Value::integer));
        }
        self.commit().map(|()| numbers)
    }
    /// Rolls back the open transaction, if there is one.
    fn rollback(&mut self) -> Result<(), EngineError>;
    /// Resets the settings that haul's own statements depend on, so that these do not run as another role or in another
    /// way. The limits of the section stay.
    fn reset_settings(&mut self) -> Result<(), EngineError>;
    /// Returns what is set in the session, with a name for each thing: settings, the role, temporary objects. An engine
    /// whose statements say all that they set has nothing to return.
    fn session_state(&mut self) -> Result<Vec<(String, String)>, EngineError> {
        Ok(Vec::new())
    }
    /// Resets the session settings of a section that ran without a transaction. An open transaction is rolled back and
    /// is an error.
    fn reset(&mut self) -> Result<(), EngineError>;
    /// Removes what a section has left in its session, at the latest before the next statement of a migration: settings,
    /// temporary objects, prepared statements, cursors, attached databases.
    fn forget_session(&mut self) -> Result<(), EngineError>;
}
