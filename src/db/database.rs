//! What the runner needs of a database engine.
//!
//! Two traits, so that what only looks cannot write: [`ReadDatabase`] is all that plans, statuses and dry runs get, and
//! its connections are opened read-only; [`Database`] is what a run gets.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::backup::Backup;
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
    /// The text, empty for NULL.
    pub fn into_text(self) -> String {
        self.into_optional_text().unwrap_or_default()
    }

    /// The text or NULL; a number as text.
    pub fn into_optional_text(self) -> Option<String> {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.map(|number| number.to_string()),
        }
    }

    /// The number, or nothing for NULL and for a text.
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

/// Who holds the lock of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockHolder {
    /// Who it is, as they say themselves.
    pub owner: String,
    /// The process that holds it: of this or another host for SQLite, of the server for PostgreSQL.
    pub pid: Option<i64>,
    /// Since when, as RFC 3339, where it is known.
    pub since: Option<String>,
    /// Where a client of PostgreSQL connects from; `local` for a socket.
    pub client: Option<String>,
}

/// Limits of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For all of it, by the clock on the wall; `None` is none.
    pub timeout: Option<Duration>,
    /// For each wait for a lock; `None` is the engine's own.
    pub lock_timeout: Option<Duration>,
    /// True if SQLite enforces foreign keys.
    pub foreign_keys: bool,
    /// True if SQLite compares what violates foreign keys before the commit with what did at the start.
    pub checks_foreign_keys: bool,
}

/// A database that is only looked at.
pub trait ReadDatabase {
    /// Whose SQL it takes.
    fn dialect(&self) -> Dialect;
    /// Which database it is, without any secret.
    fn place(&self) -> String;
    /// Runs a statement of haul's own and returns its rows.
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError>;
    /// The names of the columns of a table of haul's own, in their order; empty if there is no such table.
    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError>;
    /// The tables of this name, wherever statements of migrations would find them.
    fn has_table(&mut self, table: &str) -> Result<bool, EngineError>;
    /// How statements name a table of haul's own: quoted, and with its schema.
    fn table_reference(&self, table: &str) -> String;
    /// Who holds the lock of the runs that keep their ledger in `table`.
    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error>;
}

/// A database that migrations are run on.
///
/// The order of calls is that of docs/source-sql.md, "Order of one migration": [`try_lock`](Self::try_lock); then for
/// each section [`arm`](Self::arm), [`begin`](Self::begin), [`run`](Self::run) for each statement,
/// [`check_before_commit`](Self::check_before_commit), [`disarm`](Self::disarm), [`commit`](Self::commit). A section
/// without a transaction leaves out `begin` and `commit`, and ends with [`reset`](Self::reset).
pub trait Database: ReadDatabase {
    /// Takes the lock of the runs that keep their ledger in `table`, held until [`unlock`](Self::unlock), or until the
    /// database is dropped or the process ends. The inner error names who has it.
    fn try_lock(&mut self, table: &str, owner: &str) -> Result<Result<(), LockHolder>, Error>;
    /// True if the lock that was taken is still held.
    fn holds_lock(&mut self) -> Result<bool, EngineError>;
    /// Gives the lock back.
    fn unlock(&mut self) -> Result<(), EngineError>;
    /// Ends the process or session that holds the lock, as [`lock_holder`](ReadDatabase::lock_holder) has named it.
    fn end_lock_holder(&mut self, table: &str, holder: &LockHolder) -> Result<(), Error>;
    /// Copies the database into a file of `directory`, or of the engine's own choice, whole and durable on return. Called
    /// outside of transactions; `stop` is looked at every now and then.
    fn back_up(&mut self, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error>;
    /// Begins to count the time of a section. Statements are cancelled when it is up, and when `stop` is requested.
    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError>;
    /// Stops counting. True if the limit was passed, and a statement may have been cancelled for it.
    fn disarm(&mut self) -> bool;
    /// Opens the transaction that a section and its row in the ledger share.
    fn begin(&mut self) -> Result<(), EngineError>;
    /// Runs one statement of a migration.
    fn run(&mut self, statement: &str) -> Result<(), EngineError>;
    /// Proves that the transaction is still the one that was begun, that what it holds may be committed, that the lock is
    /// still held if it was taken, and that the section has left no setting behind.
    fn check_before_commit(&mut self) -> Result<(), EngineError>;
    /// Commits the transaction.
    fn commit(&mut self) -> Result<(), EngineError>;
    /// Rolls back whatever transaction is open; none is no error.
    fn rollback(&mut self) -> Result<(), EngineError>;
    /// Takes back the settings of a section that ran without a transaction. An open transaction is an error, and rolled
    /// back.
    fn reset(&mut self) -> Result<(), EngineError>;
}
