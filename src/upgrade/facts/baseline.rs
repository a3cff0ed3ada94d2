//! What a database is like before the upgrade. Real databases are damaged in many ways, so each gate compares with this
//! and asks for no perfect state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a database is like before the upgrade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Every table that is not SQLite's own and not a shadow table of an index, by name.
    pub tables: BTreeMap<String, TableFacts>,
    /// The rows of `PRAGMA integrity_check`: `["ok"]`, or what is wrong.
    pub integrity: Vec<String>,
    /// What `PRAGMA foreign_key_check` says.
    pub foreign_keys: ForeignKeyState,
    /// State of each full-text index, by name.
    pub fts: BTreeMap<String, FtsState>,
    /// Bytes of each full-text index with its tables, by name, if that can be found out.
    pub fts_bytes: BTreeMap<String, u64>,
    /// Values of timestamp columns by form: `iso-naive`, `sql`, `zoned`, `unix`, `unreadable`.
    pub instant_forms: BTreeMap<String, u64>,
    /// Pages of the file.
    pub pages: u64,
    /// Pages that hold nothing.
    pub free_pages: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// `delete`, `wal` and so on.
    pub journal_mode: String,
    /// `UTF-8`, `UTF-16le`, `UTF-16be`.
    pub encoding: String,
}

/// A table before the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its content.
    pub content_sha256: String,
    /// Bytes of its pages and of those of its indexes, if that can be found out.
    pub bytes: Option<u64>,
}

/// What `PRAGMA foreign_key_check` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignKeyState {
    /// So many rows violate a key: by child table and parent table.
    Violations(BTreeMap<String, u64>),
    /// The check itself fails, because a key names a column that does not exist.
    Mismatch(String),
}

/// Whether a full-text index agrees with what it indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FtsState {
    /// It agrees: the check with rank 1 passes.
    Consistent,
    /// It does not, with the error.
    Inconsistent(String),
}
