//! SQLite, through the bundled library.
//!
//! The database file, its journal and its write-ahead log belong to the engine: SQLite writes them itself, not through
//! [`Disk`](crate::durable::Disk), by its own rules of durability. haul's own file is the lock file `NAME.haul-lock`
//! next to the database, which is written through the disk like all other files of haul.

mod backup;
mod callers;
pub mod connect;
mod database;
pub mod errors;
mod file;
mod foreign_keys;
#[cfg(test)]
mod lexer_agreement;
mod lock;
mod reader;
mod watch;

pub use database::SqliteDatabase;
pub use file::SqliteFile;
pub use reader::SqliteReader;
