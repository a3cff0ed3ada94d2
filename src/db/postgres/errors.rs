//! Converts errors of PostgreSQL.

use postgres::Error;
use postgres::error::{ErrorPosition, SqlState};

use super::tls::{explained, hint_of_answer};
use crate::db::engine_error::{EngineError, EngineErrorKind};

/// The server's reason for an end of the session can be lost with the connection.
const CUT_OFF: &str = "the log of the server says why it ended the session: it may have gone down, or a limit of this role or \
                       database did it (idle_in_transaction_session_timeout, idle_session_timeout; ALTER ROLE or ALTER DATABASE \
                       … SET lifts them); then run the same command again";

/// Converts the error of the server, with its SQLSTATE.
pub fn engine_error(error: &Error) -> EngineError {
    let Some(answer) = error.as_db_error() else {
        if let Some(fault) = explained(error) {
            return fault;
        }
        let found = EngineError::new(kind_without_code(error), chain(error));
        return if is_cut_off(error) { found.with_hint(CUT_OFF) } else { found };
    };
    let mut message = answer.message().to_owned();
    if let Some(detail) = answer.detail() {
        message = format!("{message}: {detail}");
    }
    let mut found = EngineError::new(kind(answer.code()), message);
    found.code = Some(format!("SQLSTATE {}", answer.code().code()));
    found.offset = match answer.position() {
        // The server counts characters from 1. Only the line is shown, so treating them as bytes is close enough.
        Some(ErrorPosition::Original(position)) => usize::try_from(*position).ok().and_then(|at| at.checked_sub(1)),
        _ => None,
    };
    let hint = hint_of_answer(answer.code().code(), answer.message()).or_else(|| hint(answer.code()));
    found.hint = hint.map(str::to_owned).or_else(|| answer.hint().map(str::to_owned));
    found
}

/// Classifies an error that did not come from the server: it could not be reached, or the connection was lost.
fn kind_without_code(error: &Error) -> EngineErrorKind {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let is_io = causes.any(|cause| cause.is::<std::io::Error>());
    if is_io || error.is_closed() { EngineErrorKind::Disconnected } else { EngineErrorKind::Statement }
}

/// Returns true if the server ended a connection that was open.
fn is_cut_off(error: &Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let is_reset = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
    };
    error.is_closed() || causes.any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_reset))
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(std::error::Error::source(error), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn kind(code: &SqlState) -> EngineErrorKind {
    if *code == SqlState::QUERY_CANCELED {
        EngineErrorKind::Cancelled
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        EngineErrorKind::LockNotAvailable
    } else if matches!(code.code(), "57P01" | "57P02" | "57P03" | "08000" | "08003" | "08006" | "53300") {
        EngineErrorKind::Disconnected
    } else {
        EngineErrorKind::Statement
    }
}

fn hint(code: &SqlState) -> Option<&'static str> {
    Some(match code.code() {
        "25001" => "move it to a file of its own with the line `-- haul: no-transaction` at the top",
        "55P04" => "a value added to an enum can be used only after its transaction: split the migration in two",
        "55P03" => {
            "another session holds a lock on that table: run again when it is done, or raise `-- haul: lock-timeout`"
        }
        "57014" => {
            "if a statement_timeout of this role or database ended it, begin the file with SET LOCAL statement_timeout = 0, or \
             lift it with ALTER ROLE or ALTER DATABASE … SET; if the file sets one, raise it there"
        }
        "42501" => "give this role the privilege, or run as the owner",
        "25006" => "the database or this session is read-only: connect to the primary, or as a role that may write",
        "3F000" => "create the schema, or set the search_path of the role",
        "25P03" | "57P05" | "25P04" => {
            "a limit of the server for this role or database ended the session: lift it with ALTER ROLE or ALTER DATABASE … \
             SET idle_in_transaction_session_timeout = 0"
        }
        "28P01" | "28000" => "check user and password in the URL",
        "3D000" => "check the name of the database in the URL, or create it with `haul db create-database`",
        _ => return None,
    })
}
