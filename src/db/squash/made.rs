//! What a chain of migrations leaves in an empty database.

use super::kept::Kept;
use super::rows::{DataOf, FilledTable, first_beyond, rows_of};
use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::db::schema::Schema;
use crate::db::state::Tables;

/// What migrations make in an empty database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The schema.
    pub schema: Schema,
    /// The tables that have rows, without those whose rows are kept.
    pub filled: Vec<String>,
    /// The table with which there are more rows than may be kept.
    pub beyond: Option<String>,
    /// What else stays in the database.
    pub kept: Vec<Kept>,
}

impl Made {
    /// Reads what is in the database, with the rows of the tables that `data` names.
    pub fn read(database: &mut dyn ReadDatabase, tables: &Tables, data: &DataOf) -> Result<Self, EngineError> {
        let schema = Schema::read(database, tables)?;
        let (mut filled, mut wanted) = (Vec::new(), Vec::new());
        for table in filled_tables(database, tables)? {
            if data.takes(&table) { wanted.push(table) } else { filled.push(table.name) }
        }
        if database.dialect() == Dialect::Postgres && !database.query(LARGE_OBJECT, &[])?.is_empty() {
            filled.push("pg_largeobject".into());
        }
        filled.sort();
        let beyond = first_beyond(database, &wanted, data.rows_max())?;
        let mut kept = if beyond.is_none() { rows_of(database, &wanted)? } else { Vec::new() };
        kept.extend(positions(database, tables, &wanted)?);
        Ok(Self { schema, filled, beyond, kept })
    }
}

/// Selects the tables, as references and without haul's own.
const OF_SQLITE: &str = "SELECT '\"' || replace(name, '\"', '\"\"') || '\"', name FROM pragma_table_list WHERE schema = 'main' AND \
                         type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
const OF_POSTGRES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text FROM pg_catalog.pg_class c \
                           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence \
                           <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1";

fn filled_tables(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<FilledTable>, EngineError> {
    let (list, one) = match database.dialect() {
        Dialect::Sqlite => (OF_SQLITE, "1"),
        Dialect::Postgres => (OF_POSTGRES, "1::bigint"),
    };
    let mut filled = Vec::new();
    for row in database.query(list, &[])? {
        let mut texts = row.into_iter().map(Value::into_text);
        let (reference, name) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        let is_own = tables.all().contains(&name.as_str());
        // The rows of a table that inherits are its own.
        let only = if database.dialect() == Dialect::Postgres { "ONLY " } else { "" };
        if !is_own && !database.query(&format!("SELECT {one} FROM {only}{reference} LIMIT 1"), &[])?.is_empty() {
            filled.push(FilledTable { reference, name });
        }
    }
    Ok(filled)
}

const LARGE_OBJECT: &str = "SELECT 1::bigint FROM pg_catalog.pg_largeobject_metadata LIMIT 1";
/// Selects title and statement of settings of the file that differ from those of a new one.
const SETTINGS_OF_SQLITE: &str = "SELECT 'setting user_version', 'PRAGMA user_version = ' || user_version FROM \
                                  pragma_user_version WHERE user_version <> 0 UNION ALL SELECT 'setting application_id', \
                                  'PRAGMA application_id = ' || application_id FROM pragma_application_id WHERE \
                                  application_id <> 0";
/// Selects title and statement of the numbers that tables with AUTOINCREMENT have given.
const POSITIONS_OF_SQLITE: &str = "SELECT 'position of ' || name, CASE WHEN name IN (SELECT value FROM json_each(?2)) THEN \
                                   'UPDATE sqlite_sequence SET seq = ' || seq || ' WHERE name = ' || quote(name) ELSE 'INSERT \
                                   INTO sqlite_sequence (name, seq) VALUES (' || quote(name) || ', ' || seq || ')' END FROM \
                                   main.sqlite_sequence WHERE name NOT IN (SELECT value FROM json_each(?1)) ORDER BY name";
/// Selects the sequences that are not those of haul's tables: reference and first number.
const SEQUENCES_OF_POSTGRES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), s.seqstart FROM \
                                     pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN \
                                     pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND \
                                     NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = \
                                     d.refobjid WHERE d.objid = c.oid AND t.relname = ANY (pg_catalog.string_to_array($1, \
                                     ','))) ORDER BY 1";

/// Returns what else stays. `filled` are the tables whose rows are kept.
fn positions(
    database: &mut dyn ReadDatabase,
    tables: &Tables,
    filled: &[FilledTable],
) -> Result<Vec<Kept>, EngineError> {
    match database.dialect() {
        Dialect::Sqlite => kept_by_sqlite(database, tables, filled),
        Dialect::Postgres => kept_by_postgres(database, tables),
    }
}

fn kept_by_sqlite(
    database: &mut dyn ReadDatabase,
    tables: &Tables,
    filled: &[FilledTable],
) -> Result<Vec<Kept>, EngineError> {
    let mut rows = database.query(SETTINGS_OF_SQLITE, &[])?;
    // It is there only if a table was created with AUTOINCREMENT.
    if database.has_table("sqlite_sequence")? {
        let own = serde_json::to_string(&tables.all()).expect("a list of texts");
        // A row for a table is there once the table has had a row.
        let filled: Vec<_> = filled.iter().map(|table| table.name.as_str()).collect();
        let filled = serde_json::to_string(&filled).expect("a list of texts");
        rows.extend(database.query(POSITIONS_OF_SQLITE, &[own.into(), filled.into()])?);
    }
    let kept = |row: Vec<Value>| {
        let mut texts = row.into_iter().map(Value::into_text);
        Kept { title: texts.next().unwrap_or_default(), sql: texts.next().unwrap_or_default() }
    };
    Ok(rows.into_iter().map(kept).collect())
}

fn kept_by_postgres(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Kept>, EngineError> {
    let mut kept = Vec::new();
    for row in database.query(SEQUENCES_OF_POSTGRES, &[tables.all().join(",").into()])? {
        let start = row.get(1).and_then(Value::integer);
        let sequence = row.into_iter().next().map(Value::into_text).unwrap_or_default();
        let state = database.query(&format!("SELECT last_value, is_called::int::bigint FROM {sequence}"), &[])?;
        let state: Vec<_> = state.iter().flatten().map(Value::integer).collect();
        let [Some(last), Some(is_called)] = state[..] else { continue };
        if (Some(last), is_called) != (start, 0) {
            let literal = sequence.replace('\'', "''");
            let sql = format!("SELECT pg_catalog.setval('{literal}', {last}, {})", is_called == 1);
            kept.push(Kept { title: format!("position of {sequence}"), sql });
        }
    }
    Ok(kept)
}
