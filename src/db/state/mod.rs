//! The state that haul keeps in the database (docs/source-sql.md, "Ledger and log").

mod cursors;
mod entries;
mod files;
mod numbers;
mod reader;
mod schemas;
mod tables;
mod writer;

pub use cursors::{Cursor, CursorRow};
pub use entries::{AppliedRow, LogEntry, LogRow, Outcome};
pub use files::FileRow;
pub use numbers::Numbers;
pub use reader::StateReader;
pub use schemas::KeptSchema;
pub use tables::Tables;
pub use writer::StateWriter;
