//! Estimates how long pending migrations will take, by the durations in other databases and the row counts here.

use serde::Serialize;

use super::database::{ReadDatabase, Value};
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::lint::tables_of;
use super::script::Migration;
use super::state::{AppliedRow, StateReader, Tables};
use crate::migration::Error;

/// The estimate for one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// The label of the migration.
    pub name: String,
    /// The estimated duration, if another database has applied the same file.
    pub duration_ms: Option<u64>,
    /// The measurement that it is based on.
    pub measured: Option<Measured>,
    /// The tables that the migration changes and has not created itself.
    pub tables: Vec<TableRows>,
}

/// The duration of a migration in another database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// The database.
    pub database: String,
    /// The measured duration.
    pub duration_ms: u64,
}

/// The row count of a table, from statistics of the engine; `None` if the engine has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// The name of the table.
    pub table: String,
    /// The rows in the database to be migrated.
    pub rows: Option<u64>,
    /// The rows in the database in which the duration was measured.
    pub rows_there: Option<u64>,
}

/// A database that has applied migrations before.
struct History {
    database: Box<dyn ReadDatabase>,
    applied: Vec<AppliedRow>,
}

/// Estimates each of `migrations` by the ledgers named `tables` in the databases `elsewhere`. If several have applied a
/// migration, the longest duration counts. Only reads.
pub fn estimate(
    migrations: &[&Migration],
    here: &mut dyn ReadDatabase,
    elsewhere: Vec<Box<dyn ReadDatabase>>,
    tables: &Tables,
) -> Result<Vec<Estimate>, Error> {
    let read = |mut database: Box<dyn ReadDatabase>| {
        let applied = StateReader::new(&mut *database, tables).applied();
        let applied = applied.map_err(|error| error.at(&database.place()))?;
        Ok(History { database, applied })
    };
    let mut histories = elsewhere.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    Ok(migrations.iter().map(|migration| estimate_one(migration, here, &mut histories)).collect())
}

fn estimate_one(migration: &Migration, here: &mut dyn ReadDatabase, histories: &mut [History]) -> Estimate {
    let names = tables_of(here.dialect(), &migration.up);
    // A missing table, or one without row ids, has no count. The estimate does without.
    let own: Vec<_> = names.iter().map(|table| row_count(here, table).ok().flatten()).collect();
    let mut best = Estimate {
        name: migration.label(),
        duration_ms: None,
        measured: None,
        tables: with_rows(&names, &own, &vec![None; own.len()]),
    };
    let checksum = migration.checksum.to_string();
    for History { database, applied } in histories {
        let is_same = |row: &&AppliedRow| row.version == migration.version && row.checksum == checksum;
        let Some(row) = applied.iter().find(is_same) else { continue };
        let there: Vec<_> = names.iter().map(|table| row_count(&mut **database, table).ok().flatten()).collect();
        let took_ms = u64::try_from(row.duration_ms).unwrap_or_default();
        let duration_ms = scaled(took_ms, &own, &there);
        if best.duration_ms.is_none_or(|longest| duration_ms > longest) {
            let measured = Measured { database: database.place(), duration_ms: took_ms };
            (best.duration_ms, best.measured) = (Some(duration_ms), Some(measured));
            best.tables = with_rows(&names, &own, &there);
        }
    }
    best
}

fn with_rows(names: &[String], own: &[Option<u64>], there: &[Option<u64>]) -> Vec<TableRows> {
    let rows = names.iter().zip(own).zip(there);
    rows.map(|((table, rows), rows_there)| TableRows { table: table.clone(), rows: *rows, rows_there: *rows_there })
        .collect()
}

/// Scales a duration by the ratio of the row counts. The result is never shorter, because a part of the duration does
/// not depend on rows.
fn scaled(duration_ms: u64, own: &[Option<u64>], there: &[Option<u64>]) -> u64 {
    let known = || own.iter().zip(there).filter_map(|(own, there)| Some(((*own)?, (*there)?)));
    let (own, there) =
        known().fold((0_u128, 0_u128), |sum, (own, there)| (sum.0 + u128::from(own), sum.1 + u128::from(there)));
    match there {
        0 => duration_ms,
        _ => u64::try_from(u128::from(duration_ms) * own.max(there) / there).unwrap_or(u64::MAX),
    }
}

/// Returns the row count of a table without reading the table.
fn row_count(database: &mut dyn ReadDatabase, table: &str) -> Result<Option<u64>, EngineError> {
    let rows = match database.dialect() {
        // A count would read the whole table; the highest row number is found at once.
        Dialect::Sqlite => {
            database.query(&format!("SELECT coalesce(max(rowid), 0) FROM \"{}\"", table.replace('"', "\"\"")), &[])?
        }
        Dialect::Postgres => database.query(
            "SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(pg_catalog.quote_ident($1))",
            &[Value::from(table)],
        )?,
    };
    // PostgreSQL has -1 for a table that was never analysed.
    Ok(rows.into_iter().flatten().next().and_then(|rows| u64::try_from(rows.integer()?).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_rows_change_the_estimate() {
        assert_eq!(scaled(100, &[Some(30)], &[Some(10)]), 300);
        assert_eq!(scaled(100, &[Some(5)], &[Some(10)]), 100);
        assert_eq!(scaled(100, &[Some(5)], &[Some(0)]), 100);
        assert_eq!(scaled(100, &[None, Some(20)], &[Some(7), Some(10)]), 200);
        assert_eq!(scaled(100, &[], &[]), 100);
        assert_eq!(scaled(u64::MAX, &[Some(u64::MAX)], &[Some(1)]), u64::MAX);
    }
}
