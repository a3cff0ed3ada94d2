//! The lock of a database: a session-level advisory lock.
//!
//! The lock ends with the session. Its two numbers stand for haul and for the ledger, so runs with different ledgers in
//! one database do not block each other. A run on a tenant takes it shared, and a second one that stands for the
//! tenant.

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

/// An advisory lock that a run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    number: Number,
    /// True if others may hold it in the same way.
    is_shared: bool,
}

/// The number of an advisory lock. The server keeps both kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Pair(i32, i32),
    Long(i64),
}

/// Returns the locks of a run, in the order in which they are taken: that of the ledger; for a tenant that of the
/// ledger shared, and one of the tenant. So a run excludes all runs on tenants, and tenants do not exclude each other.
pub fn keys(table: &str, tenant: Option<&str>) -> Vec<Key> {
    let ledger = Key { number: ledger_number(table), is_shared: tenant.is_some() };
    let of_tenant = tenant.map(|schema| Key { number: tenant_number(schema, table), is_shared: false });
    std::iter::once(ledger).chain(of_tenant).collect()
}

/// Returns the number for the name of the ledger. Its schema does not count: a run that cannot see the ledger yet, or
/// that looks for it elsewhere, must exclude the others too.
fn ledger_number(table: &str) -> Number {
    // haul 0.1.0 hashed the schema too; this is its number for the usual one.
    let digest = blake3::hash(format!("public.{table}").as_bytes());
    Number::Pair(NAMESPACE, i32::from_le_bytes(digest.as_bytes()[..4].try_into().expect("four of 32 bytes")))
}

/// Returns the number for a tenant. It is long, so that no two of many thousands have the same.
fn tenant_number(schema: &str, table: &str) -> Number {
    let digest = blake3::hash(format!("haul tenant {schema}\0{table}").as_bytes());
    Number::Long(i64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight of 32 bytes")))
}

impl Key {
    /// Returns a call of the function that takes or releases such a lock.
    fn call(self, verb: &str) -> String {
        let shared = if self.is_shared { "_shared" } else { "" };
        match self.number {
            Number::Pair(first, second) => format!("pg_catalog.pg_{verb}{shared}({first}, {second})"),
            Number::Long(number) => format!("pg_catalog.pg_{verb}{shared}({number}::bigint)"),
        }
    }

    /// Returns the condition for the locks `l` with this number.
    fn condition(self) -> String {
        let (class, object, kind) = match self.number {
            Number::Pair(first, second) => (first.cast_unsigned(), second.cast_unsigned(), 2),
            Number::Long(number) => {
                let number = number.cast_unsigned();
                ((number >> 32) as u32, (number & u64::from(u32::MAX)) as u32, 1)
            }
        };
        format!("(l.classid = {class} AND l.objid = {object} AND l.objsubid = {kind})")
    }

    /// Returns the condition for the locks `l` that keep a session from taking this one.
    fn conflict(self) -> String {
        let mode = if self.is_shared { " AND l.mode = 'ExclusiveLock'" } else { "" };
        format!("({}{mode})", self.condition())
    }
}

/// Takes the locks if all are free.
pub fn try_take(client: &mut Client, keys: &[Key]) -> Result<bool, EngineError> {
    for (index, key) in keys.iter().enumerate() {
        let rows = query(client, &format!("SELECT {}::int::bigint", key.call("try_advisory_lock")), &[])?;
        if first_number(&rows) != Some(1) {
            return release(client, &keys[..index]).map(|()| false);
        }
    }
    Ok(true)
}

/// Releases the locks.
pub fn release(client: &mut Client, keys: &[Key]) -> Result<(), EngineError> {
    let calls: Vec<_> = keys.iter().rev().map(|key| format!("SELECT {}", key.call("advisory_unlock"))).collect();
    client.batch_execute(&calls.join("; ")).map_err(|error| engine_error(&error))
}

/// Returns true if this session holds the locks.
pub fn are_held(client: &mut Client, keys: &[Key]) -> Result<bool, EngineError> {
    let sql = format!("SELECT locks.own FROM ({}) locks", session_locks_query(keys));
    let count = first_number(&query(client, &sql, &[])?).unwrap_or_default();
    Ok(usize::try_from(count).is_ok_and(|count| count >= keys.len()))
}

/// Returns a query for one row: how many of the locks the querying session holds, and the statements that release all
/// others that it has taken for longer than a transaction. Each of those may have been taken several times.
pub fn session_locks_query(keys: &[Key]) -> String {
    let conditions: Vec<_> = keys.iter().map(|key| key.condition()).collect();
    let own = if conditions.is_empty() { "false".to_owned() } else { conditions.join(" OR ") };
    let hex = |number: &str| format!("pg_catalog.lpad(pg_catalog.to_hex(l.{number}::bigint), 8, '0')");
    let (class, object) = (hex("classid"), hex("objid"));
    let number = format!(
        "CASE l.objsubid WHEN 1 THEN 'X''' || {class} || {object} || '''::bit(64)::bigint' ELSE 'X''' || {class} || \
         '''::bit(32)::int, X''' || {object} || '''::bit(32)::int' END"
    );
    let call = format!(
        "'pg_catalog.pg_advisory_unlock' || CASE l.mode WHEN 'ShareLock' THEN '_shared' ELSE '' END || '(' || {number} || ')'"
    );
    format!(
        "SELECT count(*) FILTER (WHERE l.is_own) AS own, pg_catalog.string_agg('WITH RECURSIVE r (more) AS (SELECT ' || l.call || \
         ' UNION ALL SELECT ' || l.call || ' FROM r WHERE more) SELECT count(*) FROM r; ', '') FILTER (WHERE NOT l.is_own) AS \
         others FROM (SELECT {own} AS is_own, {call} AS call FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted \
         AND l.pid = pg_catalog.pg_backend_pid()) l"
    )
}

/// Returns another session that holds one of the locks in a way that excludes this one.
pub fn holder(client: &mut Client, keys: &[Key]) -> Result<Option<LockHolder>, EngineError> {
    let conflicts: Vec<_> = keys.iter().map(|key| key.conflict()).collect();
    let sql = format!(
        "SELECT l.pid::bigint, a.application_name, a.client_addr::text, pg_catalog.to_char(a.backend_start AT TIME ZONE \
         'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {} AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY 4, 1",
        locks_clause(&conflicts)
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

/// Ends the session that holds one of the locks, if it is still session `pid`.
pub fn end_holder(client: &mut Client, keys: &[Key], pid: i64) -> Result<bool, EngineError> {
    let conditions: Vec<_> = keys.iter().map(|key| key.conflict()).collect();
    let clause = locks_clause(&conditions);
    let sql = format!("SELECT pg_catalog.pg_terminate_backend(l.pid)::int::bigint FROM {clause} AND l.pid = $1");
    Ok(first_number(&query(client, &sql, &[pid.into()])?) == Some(1))
}

/// Returns the clause that selects the locks in this database for which one of the conditions holds as `l`, and their
/// sessions as `a`.
fn locks_clause(conditions: &[String]) -> String {
    format!(
        "pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.database = (SELECT oid FROM \
         pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND {}",
        granted(conditions)
    )
}

/// Returns the condition that a lock `l` of some database is one of these. A session has locks of one database only.
fn granted(conditions: &[String]) -> String {
    format!("l.locktype = 'advisory' AND l.granted AND ({})", conditions.join(" OR "))
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
    fn tenants_share_the_lock_of_the_ledger() {
        let of = |tenant| keys("haul_migrations", tenant);
        let (plain, first, second) = (of(None), of(Some("a")), of(Some("b")));
        assert_eq!((plain.len(), first[0].number, first[0].is_shared), (1, plain[0].number, true));
        assert!(!plain[0].is_shared && !first[1].is_shared && first[1] != second[1]);
        let minus_one = Key { number: Number::Long(-1), is_shared: false };
        assert_eq!(minus_one.condition(), "(l.classid = 4294967295 AND l.objid = 4294967295 AND l.objsubid = 1)");
        assert_eq!(first[0].call("advisory_unlock").split('(').next(), Some("pg_catalog.pg_advisory_unlock_shared"));
    }

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
