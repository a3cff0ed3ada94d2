//! The rows of tables that a chain of migrations fills, as statements that insert them again.

use std::collections::HashMap;

use super::kept::Kept;
use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;

/// The most rows of all tables together, unless the tables are named.
const ROWS_MAX: i64 = 10_000;
/// The most rows of the tables that are named.
const ROWS_OF_NAMED_MAX: i64 = 1_000_000;

/// Whose rows a squashed file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DataOf {
    /// Of no table: one that has rows is refused.
    #[default]
    None,
    /// Of all tables, as long as they have few.
    All,
    /// Of these tables, `NAME` or `SCHEMA.NAME`.
    Named(Vec<String>),
}

impl DataOf {
    pub(super) fn takes(&self, table: &FilledTable) -> bool {
        let is_it = |name: &String| *name == table.name || *name == table.reference.replace('"', "");
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(is_it),
        }
    }

    pub(super) fn rows_max(&self) -> i64 {
        if matches!(self, Self::Named(_)) { ROWS_OF_NAMED_MAX } else { ROWS_MAX }
    }
}

/// A table that has rows.
#[derive(Debug, Clone)]
pub(super) struct FilledTable {
    /// How a statement names it.
    pub reference: String,
    pub name: String,
}

/// Selects the names of the columns that a statement may fill, as references, and whether one is `GENERATED ALWAYS AS
/// IDENTITY`.
const COLUMNS_OF_SQLITE: &str = "SELECT '\"' || replace(name, '\"', '\"\"') || '\"', 0 FROM pragma_table_xinfo(?1) WHERE hidden \
                                 = 0 ORDER BY cid";
const COLUMNS_OF_POSTGRES: &str = "SELECT pg_catalog.quote_ident(attname), (attidentity = 'a')::int::bigint FROM \
                                   pg_catalog.pg_attribute WHERE attrelid = $1::text::pg_catalog.regclass AND attnum > 0 AND NOT \
                                   attisdropped AND attgenerated = '' ORDER BY attnum";
/// Selects the tables that a table refers to.
const NEEDS_OF_SQLITE: &str = "SELECT DISTINCT lower(\"table\") FROM pragma_foreign_key_list(?1)";
const NEEDS_OF_POSTGRES: &str = "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_constraint k \
                                 JOIN pg_catalog.pg_class c ON c.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = \
                                 c.relnamespace WHERE k.contype = 'f' AND k.conrelid = $1::text::pg_catalog.regclass";
/// Selects the materialized views that have been filled, each after those that it may read.
const FILLED_VIEWS_OF_POSTGRES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN \
                                        pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND \
                                        c.relispopulated ORDER BY c.oid";
/// How values are written must not depend on the settings of this server: others read them.
const FORMATS_OF_POSTGRES: &str = "SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', false), \
                                   pg_catalog.set_config('IntervalStyle', 'postgres', false), \
                                   pg_catalog.set_config('TimeZone', 'UTC', false), \
                                   pg_catalog.set_config('extra_float_digits', '1', false), \
                                   pg_catalog.set_config('bytea_output', 'hex', false)";

/// Returns the table with which there are more rows than `rows_max`.
pub(super) fn first_beyond(
    database: &mut dyn ReadDatabase,
    tables: &[FilledTable],
    rows_max: i64,
) -> Result<Option<String>, EngineError> {
    let mut left = rows_max;
    for table in tables {
        left -= count(database, table, left)?;
        if left < 0 {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}

/// Returns a statement for each table, in an order in which each comes after those that it refers to. Equal rows give equal
/// statements.
pub(super) fn rows_of(database: &mut dyn ReadDatabase, tables: &[FilledTable]) -> Result<Vec<Kept>, EngineError> {
    if database.dialect() == Dialect::Postgres && !tables.is_empty() {
        database.query(FORMATS_OF_POSTGRES, &[])?;
    }
    let mut kept = Vec::with_capacity(tables.len());
    for table in ordered(database, tables)? {
        kept.push(rows_of_one(database, table)?);
    }
    if database.dialect() == Dialect::Postgres && !tables.is_empty() {
        // They were filled when the tables had no rows yet.
        let views = database.query(FILLED_VIEWS_OF_POSTGRES, &[])?.into_iter().flatten().map(Value::into_text);
        kept.extend(views.map(|view| Kept {
            title: format!("rows of {}", view.replace('"', "")),
            sql: format!("REFRESH MATERIALIZED VIEW {view}"),
        }));
    }
    Ok(kept)
}

/// Counts the rows, not far beyond `most`.
fn count(database: &mut dyn ReadDatabase, table: &FilledTable, most: i64) -> Result<i64, EngineError> {
    let (only, as_number) = only_and_number(database.dialect());
    let limit = most.saturating_add(1);
    let sql =
        format!("SELECT count(*){as_number} FROM (SELECT 1 FROM {only}{} LIMIT {limit}) AS found", table.reference);
    Ok(database.query(&sql, &[])?.into_iter().flatten().next().and_then(|count| count.integer()).unwrap_or_default())
}

fn only_and_number(dialect: Dialect) -> (&'static str, &'static str) {
    match dialect {
        Dialect::Sqlite => ("", ""),
        // The rows of tables that inherit are theirs.
        Dialect::Postgres => ("ONLY ", "::bigint"),
    }
}

fn rows_of_one(database: &mut dyn ReadDatabase, table: &FilledTable) -> Result<Kept, EngineError> {
    let FilledTable { reference, name } = table;
    let dialect = database.dialect();
    let (query, key) = match dialect {
        Dialect::Sqlite => (COLUMNS_OF_SQLITE, name),
        Dialect::Postgres => (COLUMNS_OF_POSTGRES, reference),
    };
    let (mut columns, mut is_overriding) = (Vec::new(), false);
    for row in database.query(query, &[key.as_str().into()])? {
        is_overriding |= row.get(1).and_then(Value::integer) == Some(1);
        columns.extend(row.into_iter().next().map(Value::into_text));
    }
    let literals: Vec<_> = columns.iter().map(|column| literal(dialect, column)).collect();
    let (only, _) = only_and_number(dialect);
    let collation = if dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" };
    let sql = format!("SELECT {}{collation} FROM {only}{reference} ORDER BY 1", literals.join(" || ', ' || "));
    let rows = database.query(&sql, &[])?.into_iter().flatten();
    let rows: Vec<_> = rows.map(|row| format!("({})", row.into_text())).collect();
    let overriding = if is_overriding { " OVERRIDING SYSTEM VALUE" } else { "" };
    let sql = format!("INSERT INTO {reference} ({}){overriding} VALUES\n{}", columns.join(", "), rows.join(",\n"));
    Ok(Kept { title: format!("rows of {}", reference.replace('"', "")), sql })
}

/// Returns the expression for the text of a literal that has the value of a column.
fn literal(dialect: Dialect, column: &str) -> String {
    match dialect {
        // A text ends for `quote` where a zero byte is.
        Dialect::Sqlite => format!(
            "CASE WHEN typeof({column}) = 'text' AND instr({column}, char(0)) THEN 'CAST(X''' || hex({column}) || ''' AS TEXT)' \
             ELSE quote({column}) END"
        ),
        Dialect::Postgres => format!("pg_catalog.quote_nullable({column}::text)"),
    }
}

/// Returns the tables so that each comes after those that it refers to. In a circle the order stays as it is, and the
/// server says what is wrong with that.
fn ordered<'a>(
    database: &mut dyn ReadDatabase,
    tables: &'a [FilledTable],
) -> Result<Vec<&'a FilledTable>, EngineError> {
    let dialect = database.dialect();
    let key = |table: &FilledTable| match dialect {
        Dialect::Sqlite => table.name.to_lowercase(),
        Dialect::Postgres => table.reference.clone(),
    };
    let indexes: HashMap<_, _> = tables.iter().enumerate().map(|(index, table)| (key(table), index)).collect();
    let mut needs = Vec::with_capacity(tables.len());
    for table in tables {
        let (query, key) = match dialect {
            Dialect::Sqlite => (NEEDS_OF_SQLITE, &table.name),
            Dialect::Postgres => (NEEDS_OF_POSTGRES, &table.reference),
        };
        let names = database.query(query, &[key.as_str().into()])?.into_iter().flatten().map(Value::into_text);
        needs.push(names.filter_map(|name| indexes.get(&name).copied()).collect::<Vec<_>>());
    }
    let (mut order, mut is_placed) = (Vec::with_capacity(tables.len()), vec![false; tables.len()]);
    while order.len() < tables.len() {
        let is_ready = |index: &usize| {
            !is_placed[*index] && needs[*index].iter().all(|needed| is_placed[*needed] || needed == index)
        };
        let next = (0..tables.len()).find(is_ready).or_else(|| (0..tables.len()).find(|index| !is_placed[*index]));
        let Some(next) = next else { break };
        is_placed[next] = true;
        order.push(&tables[next]);
    }
    Ok(order)
}
