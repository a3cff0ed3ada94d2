//! Converts errors of SQLite.

use rusqlite::{Error, ErrorCode, ffi};

use crate::db::engine_error::{EngineError, EngineErrorKind};

/// Converts the error, with the name of its result code.
pub fn engine_error(error: Error) -> EngineError {
    let (offset, code) = match &error {
        Error::SqlInputError { offset, error, .. } => (usize::try_from(*offset).ok(), Some(*error)),
        Error::SqliteFailure(error, _) => (None, Some(*error)),
        _ => (None, None),
    };
    let message = match &error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let mut found = EngineError::new(kind(code), message);
    found.offset = offset;
    found.code = code.map(|code| code_name(code.extended_code));
    found.hint = hint(code);
    if found.message.contains("string literal in single-quotes") {
        found.hint = Some(
            "haul takes a name in double quotes for a name, never for a text: write the text in single quotes; an index, \
             view or trigger that was made with such a text has to be dropped and made again first"
                .into(),
        );
    }
    found
}

fn kind(code: Option<ffi::Error>) -> EngineErrorKind {
    match code.map(|code| code.code) {
        Some(ErrorCode::OperationInterrupted) => EngineErrorKind::Cancelled,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => EngineErrorKind::LockNotAvailable,
        Some(ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::ReadOnly) => EngineErrorKind::Unusable,
        _ => EngineErrorKind::Statement,
    }
}

/// Returns the name that people search for; other codes are shown as numbers.
fn code_name(extended: i32) -> String {
    let name = match extended & 0xff {
        ffi::SQLITE_ERROR => "SQLITE_ERROR",
        ffi::SQLITE_BUSY => "SQLITE_BUSY",
        ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
        ffi::SQLITE_READONLY => "SQLITE_READONLY",
        ffi::SQLITE_INTERRUPT => "SQLITE_INTERRUPT",
        ffi::SQLITE_IOERR => "SQLITE_IOERR",
        ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
        ffi::SQLITE_FULL => "SQLITE_FULL",
        ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
        ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
        ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
        ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
        _ => return format!("SQLite code {extended}"),
    };
    name.into()
}

fn hint(code: Option<ffi::Error>) -> Option<String> {
    let code = code?;
    let hint = match code.code {
        // A database whose writer was killed can only be read after a connection that may write has rolled back.
        ErrorCode::ReadOnly => {
            "let this user write to the database and to its directory; if a writer was killed, \
                                `haul db migrate` rolls back what it had begun"
        }
        ErrorCode::DatabaseBusy => {
            "wait until the other writer of the database is done, then run the same command again"
        }
        ErrorCode::DiskFull => "free space on that file system, then run the same command again",
        ErrorCode::DatabaseCorrupt => "check it with `PRAGMA integrity_check`, and restore it from a backup",
        _ => return None,
    };
    Some(hint.into())
}
