//! How long pending migrations may take: as long as they took elsewhere, for the rows that their tables have here.

use serde::Serialize;

use super::database::{ReadDatabase, Value};
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::lint::tables_of;
use super::script::Migration;
use super::state::{AppliedRow, StateReader, Tables};
use crate::migration::Error;

/// How long one migration may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Its label.
    pub name: String,
    /// How long, if any database has applied just this file.
    pub duration_ms: Option<u64>,
    /// What that is taken from.
    pub measured: Option<Measured>,
    /// Tables that it changes and has not made itself.
    pub tables: Vec<TableRows>,
}

/// How long a migration took in another database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Which.
    pub database: String,
    /// How long.
    pub duration_ms: u64,
}

/// Rows of a table now, by what the engine knows without counting; `None` where it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// Its name.
    pub table: String,
    /// In the database that is to be migrated.
    pub rows: Option<u64>,
    /// In the database that the duration is taken from.
    pub rows_there: Option<u64>,
}

/// A database that has applied migrations before.
struct History {
    database: Box<dyn ReadDatabase>,
    applied: Vec<AppliedRow>,
}

/// Estimates each of `migrations`, by the ledgers named `tables` of databases `elsewhere`. Of several that have applied one,
/// the longest counts. Reads only.
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

/// A duration, longer by as much as there are more rows here; never shorter, since not all of it is rows.
fn scaled(duration_ms: u64, own: &[Option<u64>], there: &[Option<u64>]) -> u64 {
    let known = || own.iter().zip(there).filter_map(|(own, there)| Some(((*own)?, (*there)?)));
    let (own, there) =
        known().fold((0_u128, 0_u128), |sum, (own, there)| (sum.0 + u128::from(own), sum.1 + u128::from(there)));
    match there {
        0 => duration_ms,
        _ => u64::try_from(u128::from(duration_ms) * own.max(there) / there).unwrap_or(u64::MAX),
    }
}

/// Rows of a table, as far as the engine knows without reading it.
fn row_count(database: &mut dyn ReadDatabase, table: &str) -> Result<Option<u64>, EngineError> {
    let rows = match database.dialect() {
        // The highest row number is found at once.
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
    fn more_rows_take_longer_and_fewer_do_not_take_less() {
        assert_eq!(scaled(100, &[Some(30)], &[Some(10)]), 300);
        assert_eq!(scaled(100, &[Some(5)], &[Some(10)]), 100);
        assert_eq!(scaled(100, &[Some(5)], &[Some(0)]), 100);
        assert_eq!(scaled(100, &[None, Some(20)], &[Some(7), Some(10)]), 200);
        assert_eq!(scaled(100, &[], &[]), 100);
        assert_eq!(scaled(u64::MAX, &[Some(u64::MAX)], &[Some(1)]), u64::MAX);
    }
}
