//! haul's own queries, which reader, writer and lock share.

use postgres::types::{ToSql, Type};
use postgres::{Client, Row};

use super::errors::engine_error;
use crate::db::database::Value;
use crate::db::engine_error::EngineError;

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns true for the number that stands for a true condition.
pub(super) fn flag(value: &Value) -> bool {
    value.integer() == Some(1)
}

pub(super) fn columns(client: &mut Client, schema: &str, table: &str) -> Result<Vec<String>, EngineError> {
    let sql = "SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN \
               pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 \
               AND NOT a.attisdropped ORDER BY a.attnum";
    let rows = query(client, sql, &[schema.into(), table.into()])?;
    Ok(rows.into_iter().flatten().map(Value::into_text).collect())
}

pub(super) fn has_table(client: &mut Client, table: &str) -> Result<bool, EngineError> {
    let sql = "SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND \
               pg_catalog.pg_table_is_visible(c.oid)";
    let rows = query(client, sql, &[table.into()])?;
    Ok(rows.into_iter().flatten().next().and_then(|count| count.integer()).is_some_and(|count| count > 0))
}

/// Runs one statement whose columns are all `bigint` or `text`.
pub(super) fn query(client: &mut Client, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().map(parameter).collect();
    let rows = client.query_typed(sql, &parameters).map_err(|error| engine_error(&error))?;
    rows.iter().map(|row| values_of(row).map_err(|error| engine_error(&error))).collect()
}

fn parameter(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Integer(number) => (number, Type::INT8),
        Value::Text(text) => (text, Type::TEXT),
    }
}

fn values_of(row: &Row) -> Result<Vec<Value>, postgres::Error> {
    let value = |(index, column): (usize, &postgres::Column)| match *column.type_() {
        Type::INT8 => row.try_get(index).map(Value::Integer),
        _ => row.try_get(index).map(Value::Text),
    };
    row.columns().iter().enumerate().map(value).collect()
}
