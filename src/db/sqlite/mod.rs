//! SQLite, through the bundled library.
//!
//! The database file, its journal and its write-ahead log are the engine's files: SQLite writes them itself, outside of
//! [`Disk`](crate::durable::Disk), by its own rules of durability. What is haul's own is the lock file beside the database,
//! `NAME.haul-lock`, which goes through the disk like everything else that haul writes.

mod backup;
mod connect;
mod database;
mod errors;
mod foreign_keys;
#[cfg(test)]
mod lexer_agreement;
mod lock;
mod reader;

pub use database::SqliteDatabase;
pub use reader::SqliteReader;
