//! A PostgreSQL database that is only read, in one transaction.

use postgres::Client;

use super::address::Address;
use super::errors::engine_error;
use super::ledger_place::LedgerPlace;
use super::lock;
use super::query::{has_table, query};
use crate::db::database::{Encryption, LedgerName, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

/// A session in a transaction that is read-only. It sets nothing that would outlast the transaction, because a pool may
/// give the session to others.
pub struct PostgresReader {
    client: Client,
    address: Address,
    place: LedgerPlace,
    /// The statements that begin the transaction.
    begin: String,
    encryption: Encryption,
}

/// With an empty search path, the catalog functions write every name with its schema. To compile the queries would take the
/// server longer than to run them; before version 11 it has no setting for that.
pub(super) const NAMES: &str = "SET LOCAL search_path = ''; SELECT pg_catalog.set_config(name, 'off', true) FROM \
     pg_catalog.pg_settings WHERE name = 'jit'";
/// The savepoint brings back the settings of the transaction.
pub(super) const SAVEPOINT: &str = "SAVEPOINT haul_reading";
pub(super) const BACK_TO_SAVEPOINT: &str = "ROLLBACK TO SAVEPOINT haul_reading; RELEASE SAVEPOINT haul_reading";

impl PostgresReader {
    /// Connects to the database.
    pub fn connect(address: &Address) -> Result<Self, Error> {
        let found = address.connect_to_read()?;
        let (place, begin) = (LedgerPlace::new(found.schema), found.begin_reading);
        Ok(Self { client: found.client, address: address.clone(), place, begin, encryption: found.encryption })
    }
}

impl ReadDatabase for PostgresReader {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn place(&self) -> String {
        self.address.place().to_owned()
    }

    fn encryption(&self) -> Option<Encryption> {
        Some(self.encryption)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        let result = query(&mut self.client, sql, parameters);
        if result.is_err() {
            // The server accepts nothing more in this transaction. A lost connection shows itself in the next query.
            let _ = self.client.batch_execute(&format!("ROLLBACK; {}", self.begin));
        }
        result
    }

    fn find_ledger(&mut self, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        self.place.find(&mut self.client, ledger)
    }

    fn begin_reading(&mut self) -> Result<(), EngineError> {
        self.client.batch_execute(&format!("{SAVEPOINT}; {NAMES}")).map_err(|error| engine_error(&error))
    }

    fn end_reading(&mut self) -> Result<(), EngineError> {
        self.client.batch_execute(BACK_TO_SAVEPOINT).map_err(|error| engine_error(&error))
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        self.place.columns(&mut self.client, table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        has_table(&mut self.client, table)
    }

    fn table_reference(&self, table: &str) -> String {
        self.place.reference(table)
    }

    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error> {
        let found = lock::named_holder(&mut self.client, table, self.address.schema());
        found.map_err(|error| error.at(self.address.place()))
    }
}
