//! The lock of a database: a session-level advisory lock.
//!
//! The lock ends with the session. Its two numbers stand for haul and for the ledger, so runs with different ledgers in
//! one database do not block each other.

use std::path::Path;

use postgres::Client;

use super::connect::host_name;
use super::errors::engine_error;
use super::query::query;
use crate::db::database::{LockHolder, Value};
use crate::db::engine_error::EngineError;

/// `haul` in ASCII.
const NAMESPACE: i32 = i32::from_be_bytes(*b"haul");
/// Is said of a session whose process has ended.
const GONE: &str = "; that process has ended: the server ends its session within seconds, or at once with `haul db unlock \
                    --force`";

/// Returns the second number of the lock, which stands for the name of the ledger. Its schema does not count: a run that
/// cannot see the ledger yet, or that looks for it elsewhere, must exclude the others too.
pub fn key(table: &str) -> i32 {
    // haul 0.1.0 hashed the schema too; this is its number for the usual one.
    let digest = blake3::hash(format!("public.{table}").as_bytes());
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
    format!(
        "SELECT count(*) FROM pg_catalog.pg_locks l WHERE {} AND l.pid = pg_catalog.pg_backend_pid()",
        condition(key)
    )
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
        "{name}, session {} from {client}{}{}",
        pid.unwrap_or_default(),
        since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default(),
        if is_gone(&name, &host_name()) { GONE } else { "" }
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
        "pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.database = (SELECT oid FROM \
         pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND {}",
        condition(key)
    )
}

/// Returns the condition that a lock `l` of some database has this key. A session has locks of one database only.
fn condition(key: i32) -> String {
    format!(
        "l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {NAMESPACE} AND l.objid = {}",
        key.cast_unsigned()
    )
}

/// Returns true if the name of a session says that it belongs to a process of this host that has ended.
fn is_gone(application_name: &str, this_host: &str) -> bool {
    let client = application_name.rsplit_once(" pid ").and_then(|(_, client)| client.split_once(" on "));
    client.is_some_and(|(pid, host)| {
        let is_number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        host == this_host && is_number && !Path::new("/proc").join(pid).exists() && Path::new("/proc/self").exists()
    })
}

fn first_number(rows: &[Vec<Value>]) -> Option<i64> {
    rows.first().and_then(|row| row.first()).and_then(Value::integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ended_process_of_this_host_is_gone() {
        let own = std::process::id();
        assert!(is_gone("haul 0.1.0 pid 99999999 on here", "here"));
        for name in ["haul 0.1.0 pid 99999999 on there", "psql", "haul pid x on here", "haul pid  on here"] {
            assert!(!is_gone(name, "here"), "{name}");
        }
        assert!(!is_gone(&format!("haul 0.1.0 pid {own} on here"), "here"));
    }
}
