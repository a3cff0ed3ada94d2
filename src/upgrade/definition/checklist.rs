//! Checklists that people know, answered by checks.

use serde::{Deserialize, Serialize};

/// The checks of phase 4 that can answer a line, and `window`, which is not known before the monitor ends.
pub const CHECKS: [&str; 13] = [
    "backups",
    "plan",
    "schema",
    "old data",
    "rebuilds",
    "new data",
    "records",
    "integrity",
    "boundary",
    "speed",
    "latency",
    "operation",
    "window",
];

/// A line of a checklist, or a criterion of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChecklistItem {
    /// What it asks for, for people.
    pub title: String,
    /// What answers it: names of checks of phase 4 and of expectations.
    pub proof: Vec<String>,
}
