//! Where haul's tables are: in the schema that is named, else where a ledger of that name is, whatever the search path
//! of the session, else in the schema in which new tables are created.

use postgres::Client;

use super::query::{columns, query, quoted};
use crate::db::database::{LedgerName, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};

/// Finds a ledger by its name and its columns. Newer versions of haul may add columns.
const LEDGERS: &str = "SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = \
                       c.relnamespace WHERE c.relname = $1 AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND \
                       (SELECT pg_catalog.string_agg(a.attname::text, ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
                       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) || ',' LIKE pg_catalog.replace($2, \
                       '_', '\\_') || ',%' ORDER BY 1";

/// The schema of haul's tables on one connection.
pub struct LedgerPlace {
    /// The schema in which new tables are created.
    current: Option<String>,
    /// The schema of the ledger, once it was found or named.
    found: Option<String>,
}

impl LedgerPlace {
    /// Starts with the schema in which the session creates tables.
    pub fn new(current: Option<String>) -> Self {
        Self { current, found: None }
    }

    /// Looks for the ledger unless it was found before. Returns its schema if new tables would be created in another.
    pub fn find(&mut self, client: &mut Client, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        if self.found.is_none() {
            self.found = match ledger.schema {
                Some(schema) => Some(schema.to_owned()),
                None => only_one(client, ledger)?,
            };
        }
        // What is named is no surprise.
        let found = self.found.clone().filter(|_| ledger.schema.is_none());
        Ok(found.filter(|found| Some(found) != self.current.as_ref()))
    }

    /// Returns the names of the columns of one of haul's tables.
    pub fn columns(&self, client: &mut Client, table: &str) -> Result<Vec<String>, EngineError> {
        self.schema().map_or(Ok(Vec::new()), |schema| columns(client, schema, table))
    }

    /// Returns the reference to one of haul's tables.
    pub fn reference(&self, table: &str) -> String {
        match self.schema() {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(table)),
            // The server answers that there is no schema to create it in.
            None => quoted(table),
        }
    }

    fn schema(&self) -> Option<&str> {
        self.found.as_deref().or(self.current.as_deref())
    }
}

fn only_one(client: &mut Client, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
    let values = [ledger.table.into(), ledger.columns.join(",").into()];
    let mut schemas: Vec<_> = query(client, LEDGERS, &values)?.into_iter().flatten().map(Value::into_text).collect();
    if schemas.len() > 1 {
        let names: Vec<_> = schemas.iter().map(|schema| format!("{schema}.{}", ledger.table)).collect();
        let what = format!("there are {} ledgers of haul in this database: {}", names.len(), names.join(", "));
        let hint = format!(
            "name the right one, for example with --table {}; --schemas is for schemas with a ledger each",
            names[0]
        );
        return Err(EngineError::new(EngineErrorKind::Unusable, what).with_hint(hint));
    }
    Ok(schemas.pop())
}
