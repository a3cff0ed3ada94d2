//! The tables of a database that are neither haul's nor the engine's.

use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::db::state::Tables;

/// Separates names of columns in one text; no name contains it.
const SEPARATOR: char = '\u{1}';

/// Left out are virtual tables with their shadows: a module that is not there would make them an error.
const OF_SQLITE: &str = "SELECT '', m.name, (SELECT group_concat(name, char(1)) FROM pragma_table_info(m.name, 'main')), 1 FROM \
                         main.sqlite_schema m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.sql \
                         NOT LIKE 'CREATE VIRTUAL%' AND m.name NOT IN (SELECT name FROM pragma_table_list WHERE schema = \
                         'main' AND type = 'shadow') ORDER BY 2";

/// Reads all schemas, or that of a tenant. Left out are partitions and the tables of extensions, such as those of
/// PostGIS.
const OF_POSTGRES: &str = "SELECT n.nspname::text, c.relname::text, (SELECT pg_catalog.string_agg(a.attname::text, \
                           pg_catalog.chr(1) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND \
                           a.attnum > 0 AND NOT a.attisdropped), (n.nspname = ANY \
                           (pg_catalog.current_schemas(false)))::int::bigint FROM pg_catalog.pg_class c JOIN \
                           pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ($1 IS NULL OR n.nspname = $1) \
                           AND c.relkind IN ('r', 'p') AND NOT \
                           c.relispartition AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT \
                           EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND \
                           d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2";

/// A table that haul did not make for itself.
#[derive(Debug, Clone)]
pub(super) struct OtherTable {
    pub schema: String,
    pub name: String,
    pub columns: Vec<String>,
    /// True if it is in a schema of the search path.
    pub is_near: bool,
}

impl OtherTable {
    /// Returns the name for people: with the schema, if the engine has any.
    pub fn shown(&self) -> String {
        if self.schema.is_empty() { self.name.clone() } else { format!("{}.{}", self.schema, self.name) }
    }

    /// Returns the name for statements.
    pub fn reference(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let schema = if self.schema.is_empty() { "main" } else { &self.schema };
        format!("{}.{}", quoted(schema), quoted(&self.name))
    }
}

/// Returns the tables of a database, in the order of their names.
pub(super) fn other_tables(database: &mut dyn ReadDatabase, own: &Tables) -> Result<Vec<OtherTable>, EngineError> {
    // What is in other schemas says nothing about a tenant.
    let tenant = Value::Text(own.tenant().map(str::to_owned));
    let (sql, values) = match database.dialect() {
        Dialect::Sqlite => (OF_SQLITE, Vec::new()),
        Dialect::Postgres => (OF_POSTGRES, vec![tenant]),
    };
    let table = |row: Vec<Value>| {
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or(Value::Text(None));
        let (schema, name, columns) = (next().into_text(), next().into_text(), next().into_text());
        let columns = columns.split(SEPARATOR).map(str::to_owned).collect();
        OtherTable { schema, name, columns, is_near: next().integer() == Some(1) }
    };
    let tables = database.query(sql, &values)?.into_iter().map(table);
    Ok(tables.filter(|table| !own.all().contains(&table.name.as_str())).collect())
}
