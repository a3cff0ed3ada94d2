//! Errors of phases 2 to 4: each names the file, the phase and the next command.

use rusqlite::{Connection, ErrorCode};

use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;
use crate::upgrade::set::Member;

/// Where a phase works, for messages.
#[derive(Debug, Clone)]
pub struct Place {
    file: String,
    phase: &'static str,
}

impl Place {
    /// Returns the place of a phase that works on `connection`. A private copy has the name of its database.
    pub fn new(connection: &Connection, member: &Member, phase: &'static str) -> Self {
        let path = connection.path().filter(|path| !path.is_empty());
        Self { file: path.map_or_else(|| member.key.clone(), str::to_owned), phase }
    }

    /// The command that runs the phase again.
    pub fn again(&self) -> String {
        format!("run `haul upgrade {}` again", self.phase)
    }

    fn what(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {}: {what}", self.file, self.phase)
    }

    /// Converts an error of SQLite: what may pass ends with 75, faults of the data with 65, and a statement that does not
    /// fit the database with 2.
    pub fn error(&self, doing: &str, error: rusqlite::Error) -> Error {
        let code = error.sqlite_error_code();
        let hint = engine_error(error);
        let what = self.what(if doing.is_empty() { hint.to_string() } else { format!("{doing}: {hint}") });
        let temporary = |advice: &str| format!("{advice}, then {}", self.again());
        use ErrorCode::*;
        match code {
            Some(DatabaseBusy | DatabaseLocked) => {
                Error::Database { what, next: temporary("end the other writer"), temporary: true, source: None }
            }
            Some(DiskFull) => Error::Database {
                what,
                next: temporary("free space on that file system"),
                temporary: true,
                source: None,
            },
            Some(SystemIoFailure | OutOfMemory | OperationInterrupted | CannotOpen | ReadOnly | PermissionDenied) => {
                Error::Database {
                    what,
                    next: temporary("see that the file can be read and written"),
                    temporary: true,
                    source: None,
                }
            }
            Some(ConstraintViolation | DatabaseCorrupt | NotADatabase | TypeMismatch | TooBig) => self.data_error(what),
            _ => Error::Usage { what, next: self.unfit_next() },
        }
    }

    fn data_error(&self, what: String) -> Error {
        let next =
            format!("look at the data that it names, or go back with `haul upgrade rollback`; then {}", self.again());
        Error::Verification { what, next, source: None }
    }

    fn unfit_next(&self) -> String {
        "look at the definition of the upgrade; go back with `haul upgrade rollback` and start over with `haul upgrade plan`"
            .into()
    }

    /// Returns the error of data that are not as they must be.
    pub fn bad_data(&self, what: impl std::fmt::Display) -> Error {
        self.data_error(self.what(what))
    }

    /// Returns the error of a definition or a plan that does not fit the database.
    pub fn unfit(&self, what: impl std::fmt::Display) -> Error {
        Error::Usage { what: self.what(what), next: self.unfit_next() }
    }

    /// Returns the error of something that may pass.
    pub fn for_now(&self, what: impl std::fmt::Display, advice: &str) -> Error {
        Error::Database {
            what: self.what(what),
            next: format!("{advice}, then {}", self.again()),
            temporary: true,
            source: None,
        }
    }
}

/// Runs `work` in a transaction, which is rolled back if it fails.
pub fn in_transaction<T>(
    connection: &Connection,
    doing: &str,
    place: &Place,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let wrap = |error| place.error(doing, error);
    connection.execute_batch("BEGIN IMMEDIATE").map_err(wrap)?;
    let result = work().and_then(|value| connection.execute_batch("COMMIT").map(|()| value).map_err(wrap));
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(wrap)?;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_exit_code_of_what_can_be_done() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a NOT NULL)").unwrap();
        let place = Place { file: "a.db".into(), phase: "schema" };
        let constraint = connection.execute("INSERT INTO t VALUES (NULL)", []).unwrap_err();
        let error = place.error("group x", constraint);
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains("a.db: schema: group x: NOT NULL constraint failed"), "{error}");
        let unknown = connection.execute("INSERT INTO u VALUES (NULL)", []).unwrap_err();
        let error = place.error("", unknown);
        assert_eq!(error.exit_code(), 2);
        assert!(error.next_step().unwrap().contains("haul upgrade"));
        connection.execute_batch("PRAGMA query_only = ON").unwrap();
        let refused = connection.execute("INSERT INTO t VALUES (1)", []).unwrap_err();
        assert_eq!(place.error("", refused).exit_code(), 75);
        assert_eq!(place.for_now("slow", "wait").exit_code(), 75);
        assert_eq!(place.bad_data("x").exit_code(), 65);
        assert_eq!(place.unfit("x").exit_code(), 2);
    }
}
