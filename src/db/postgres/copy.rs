//! Sends the data of `COPY … FROM STDIN`.

use std::io::Write;

use postgres::Client;

use super::errors::engine_error;
use crate::db::engine_error::{EngineError, EngineErrorKind};

/// A failure, with the line of the data that the server names.
pub(super) struct CopyError {
    error: EngineError,
    /// The line, counted from 1.
    line: Option<usize>,
}

impl CopyError {
    /// Returns the error with its place in the statement, whose data begin at `data_start`.
    pub fn in_data(mut self, statement: &str, data_start: usize) -> EngineError {
        if let Some(line) = self.line {
            let ends = memchr::memchr_iter(b'\n', &statement.as_bytes()[data_start..]);
            let start = line.checked_sub(2).map_or(Some(0), |index| ends.map(|end| end + 1).nth(index));
            self.error.offset = start.map(|start| data_start + start);
            self.error.message = format!("line {line} of the data: {}", self.error.message);
        }
        self.error
    }
}

impl From<postgres::Error> for CopyError {
    fn from(error: postgres::Error) -> Self {
        // "COPY t, line 2, column a: …"; the text behind it quotes the data.
        let place = error.as_db_error().and_then(|answer| answer.where_());
        let line = place.and_then(|place| place.split_once(", line ")).map(|(_, rest)| rest);
        let digits = line.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
        Self { line: digits.and_then(|digits| digits.parse().ok()), error: engine_error(&error) }
    }
}

/// Runs the command and sends the data.
pub(super) fn copy_in(client: &mut Client, command: &str, data: &str) -> Result<(), CopyError> {
    let mut writer = client.copy_in(command)?;
    match writer.write_all(data.as_bytes()) {
        Ok(()) => writer.finish().map(drop).map_err(Into::into),
        Err(error) => Err(match error.into_inner().map(|cause| cause.downcast::<postgres::Error>()) {
            Some(Ok(cause)) => (*cause).into(),
            _ => {
                let what = "the connection ended while the data were sent";
                CopyError { error: EngineError::new(EngineErrorKind::Disconnected, what), line: None }
            }
        }),
    }
}
