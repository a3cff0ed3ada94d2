//! The schema of a database as text: the same for the same schema, whenever and wherever it was made.
//!
//! Each object is one block: a comment that says what it is, then the SQL that makes it. Blocks stand in an order in which
//! they can be run, as far as names give one: kinds of objects in the order of their use, within a kind by name. Owners and
//! privileges are left out, since they differ from place to place, and so are haul's own tables and what extensions bring. Of
//! PostgreSQL these kinds are not looked at: foreign servers and their tables, publications, subscriptions, event triggers,
//! range types, operators, casts, extended statistics and text search.

mod diff;
mod object;
mod postgres;
mod sqlite;

pub use diff::{Change, changes};

use serde::Serialize;

use super::database::ReadDatabase;
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::state::Tables;

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// BLAKE3-256 of the text, 64 hex digits.
    pub digest: String,
    /// All blocks, an empty line between two.
    pub text: String,
}

impl Schema {
    /// Reads the schema of a database, without the tables that haul keeps in it.
    pub fn read(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Self, EngineError> {
        let objects = match database.dialect() {
            Dialect::Sqlite => sqlite::objects(database, tables)?,
            Dialect::Postgres => postgres::objects(database, tables)?,
        };
        let blocks: Vec<_> = objects
            .iter()
            .map(|object| format!("-- {}\n{};\n", object.title, object.sql.trim_end().trim_end_matches(';')))
            .collect();
        Ok(Self::of_text(blocks.join("\n")))
    }

    /// A schema that was read before.
    pub fn of_text(text: String) -> Self {
        Self { digest: blake3::hash(text.as_bytes()).to_hex().to_string(), text }
    }
}
