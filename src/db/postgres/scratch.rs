//! Databases for a trial, which haul creates and drops.

use std::sync::atomic::{AtomicU32, Ordering};

use super::address::Address;
use super::create_database::MAINTENANCE_DATABASE;
use super::database::PostgresDatabase;
use super::errors::engine_error;
use super::query::quoted;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

/// A database that nobody else uses.
pub struct ScratchDatabase {
    maintenance: Address,
    name: String,
}

impl ScratchDatabase {
    /// Creates a database on the server of `address`, and connects to it.
    pub fn create(address: &Address) -> Result<(PostgresDatabase, Self), Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // A process of another host may have the same number.
        let random = blake3::hash(crate::migration::now_text().as_bytes()).to_hex();
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("haul_scratch_{process}_{number}_{}", &random[..8]);
        let scratch = Self { maintenance: address.with_database(MAINTENANCE_DATABASE), name };
        // What the administrator has put into the usual template is not a part of the schema.
        scratch.execute("CREATE DATABASE", " TEMPLATE template0").map_err(|error| scratch.no_database(error))?;
        match PostgresDatabase::connect(&address.with_database(&scratch.name)) {
            Ok(database) => Ok((database, scratch)),
            Err(error) => {
                // The first error is the one to report.
                let _ = scratch.remove();
                Err(error)
            }
        }
    }

    /// Drops the database.
    pub fn remove(self) -> Result<(), Error> {
        self.execute("DROP DATABASE IF EXISTS", "").map_err(|error| error.at(self.maintenance.place()))
    }

    fn execute(&self, verb: &str, rest: &str) -> Result<(), EngineError> {
        let mut connection = self.maintenance.try_to_write()?;
        let sql = format!("{verb} {}{rest}", quoted(&self.name));
        connection.client.batch_execute(&sql).map_err(|error| engine_error(&error))
    }

    fn no_database(&self, error: EngineError) -> Error {
        let hint = "let this role create databases (ALTER ROLE … CREATEDB), or give two empty ones with --scratch URL \
                    --scratch URL";
        EngineError { hint: Some(hint.into()), ..error }.at(self.maintenance.place())
    }
}
