//! The index of a tree, with one row for each run: in a SQLite file, as JSON lines, or as SQL for PostgreSQL.

pub mod export;
#[cfg(feature = "db-sqlite")]
mod index_file;
pub mod rows;
#[cfg(feature = "db-sqlite")]
pub mod sqlite;
pub mod text;

use serde::{Deserialize, Serialize};

/// The columns, in the order of all outputs.
pub const COLUMNS: [&str; 9] =
    ["job_id", "run_id", "job_ref", "job_type", "status", "inputs_hash", "artifact_dir", "manifest_json", "indexed_at"];

/// A row of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRow {
    /// The first part of the key.
    pub job_id: String,
    /// The second part of the key.
    pub run_id: String,
    /// As the manifest has it.
    pub job_ref: Option<String>,
    /// As the manifest has it.
    pub job_type: Option<String>,
    /// As the manifest has it.
    pub status: Option<String>,
    /// As the manifest has it.
    pub inputs_hash: Option<String>,
    /// The directory of the manifest, relative to the root.
    pub artifact_dir: String,
    /// The text of the manifest.
    pub manifest_json: String,
    /// The modification time of the manifest.
    pub indexed_at: String,
    /// As the manifest has it.
    pub schema_version: Option<String>,
}
