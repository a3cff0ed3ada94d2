//! The schema of a database as text. Equal schemas have equal texts, wherever and whenever they were made.
//!
//! Each object is one block: a comment with its kind and name, then the SQL that creates it. Blocks are in an order in
//! which they can run: kinds of objects in the order of their use, objects of one kind by name, and what an object
//! depends on before it. Owners and privileges are left out because they differ between installations; haul's own
//! tables and the objects of extensions are left out too. Objects of PostgreSQL that are not read are named at the end of
//! the text, and what needs one of them is a comment.

mod dependencies;
mod diff;
mod kinds;
mod left_out;
mod object;
mod order;
mod postgres;
mod sqlite;

pub use diff::{Change, changes};
pub use left_out::left_out;

use serde::Serialize;

use super::database::ReadDatabase;
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::script::{Lexer, TokenKind};
use super::state::Tables;
use crate::migration::escaped;
use object::Object;

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The BLAKE3-256 digest of the text, 64 hex digits.
    pub digest: String,
    /// All blocks, separated by empty lines.
    pub text: String,
}

impl Schema {
    /// Reads the schema of a database, without haul's own tables.
    pub fn read(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Self, EngineError> {
        let dialect = database.dialect();
        let objects = match dialect {
            Dialect::Sqlite => sqlite::objects(database, tables)?,
            Dialect::Postgres => postgres::objects(database, tables)?,
        };
        let blocks: Vec<_> = objects.iter().map(|object| block(dialect, object)).collect();
        Ok(Self::of_text(blocks.join("\n")))
    }

    /// Wraps the text of a schema that was read before.
    pub fn of_text(text: String) -> Self {
        Self { digest: blake3::hash(text.as_bytes()).to_hex().to_string(), text }
    }
}

/// Returns the text of an object, which runs whatever its name is and whatever its SQL ends with.
fn block(dialect: Dialect, object: &Object) -> String {
    let sql = object.sql.trim_end().trim_end_matches(';');
    // In a comment that ends the SQL, a semicolon would be a part of the comment.
    let is_comment = Lexer::new(dialect, sql).last().is_some_and(|token| token.kind == TokenKind::LineComment);
    let end = if is_comment { "\n;" } else { ";" };
    format!("-- {}\n{sql}{end}\n", escaped(&object.title))
}
