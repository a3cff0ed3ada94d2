//! Migration files: their names, sections, statements, directives and checksums. Knows no database.

mod batch;
mod check;
mod checksum;
pub mod classify;
mod direction;
mod directives;
mod directory;
mod error;
mod file_name;
mod lexer;
mod marker;
mod migration;
mod migrations;
mod preview;
mod section;
mod sections;
mod session;
mod statement;
mod text;
mod unread_marker;

pub use batch::{BATCH_TABLE, Batch};
pub use checksum::Checksum;
pub use direction::Direction;
pub use directives::Settings;
pub(in crate::db) use directory::migration_names;
pub use directory::{Folders, examine_directory};
pub use error::ScriptError;
pub use file_name::file_name;
pub use lexer::{Lexer, Token, TokenKind, copy_from_client};
pub use migration::Migration;
pub use migrations::{Examined, Migrations};
pub use preview::statement_preview;
pub use section::{Section, StatementsDigest};
pub use sections::sections;
pub use session::SessionLog;
pub use statement::{Pieces, line_ends, statements};
