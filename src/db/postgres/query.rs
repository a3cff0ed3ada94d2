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

/// Runs one statement and returns how many rows it has changed.
pub(super) fn execute(client: &mut Client, sql: &str, values: &[Value]) -> Result<u64, EngineError> {
    let parameters: Vec<_> = values.iter().map(parameter).collect();
    client.execute_typed(sql, &parameters).map_err(|error| engine_error(&error))
}

fn parameter(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Integer(number) => (number, Type::INT8),
        Value::Text(text) => (text, Type::TEXT),
    }
}

/// Returns a statement with its values in the place of its parameters, for a message of several statements, which cannot
/// have parameters. What is in double quotes is a name.
pub(super) fn with_literals(sql: &str, values: &[Value]) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    for (index, part) in sql.split('"').enumerate() {
        let is_name = index % 2 == 1;
        text.push_str(if index > 0 { "\"" } else { "" });
        let mut pieces = part.split('$');
        text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
            let number = piece[..digits].parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            match number.and_then(|index| values.get(index)).filter(|_| !is_name) {
                Some(value) => text.extend([&literal(value), &piece[digits..]]),
                None => text.extend(["$", piece]),
            }
        }
    }
    text
}

/// Returns a value as SQL that means the same whatever a session has set.
fn literal(value: &Value) -> String {
    match value {
        Value::Integer(Some(number)) => format!("'{number}'::bigint"),
        Value::Integer(None) => "NULL::bigint".into(),
        Value::Text(Some(text)) => format!("E'{}'::text", text.replace('\\', "\\\\").replace('\'', "''")),
        Value::Text(None) => "NULL::text".into(),
    }
}

fn values_of(row: &Row) -> Result<Vec<Value>, postgres::Error> {
    let value = |(index, column): (usize, &postgres::Column)| match *column.type_() {
        Type::INT8 => row.try_get(index).map(Value::Integer),
        _ => row.try_get(index).map(Value::Text),
    };
    row.columns().iter().enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_parameters_and_names_stay() {
        let values = [Value::from("it's \\ $2"), Value::from(7_i64), Value::Text(None)];
        let sql = "INSERT INTO \"a$1\".t SELECT $1, $3, $2, $9 FROM \"x\"\"$1\"";
        let expected =
            "INSERT INTO \"a$1\".t SELECT E'it''s \\\\ $2'::text, NULL::text, '7'::bigint, $9 FROM \"x\"\"$1\"";
        assert_eq!(with_literals(sql, &values), expected);
    }
}
