//! What a database engine answers when it does not do what it was asked to.

use std::fmt;

use crate::migration::{Error, redacted};

/// An answer of an engine, without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError {
    /// What kind of failure it is.
    pub kind: EngineErrorKind,
    /// What the engine says.
    pub message: String,
    /// SQLSTATE of PostgreSQL; the result code of SQLite as `SQLITE_BUSY` or a number.
    pub code: Option<String>,
    /// Where in the statement, in bytes, if the engine knows.
    pub offset: Option<usize>,
    /// What may help.
    pub hint: Option<String>,
}

/// Kinds of failures that the runner treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// The statement failed; the engine is as it was.
    Statement,
    /// The section was cancelled, and it is yet to be seen why.
    Cancelled,
    /// The run was asked to stop, and the section was cancelled for that.
    Stopped,
    /// Another connection holds a lock for too long.
    LockNotAvailable,
    /// The database cannot be reached, or no longer.
    Disconnected,
    /// The transaction is not the one that was begun.
    TransactionLost,
    /// The database cannot be opened as what is asked for.
    Unusable,
}

impl EngineError {
    /// An error without code and place. Secrets are taken out of the message.
    pub fn new(kind: EngineErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: redacted(message.as_ref()), code: None, offset: None, hint: None }
    }

    /// With what may help.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// As the end of a command on the database at `place`.
    pub fn at(self, place: &str) -> Error {
        use EngineErrorKind::*;
        let temporary = matches!(self.kind, LockNotAvailable | Disconnected);
        let next = self.hint.clone().unwrap_or_else(|| {
            let step = match self.kind {
                LockNotAvailable => {
                    "wait for the other connection to end its transaction, then run the same command again"
                }
                Disconnected => "see that the database is up and can be reached, then run the same command again",
                _ => "look at what the database says, then run the same command again",
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
