//! What a database is like: private copies that can be looked at without touching the original, and the figures by
//! which two states are compared.

mod baseline;
mod compare;
mod content;
mod failure;
mod file_state;
mod foreign_keys;
mod fts;
mod hot_journal;
mod instants;
mod pages;
mod schema;
mod scratch;
mod snapshot;
mod take;
#[cfg(test)]
pub mod test_databases;

pub use baseline::{Baseline, ForeignKeyState, FtsState, TableFacts};
pub use compare::{Health, worse_keys};
pub use content::{query_sha256, table_facts};
pub use failure::{failed, failed_on_copy};
pub use file_state::{FileState, SIDE_FILES, side_file, side_files};
pub use foreign_keys::foreign_key_state;
pub use fts::{fts_state, fts_tables};
pub use instants::instant_forms;
pub use pages::{Pages, object_bytes};
pub use schema::{columns, hex, quoted, schema_sha256, tables};
pub use snapshot::Snapshot;
