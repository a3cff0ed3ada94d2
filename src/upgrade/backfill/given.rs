//! Temporary tables with what backfills know of the whole set.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::set_facts::SetFacts;

const TABLES: &str = "
    DROP TABLE IF EXISTS temp.haul_files;
    DROP TABLE IF EXISTS temp.haul_measures;
    CREATE TEMP TABLE haul_files (file TEXT, tier TEXT, shape TEXT, is_primary INTEGER, pages INTEGER, free_pages INTEGER,
        integrity_ok INTEGER, foreign_key_findings INTEGER, fts_inconsistent INTEGER);
    CREATE TEMP TABLE haul_measures (file TEXT, tier TEXT, name TEXT, value);";

/// Makes the temporary tables `haul_files` and `haul_measures`.
pub fn give(connection: &Connection, set: &SetFacts) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    let mut insert = connection.prepare("INSERT INTO temp.haul_files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for file in &set.files {
        insert.execute(params![
            file.file,
            file.tier,
            file.shape,
            file.is_primary,
            integer(file.pages),
            integer(file.free_pages),
            file.integrity_ok,
            integer(file.foreign_key_findings),
            integer(file.fts_inconsistent),
        ])?;
    }
    let mut insert = connection.prepare("INSERT INTO temp.haul_measures VALUES (?1, ?2, ?3, ?4)")?;
    for measure in &set.measures {
        insert.execute(params![measure.file, measure.tier, measure.name, number(measure.value)])?;
    }
    Ok(())
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count stays a whole number, which JSON and texts show without a fraction.
fn number(value: Option<f64>) -> Value {
    const EXACT_MAX: f64 = 9e15;
    match value {
        None => Value::Null,
        Some(value) if value.fract() == 0.0 && value.abs() < EXACT_MAX => Value::Integer(value as i64),
        Some(value) => Value::Real(value),
    }
}
