//! Errors of a database engine.

use std::fmt;

use crate::migration::{Error, redacted};

/// An error of an engine. It holds no secret.
///
/// It has no source on purpose: the errors of the drivers may quote a connection string or a statement with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// The kind of the failure.
    pub kind: EngineErrorKind,
    /// The message of the engine, without secrets.
    pub message: String,
    /// The SQLSTATE of PostgreSQL; the result code of SQLite as `SQLITE_BUSY` or a number.
    pub code: Option<String>,
    /// The position in the statement, in bytes, if the engine knows it.
    pub offset: Option<usize>,
    /// What may help.
    pub hint: Option<String>,
}

/// The kinds of failures that the runner treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// The statement failed; the engine is in the state that it had before.
    Statement,
    /// The statement was cancelled. The runner finds out whether the time limit or a request to stop was the cause.
    Cancelled,
    /// The section was cancelled because the run was asked to stop.
    Stopped,
    /// Another connection holds a lock for too long.
    LockNotAvailable,
    /// The database cannot be reached, or the connection was lost.
    Disconnected,
    /// The transaction is not the one that the runner began.
    TransactionLost,
    /// The statement took effect, and has set for its session what no other transaction of the section would have.
    UnknownSetting,
    /// The database cannot be opened in the requested way.
    Unusable,
}

impl EngineError {
    /// Creates an error without code and position. Secrets are removed from the message.
    pub fn new(kind: EngineErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: redacted(message.as_ref()), code: None, offset: None, hint: None }
    }

    /// Adds a hint.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Explains the failure of a change of haul's own tables: a migration may have dropped them, or the role may not
    /// write to them.
    pub fn about_own_tables(self, ledger: &str) -> Self {
        let code = self.code.as_deref().unwrap_or_default();
        // PostgreSQL gives no position for what a trigger of a migration misses at the commit.
        let is_gone = (["SQLSTATE 42P01", "SQLSTATE 3F000"].contains(&code) && self.offset.is_some())
            || self.message.starts_with("no such table");
        if is_gone {
            let message =
                format!("haul's own tables ({ledger} and others) are gone, with what they say is applied: {self}");
            return Self { code: None, message, ..self }.with_hint(
                "drop objects instead of the schema that holds haul's tables, or keep these in a schema of their own with \
                 --table SCHEMA.NAME",
            );
        }
        self.about_rights()
    }

    /// Explains that a role may not create haul's own tables or write to them.
    pub fn about_rights(self) -> Self {
        if self.code.as_deref() == Some("SQLSTATE 42501") {
            return self.with_hint(
                "let this role write to haul's tables: GRANT CREATE ON SCHEMA to create them, or GRANT SELECT, INSERT, UPDATE, \
                 DELETE on those that exist; or name a schema of its own with --table SCHEMA.NAME",
            );
        }
        self
    }

    /// Converts it to the error of a command on the database `place`.
    pub fn at(self, place: &str) -> Error {
        use EngineErrorKind::*;
        let temporary = matches!(self.kind, LockNotAvailable | Disconnected);
        let next = self.hint.clone().unwrap_or_else(|| {
            let step = match self.kind {
                LockNotAvailable => {
                    "wait for the other connection to end its transaction, then run the same command again"
                }
                Disconnected => "check that the database is up and can be reached, then run the same command again",
                _ => "read the message of the database, then run the same command again",
            };
            step.into()
        });
        Error::Database { what: format!("{place}: {self}"), next, temporary, source: None }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for EngineError {}
