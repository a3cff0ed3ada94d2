//! Content-addressed stores of every Requiem generation, the v2 store with BLAKE3 `cas:` keys, and the migration from
//! one to the other (docs/source-requiem.md).

pub mod algorithm_counts;
pub mod clean;
pub mod doctor;
pub mod format;
pub mod generate;
pub mod map;
pub mod migrate;
pub mod options;
pub mod outcome;
pub mod paths;
pub mod references;
pub mod repair;
pub mod rollback;
pub mod source;
pub mod state;
pub mod status;
pub mod store;
pub mod validate;
pub mod verify;

pub use format::key::{Algorithm, Key};
