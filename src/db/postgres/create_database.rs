//! Creates a database of a server.

use super::address::Address;
use super::errors::engine_error;
use super::query::quoted;
use crate::migration::Error;

/// The database that every server has, and from which others are created.
pub const MAINTENANCE_DATABASE: &str = "postgres";
const NO_SUCH_DATABASE: &str = "SQLSTATE 3D000";
const EXISTS: &str = "SQLSTATE 42P04";

/// Returns false if the server does not have the database.
pub fn is_database_there(address: &Address) -> Result<bool, Error> {
    // A schema is looked for when a session begins in it.
    if address.schema().is_some() {
        return Ok(true);
    }
    match address.connect_to_read() {
        Ok(_) => Ok(true),
        Err(Error::Database { what, .. }) if what.ends_with(&format!("({NO_SUCH_DATABASE})")) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates the database if the server does not have it. Returns true if it was created.
pub fn create_database(address: &Address) -> Result<bool, Error> {
    match address.try_to_write() {
        Ok(_) => return Ok(false),
        Err(error) if error.code.as_deref() == Some(NO_SUCH_DATABASE) => {}
        Err(error) => return Err(error.at(address.place())),
    }
    let maintenance = address.with_database(MAINTENANCE_DATABASE);
    let connection = maintenance.try_to_write();
    let created = connection.and_then(|mut connection| {
        if let Some(role) = &address.role {
            connection.set_role(&format!("SET ROLE {}", quoted(role)))?;
        }
        let sql = format!("CREATE DATABASE {}", quoted(&address.database()));
        connection.client.batch_execute(&sql).map_err(|error| engine_error(&error))
    });
    match created {
        Ok(()) => Ok(true),
        // Another run was faster.
        Err(error) if error.code.as_deref() == Some(EXISTS) => Ok(false),
        Err(error) => Err(error.at(address.place())),
    }
}
