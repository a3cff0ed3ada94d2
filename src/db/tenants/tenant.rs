//! One of many schemas or databases.

use crate::db::state::Tables;
use crate::db::target::Target;

/// A schema or a database that has a ledger of its own.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The name of the schema; the name or the URL of the database, without its password.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// Its ledger.
    pub tables: Tables,
}

impl Tenant {
    /// Returns the tenant of a whole database.
    pub fn of_database(target: Target, tables: &Tables) -> Self {
        Self { name: target.to_string(), target, tables: tables.clone() }
    }
}
