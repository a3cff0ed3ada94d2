//! The names that a query of the user returns.

use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};

/// Returns the first column of a query of the user, which can only read: the database is open for reading.
pub(super) fn names(database: &mut dyn ReadDatabase, sql: &str) -> Result<Vec<String>, EngineError> {
    let sql = sql.trim().trim_end_matches(';');
    // A line of its own, in case that the text ends with a comment.
    let sql = match database.dialect() {
        Dialect::Postgres => format!("SELECT named.name::text FROM (\n{sql}\n) AS named (name)"),
        Dialect::Sqlite => sql.to_owned(),
    };
    let name = |row: Vec<Value>| {
        let no_name = || EngineError::new(EngineErrorKind::Unusable, "a row of the query has no name");
        row.into_iter().next().and_then(Value::into_optional_text).filter(|name| !name.is_empty()).ok_or_else(no_name)
    };
    database.query(&sql, &[])?.into_iter().map(name).collect()
}
