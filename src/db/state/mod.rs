//! The state that haul keeps in the database (requiem.md B4).

mod entries;
mod store;
mod tables;

pub use entries::{AppliedRow, LogEntry, LogRow, Outcome};
pub use store::{StateReader, StateWriter};
pub use tables::{LEDGER_NAME, Tables};
