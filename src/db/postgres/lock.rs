//! The lock of a database: a session-level advisory lock.
//!
//! The lock ends with the session. Its two numbers stand for haul and for the ledger, so runs with different ledgers in
//! one database do not block each other.

use postgres::Client;

use super::errors::engine_error;
use super::query::query;
use crate::db::database::{LockHolder, Value};
use crate::db::engine_error::EngineError;

/// `haul` in ASCII.
const NAMESPACE: i32 = i32::from_be_bytes(*b"haul");

/// Returns the second number of the lock, which stands for the ledger and its schema.
pub fn key(schema: &str, table: &str) -> i32 {
    let digest = blake3::hash(format!("{schema}.{table}").as_bytes());
    i32::from_le_bytes(digest.as_bytes()[..4].try_into().expect("four of 32 bytes"))
}

/// Takes the lock if it is free.
pub fn try_take(client: &mut Client, key: i32) -> Result<bool, EngineError> {
    let rows = query(client, &format!("SELECT pg_catalog.pg_try_advisory_lock({NAMESPACE}, {key})::int::bigint"), &[])?;
    Ok(first_number(&rows) == Some(1))
}

/// Releases the lock.
pub fn release(client: &mut Client, key: i32) -> Result<(), EngineError> {
    client
        .batch_execute(&format!("SELECT pg_catalog.pg_advisory_unlock({NAMESPACE}, {key})"))
        .map_err(|error| engine_error(&error))
}

/// Returns true if this session holds the lock.
pub fn is_held(client: &mut Client, key: i32) -> Result<bool, EngineError> {
    Ok(first_number(&query(client, &own_lock_count_query(key), &[])?).is_some_and(|count| count > 0))
}

/// Returns a query that counts the locks with this key that the querying session holds.
pub fn own_lock_count_query(key: i32) -> String {
    format!("SELECT count(*) FROM {} AND l.pid = pg_catalog.pg_backend_pid()", locks_clause(key))
}

/// Returns the holder of the lock.
pub fn holder(client: &mut Client, key: i32) -> Result<Option<LockHolder>, EngineError> {
    let sql = format!(
        "SELECT l.pid::bigint, a.application_name, a.client_addr::text, pg_catalog.to_char(a.backend_start AT TIME ZONE \
         'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {}",
        locks_clause(key)
    );
    let Some(row) = query(client, &sql, &[])?.into_iter().next() else { return Ok(None) };
    let mut values = row.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    let pid = next().integer();
    let name = next().into_text();
    let client = next().into_optional_text().unwrap_or_else(|| "local".into());
    let since = next().into_optional_text();
    let owner = format!(
        "{name}, session {} from {client}{}",
        pid.unwrap_or_default(),
        since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default()
    );
    Ok(Some(LockHolder { owner, pid, since, client: Some(client) }))
}

/// Ends the session that holds the lock, if it is still session `pid`.
pub fn end_holder(client: &mut Client, key: i32, pid: i64) -> Result<bool, EngineError> {
    let sql =
        format!("SELECT pg_catalog.pg_terminate_backend(l.pid)::int::bigint FROM {} AND l.pid = $1", locks_clause(key));
    Ok(first_number(&query(client, &sql, &[pid.into()])?) == Some(1))
}

/// Returns the clause that selects the locks with this key in this database as `l`, and their sessions as `a`.
fn locks_clause(key: i32) -> String {
    format!(
        "pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND \
         l.granted AND l.objsubid = 2 AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = \
         pg_catalog.current_database()) AND l.classid = {NAMESPACE} AND l.objid = {}",
        key.cast_unsigned()
    )
}

fn first_number(rows: &[Vec<Value>]) -> Option<i64> {
    rows.first().and_then(|row| row.first()).and_then(Value::integer)
}
