//! PostgreSQL. Each use opens its own connection.
//!
//! Connect directly or through a pooler in session mode, because the lock of a run belongs to its session. Connections
//! are not encrypted; use a socket, a private network or a tunnel.

mod backup;
mod connect;
mod copy;
mod database;
mod deadline;
mod errors;
mod lock;
mod query;
mod reader;
mod rehearsal;

pub use connect::Address;
pub use database::PostgresDatabase;
pub use reader::PostgresReader;
pub use rehearsal::PostgresRehearsal;
