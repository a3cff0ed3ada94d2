//! The index of a tree: one row a run, in a SQLite file, as JSON lines or as SQL for PostgreSQL.

pub mod export;
pub mod rows;
#[cfg(feature = "db-sqlite")]
pub mod sqlite;
pub mod text;

use serde::{Deserialize, Serialize};

/// Columns, in the order of every sink.
pub const COLUMNS: [&str; 9] =
    ["job_id", "run_id", "job_ref", "job_type", "status", "inputs_hash", "artifact_dir", "manifest_json", "indexed_at"];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Key, first part.
    pub job_id: String,
    /// Key, second part.
    pub run_id: String,
    /// As the manifest has it.
    pub job_ref: Option<String>,
    /// As the manifest has it.
    pub job_type: Option<String>,
    /// As the manifest has it.
    pub status: Option<String>,
    /// As the manifest has it.
    pub inputs_hash: Option<String>,
    /// Directory of the manifest, relative to the root.
    pub artifact_dir: String,
    /// The manifest.
    pub manifest_json: String,
    /// When the manifest was last written.
    pub indexed_at: String,
    /// As the manifest has it.
    pub schema_version: Option<String>,
}
