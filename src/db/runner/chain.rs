//! Runs migrations in an empty database, to see what they make.

use super::Runner;
use super::migrate::MigrateRequest;
use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::db::schema::Schema;
use crate::db::state::Tables;
use crate::db::version::Version;
use crate::migration::Error;
use crate::pipeline::Control;

/// What migrations make in an empty database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The schema.
    pub schema: Schema,
    /// The tables that have rows.
    pub filled: Vec<String>,
}

impl Runner {
    /// Runs the migrations up to `to` in the database, which must be empty, and returns what they make.
    pub fn run_chain(&mut self, to: &Version, control: &Control<'_>) -> Result<Made, Error> {
        let tables = self.options.tables.clone();
        let before = Schema::read(&mut *self.database, &tables).map_err(|error| self.error(error))?;
        if !before.text.is_empty() || !self.plan()?.applied.is_empty() {
            return Err(Error::Usage {
                what: "the scratch database is not empty".into(),
                next: "name an empty one that nobody else uses".into(),
            });
        }
        let request = MigrateRequest { to: Some(to.clone()), ..MigrateRequest::default() };
        let end = self.migrate(&request, control)?;
        if let Some(failure) = end.failure {
            return Err(Error::Verification {
                what: format!("in an empty database, {}", failure.what()),
                next: "make the files run in an empty database, in their order; nothing was written".into(),
                source: None,
            });
        }
        if end.stopped {
            return Err(Error::Stopped { next: "run the same command again; nothing was written".into() });
        }
        let read = |database: &mut dyn ReadDatabase| {
            let schema = Schema::read(database, &tables)?;
            Ok(Made { schema, filled: filled_tables(database, &tables)? })
        };
        read(&mut *self.database).map_err(|error| self.error(error))
    }
}

/// Selects the tables, as references and without haul's own.
const OF_SQLITE: &str = "SELECT '\"' || replace(name, '\"', '\"\"') || '\"', name FROM pragma_table_list WHERE schema = 'main' AND \
                         type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
const OF_POSTGRES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text FROM pg_catalog.pg_class c \
                           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence \
                           <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1";

fn filled_tables(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<String>, EngineError> {
    let (list, one) = match database.dialect() {
        Dialect::Sqlite => (OF_SQLITE, "1"),
        Dialect::Postgres => (OF_POSTGRES, "1::bigint"),
    };
    let mut filled = Vec::new();
    for row in database.query(list, &[])? {
        let mut texts = row.into_iter().map(Value::into_text);
        let (reference, name) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        let is_own = tables.all().contains(&name.as_str());
        if !is_own && !database.query(&format!("SELECT {one} FROM {reference} LIMIT 1"), &[])?.is_empty() {
            filled.push(name);
        }
    }
    Ok(filled)
}
