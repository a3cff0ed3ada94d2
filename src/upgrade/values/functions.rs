//! The SQL functions that scripts and queries of an upgrade call.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::instant::{canonical, canonical_text, form, microseconds};
use super::zone::AssumedZone;
use crate::db::sqlite::connect::place;
use crate::db::sqlite::errors::engine_error;
use crate::migration::Error;

const DAY_MICROSECONDS: f64 = 86_400e6;

/// What the functions answer with.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The clock of the run. It stays the same when a run is resumed.
    pub run_clock: jiff::Timestamp,
    /// The zone of instants that name none.
    pub zone: AssumedZone,
    /// JSON texts of the operator, by name.
    pub inputs: BTreeMap<String, String>,
    /// Numbers by name: those of the definition, changed by the operator.
    pub settings: BTreeMap<String, f64>,
}

/// Adds the functions to a connection.
///
/// | function | result |
/// |---|---|
/// | `haul_instant(v)` | UTC text `YYYY-MM-DD HH:MM:SS[.ffffff]`, or NULL if it cannot be read |
/// | `haul_form(v)` | `iso-naive`, `sql`, `zoned`, `unix` or `unreadable`; NULL for NULL |
/// | `haul_now()` | the clock of the run, as UTC text |
/// | `haul_before(v, days)` | 1 if the instant lies more than so many days before now, else 0 |
/// | `haul_input(name)` | the JSON text that the operator gave, or NULL |
/// | `haul_setting(name)` | a number, or NULL |
pub fn register(connection: &Connection, values: &Values) -> Result<(), Error> {
    add(connection, values).map_err(|error| {
        let path = connection.path().unwrap_or_default().to_owned();
        engine_error(error).at(&place(Path::new(&path)))
    })
}

fn add(connection: &Connection, values: &Values) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let zone = values.zone.clone();
    connection.create_scalar_function(c"haul_instant", 1, flags, move |call| Ok(canonical(call.get_raw(0), &zone)))?;
    connection.create_scalar_function(c"haul_form", 1, flags, |call| Ok(form(call.get_raw(0))))?;
    let now = canonical_text(values.run_clock);
    connection.create_scalar_function(c"haul_now", 0, flags, move |_| Ok(now.clone()))?;
    let (zone, now) = (values.zone.clone(), values.run_clock.as_microsecond());
    connection.create_scalar_function(c"haul_before", 2, flags, move |call| Ok(is_before(call, &zone, now)))?;
    let inputs = values.inputs.clone();
    connection.create_scalar_function(c"haul_input", 1, flags, move |call| Ok(named(call, &inputs).cloned()))?;
    let settings = values.settings.clone();
    connection.create_scalar_function(c"haul_setting", 1, flags, move |call| {
        Ok(named(call, &settings).map_or(ToSqlOutput::Borrowed(ValueRef::Null), |number| (*number).into()))
    })
}

fn is_before(call: &Context<'_>, zone: &AssumedZone, now: i64) -> bool {
    let days = match call.get_raw(1) {
        ValueRef::Integer(days) => days as f64,
        ValueRef::Real(days) => days,
        _ => return false,
    };
    microseconds(call.get_raw(0), zone).is_some_and(|at| (now - at) as f64 > days * DAY_MICROSECONDS)
}

fn named<'a, T>(call: &Context<'_>, map: &'a BTreeMap<String, T>) -> Option<&'a T> {
    call.get_raw(0).as_str().ok().and_then(|name| map.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let values = Values {
            run_clock: "2026-01-31T12:00:00.5Z".parse().expect("an instant"),
            zone: AssumedZone::parse("+01:00").expect("a zone"),
            inputs: BTreeMap::from([("plugins".to_owned(), "[{\"id\":1}]".to_owned())]),
            settings: BTreeMap::from([("turn-limit".to_owned(), 50.0)]),
        };
        let connection = Connection::open_in_memory().expect("a database");
        register(&connection, &values).expect("functions");
        connection
    }

    fn text(connection: &Connection, sql: &str) -> Option<String> {
        connection.query_row(&format!("SELECT CAST(({sql}) AS TEXT)"), [], |row| row.get(0)).expect(sql)
    }

    #[test]
    fn functions_answer_with_the_values() {
        let connection = connection();
        let cases = [
            ("haul_instant('2026-01-01T00:30:00')", Some("2025-12-31 23:30:00")),
            ("haul_instant(NULL)", None),
            ("haul_instant(x'00')", None),
            ("haul_form('2026-01-01T00:30:00')", Some("iso-naive")),
            ("haul_form(NULL)", None),
            ("haul_now()", Some("2026-01-31 12:00:00.500000")),
            ("haul_input('plugins') ->> '$[0].id'", Some("1")),
            ("haul_input('other')", None),
            ("haul_setting('turn-limit')", Some("50.0")),
            ("haul_setting('other')", None),
            ("haul_setting(NULL)", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(text(&connection, sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn ages_are_compared_as_instants() {
        let connection = connection();
        let cases = [
            ("haul_before('2026-01-01 12:00:00', 30)", "1"),
            ("haul_before('2026-01-01 12:00:00.500000', 30)", "0"),
            ("haul_before('2026-01-01T13:00:00', 30)", "1"),
            ("haul_before('2026-01-01T13:00:01', 30)", "0"),
            ("haul_before(1000000000, 0.5)", "1"),
            ("haul_before(NULL, 30)", "0"),
            ("haul_before('some day', 30)", "0"),
            ("haul_before('2026-01-01 12:00:00', NULL)", "0"),
        ];
        for (sql, expected) in cases {
            assert_eq!(text(&connection, sql).as_deref(), Some(expected), "{sql}");
        }
    }

    /// A numeric affinity turns texts of digits into numbers; each value is read by what is stored.
    #[test]
    fn values_are_read_by_storage_class() {
        let connection = connection();
        connection
            .execute_batch(
                "CREATE TABLE t (at TIMESTAMP);
                 INSERT INTO t VALUES ('1762425600'), ('2025-11-06T12:00:00'), ('2025-11-06 12:00:00'), (1762425600.5);",
            )
            .expect("a table");
        let all = "SELECT group_concat(typeof(at) || ' ' || haul_instant(at), ', ') FROM t";
        assert_eq!(
            text(&connection, all).expect("a text"),
            "integer 2025-11-06 10:40:00, text 2025-11-06 11:00:00, text 2025-11-06 12:00:00, \
             real 2025-11-06 10:40:00.500000"
        );
    }
}
