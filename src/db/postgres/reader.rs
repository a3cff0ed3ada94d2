//! A PostgreSQL database that is only read.

use postgres::Client;

use super::connect::Address;
use super::lock;
use super::query::{columns, current_schema, has_table, query, table_reference};
use crate::db::database::{LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

/// A session whose transactions are read-only.
pub struct PostgresReader {
    client: Client,
    address: Address,
    schema: String,
}

impl PostgresReader {
    /// Connects to the database.
    pub fn connect(address: &Address) -> Result<Self, Error> {
        let mut client = address.connect_read_only()?;
        let schema = current_schema(&mut client).map_err(|error| error.at(address.place()))?;
        Ok(Self { client, address: address.clone(), schema })
    }
}

impl ReadDatabase for PostgresReader {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn place(&self) -> String {
        self.address.place().to_owned()
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        query(&mut self.client, sql, parameters)
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        columns(&mut self.client, &self.schema, table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        has_table(&mut self.client, table)
    }

    fn table_reference(&self, table: &str) -> String {
        table_reference(&self.schema, table)
    }

    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error> {
        lock::holder(&mut self.client, lock::key(&self.schema, table)).map_err(|error| error.at(self.address.place()))
    }
}
