//! Errors of SQLite, with the file that they concern.

use std::path::Path;

use crate::db::sqlite::{connect, errors};
use crate::migration::Error;

/// Returns what converts an error of SQLite about `file`. A statement that a stop has interrupted is a stop.
pub fn failed(file: &Path) -> impl Fn(rusqlite::Error) -> Error {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Error::stopped(),
        _ => errors::engine_error(error).at(&connect::place(file)),
    }
}
