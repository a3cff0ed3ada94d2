//! The lock of a database: a session-level advisory lock.
//!
//! The lock ends with the session. Its two numbers stand for haul and for the ledger, so runs with different ledgers in
//! one database do not block each other. A run on a tenant takes it shared. A run on a tenant, or on a ledger whose schema
//! is named, takes a second one that stands for schema and ledger, so that others can tell which ledger it works on.

use std::path::Path;

use postgres::Client;

use super::connect::host_name;
use super::errors::engine_error;
use super::query::query;
use crate::db::database::{LockHolder, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::db::script::{Lexer, contains_ignoring_case};

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

/// Returns the locks of a run, in the order in which they are taken: that of the ledger, for a tenant shared; and one of
/// the place of the ledger, if its schema is known. So a run excludes all runs on tenants, and tenants do not exclude each
/// other. `ledger` is `NAME` or `SCHEMA.NAME`.
pub fn keys(ledger: &str, tenant: Option<&str>) -> Vec<Key> {
    let (schema, table) = parts(ledger);
    let of_ledger = Key { number: ledger_number(table), is_shared: tenant.is_some() };
    let of_place = tenant.or(schema).map(|schema| Key { number: place_number(schema, table), is_shared: false });
    std::iter::once(of_ledger).chain(of_place).collect()
}

/// Splits the name of a ledger into its schema, if there is one, and its table.
fn parts(ledger: &str) -> (Option<&str>, &str) {
    ledger.split_once('.').map_or((None, ledger), |(schema, table)| (Some(schema), table))
}

/// Returns the number for the name of the ledger. Its schema does not count: a run that cannot see the ledger yet, or
/// that looks for it elsewhere, must exclude the others too.
fn ledger_number(table: &str) -> Number {
    // haul 0.1.0 hashed the schema too; this is its number for the usual one.
    let digest = blake3::hash(format!("public.{table}").as_bytes());
    Number::Pair(NAMESPACE, i32::from_le_bytes(digest.as_bytes()[..4].try_into().expect("four of 32 bytes")))
}

/// Returns the number for a ledger in a schema. It is long, so that no two of many thousands have the same.
fn place_number(schema: &str, table: &str) -> Number {
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

/// Takes the locks if all are free, each twice: so [`is_held`] can give one back and take it again, and nobody else gets it
/// in between.
pub fn try_take(client: &mut Client, keys: &[Key]) -> Result<bool, EngineError> {
    for (index, key) in keys.iter().enumerate() {
        let call = key.call("try_advisory_lock");
        let rows = query(client, &format!("SELECT ({call} AND {call})::int::bigint"), &[])?;
        if first_number(&rows) != Some(1) {
            return release(client, &keys[..index]).map(|()| false);
        }
    }
    Ok(true)
}

/// Releases the locks.
pub fn release(client: &mut Client, keys: &[Key]) -> Result<(), EngineError> {
    let calls = keys.iter().rev().map(|key| key.call("advisory_unlock"));
    let calls: Vec<_> = calls.map(|call| format!("SELECT {call}, {call}")).collect();
    client.batch_execute(&calls.join("; ")).map_err(|error| engine_error(&error))
}

/// Returns true if this session holds the locks.
pub fn are_held(client: &mut Client, keys: &[Key]) -> Result<bool, EngineError> {
    let rows = query(client, &format!("SELECT ({})::int::bigint", is_held(keys)), &[])?;
    Ok(first_number(&rows) == Some(1))
}

/// Returns the condition that the session which evaluates it holds the locks. To give a lock back and take it again costs
/// much less than to look at all locks of the server. A warning says which lock is not held.
pub fn is_held(keys: &[Key]) -> String {
    let of = |key: &Key| {
        let (give_back, take) = (key.call("advisory_unlock"), key.call("try_advisory_lock"));
        format!("CASE WHEN {give_back} THEN {take} ELSE false END")
    };
    keys.iter().map(of).collect::<Vec<_>>().join(" AND ")
}

/// Returns true if a statement may leave a lock, a cursor or a prepared statement in the session. Most definitions and plain
/// rows do not, and to look for these after each of them would cost as much as many of them do.
pub fn may_leave(statement: &str) -> bool {
    const DEFINITIONS: [&str; 7] = ["CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE", "INSERT"];
    let first = Lexer::new(Dialect::Postgres, statement).find(|token| !token.kind.is_trivia());
    let first = first.map_or("", |token| &statement[token.start..token.end]);
    let calls = ["advisory", "select", "execute"];
    !DEFINITIONS.iter().any(|word| first.eq_ignore_ascii_case(word))
        || calls.iter().any(|word| contains_ignoring_case(statement, word))
}

/// Returns a query for the statements that release all locks that the querying session has taken for longer than a
/// transaction, other than these. Each of them may have been taken several times.
pub fn releases_query(keys: &[Key]) -> String {
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
        "SELECT pg_catalog.string_agg('WITH RECURSIVE r (more) AS (SELECT ' || l.call || ' UNION ALL SELECT ' || l.call || ' FROM \
         r WHERE more) SELECT count(*) FROM r; ', '') FROM (SELECT {call} AS call FROM pg_catalog.pg_locks l WHERE l.locktype = \
         'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() AND NOT ({own})) l"
    )
}

/// Returns another session that holds one of the locks in a way that excludes this one. Of several, one that works on the
/// same ledger comes first.
pub fn holder(client: &mut Client, keys: &[Key]) -> Result<Option<LockHolder>, EngineError> {
    let conflicts: Vec<_> = keys.iter().map(|key| key.conflict()).collect();
    let own = keys.last().map_or("true".to_owned(), |key| key.condition());
    let sql = format!(
        "SELECT l.pid::bigint, a.application_name, a.client_addr::text, pg_catalog.to_char(a.backend_start AT TIME ZONE \
         'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {} AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY {own} DESC, \
         4, 1",
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
    Ok(Some(LockHolder { owner, pid, since, client: Some(client), ledger: None }))
}

/// Works like [`holder`], and says on which ledger the session works, if it has told.
pub fn named_holder(
    client: &mut Client,
    ledger: &str,
    tenant: Option<&str>,
) -> Result<Option<LockHolder>, EngineError> {
    let Some(found) = holder(client, &keys(ledger, tenant))? else { return Ok(None) };
    let sql = "SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND \
               l.granted AND l.objsubid = 1 AND l.pid = $1";
    let numbers = query(client, sql, &[found.pid.unwrap_or_default().into()])?;
    let numbers: Vec<_> = numbers.iter().flatten().filter_map(Value::integer).map(Number::Long).collect();
    if numbers.is_empty() {
        return Ok(Some(found));
    }
    // The number of a place says nothing by itself, so those of all schemas are compared with it.
    let (_, table) = parts(ledger);
    let schemas = query(client, "SELECT nspname::text FROM pg_catalog.pg_namespace", &[])?;
    let mut schemas = schemas.into_iter().flatten().map(Value::into_text);
    let Some(schema) = schemas.find(|schema| numbers.contains(&place_number(schema, table))) else {
        return Ok(Some(found));
    };
    let place = format!("{schema}.{table}");
    Ok(Some(LockHolder { owner: format!("{}, on the ledger {place}", found.owner), ledger: Some(place), ..found }))
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
         pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AND l.locktype = 'advisory' AND l.granted \
         AND ({})",
        conditions.join(" OR ")
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
    fn the_name_of_a_schema_is_a_second_lock() {
        let (plain, named, tenant) = (keys("t", None), keys("other.t", None), keys("t", Some("other")));
        assert_eq!((named.len(), named[0], named[1]), (2, plain[0], tenant[1]));
        assert_ne!(named[1], keys("more.t", None)[1]);
    }

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

    #[test]
    fn definitions_and_plain_rows_leave_nothing() {
        for text in ["CREATE TABLE a (b int)", "-- one\n insert INTO a VALUES (1)", "ALTER TABLE a ADD c int"] {
            assert!(!may_leave(text), "{text}");
        }
        let may = [
            "SELECT f()",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "CREATE TABLE a AS SELECT f()",
            "INSERT INTO a select f()",
            "INSERT INTO a VALUES (pg_advisory_lock(1))",
            "UPDATE a SET b = f()",
        ];
        assert!(may.into_iter().all(may_leave));
    }
}
