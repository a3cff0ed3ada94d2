//! A SQLite database that is only read, in one transaction.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::connect::{self, FileKind};
use super::errors::engine_error;
use super::lock;
use crate::db::database::{LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

/// A database that is open for reading only. All of its queries see the state that the first one has seen, whatever others
/// commit meanwhile; without a write-ahead log, they wait with that until this is dropped. A database that does not exist
/// yet reads as an empty one, and is not created.
pub struct SqliteReader {
    connection: Connection,
    path: PathBuf,
}

impl SqliteReader {
    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = match connect::inspect(path)? {
            FileKind::Database => connect::open_for_read(path)?,
            FileKind::Empty if !lock::has_lock_file(path) => return Err(connect::empty_file(path)),
            FileKind::Nothing | FileKind::Empty => connect::open_temporary()?,
        };
        let begin = connection.execute_batch("BEGIN");
        begin.map_err(|error| engine_error(error).at(&connect::place(path)))?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// Returns the connection, for a copy of the database.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl ReadDatabase for SqliteReader {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn place(&self) -> String {
        connect::place(&self.path)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        query(&self.connection, sql, parameters)
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        columns(&self.connection, table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        columns(&self.connection, table).map(|columns| !columns.is_empty())
    }

    fn table_reference(&self, table: &str) -> String {
        table_reference(table)
    }

    fn lock_holder(&mut self, _table: &str) -> Result<Option<LockHolder>, Error> {
        Ok(lock::holder(&self.path))
    }
}

pub(super) fn table_reference(table: &str) -> String {
    format!("main.\"{table}\"")
}

pub(super) fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, EngineError> {
    let sql = "SELECT name FROM pragma_table_info(?1, 'main') ORDER BY cid";
    let rows = query(connection, sql, &[table.into()])?;
    Ok(rows.into_iter().flatten().map(Value::into_text).collect())
}

pub(super) fn query(connection: &Connection, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
    let read = || {
        let mut statement = connection.prepare_cached(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(parameters.iter().map(parameter)))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..width).map(|index| row.get_ref(index).map(value));
            found.push(values.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    };
    read().map_err(engine_error)
}

fn parameter(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Text(None),
        ValueRef::Integer(number) => Value::Integer(Some(number)),
        ValueRef::Real(number) => Value::Text(Some(number.to_string())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Text(Some(String::from_utf8_lossy(bytes).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_one_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE a (a INT)").unwrap();
        let mut reader = SqliteReader::open(&path).unwrap();
        let mut tables = || reader.query("SELECT count(*) FROM sqlite_schema", &[]).unwrap();
        assert_eq!(tables(), [[Value::from(1)]]);
        writer.execute_batch("CREATE TABLE b (a INT)").unwrap();
        assert_eq!(tables(), [[Value::from(1)]]);
        let mut other = SqliteReader::open(&path).unwrap();
        assert_eq!(other.query("SELECT count(*) FROM sqlite_schema", &[]).unwrap(), [[Value::from(2)]]);
    }
}
