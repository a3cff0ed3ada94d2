//! The state that haul keeps in the database (requiem.md B4).

mod cursors;
mod entries;
mod schemas;
mod store;
mod tables;

pub use cursors::{Cursor, CursorRow};
pub use entries::{AppliedRow, LogEntry, LogRow, Outcome};
pub use schemas::KeptSchema;
pub use store::{StateReader, StateWriter};
pub use tables::{LEDGER_NAME, Tables};
