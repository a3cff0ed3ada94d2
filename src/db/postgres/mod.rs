//! PostgreSQL. Each use opens its own connection.
//!
//! Connect directly or through a pool in session mode, because the lock of a run belongs to its session.

mod address;
mod backup;
mod backup_scope;
mod callers;
mod connect;
mod copy;
mod create_database;
mod database;
mod deadline;
mod errors;
mod ledger_place;
mod lock;
mod notices;
mod pool;
mod query;
mod reader;
mod rehearsal;
mod scratch;
mod search_path;
mod tls;
mod wait;

pub use address::{Address, is_connection_string, reads_variable};
pub use create_database::{create_database, is_database_there};
pub use database::PostgresDatabase;
pub use reader::PostgresReader;
pub use rehearsal::PostgresRehearsal;
pub use scratch::ScratchDatabase;
pub use wait::wait_for_server;
