//! What happens around and after the change of the databases: lists of the operator, flags, monitoring, retention.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tiers::Files;

/// A JSON list that the operator gives with `--input NAME=FILE`. SQL reads it with `haul_input(name)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Keys that every element must have.
    pub required: Vec<String>,
    /// Values that a key is known to have, by key; others are accepted with a note.
    #[serde(default)]
    pub known: BTreeMap<String, Vec<String>>,
    /// Ranges of whole numbers, smallest and largest, by key.
    #[serde(default)]
    pub ranges: BTreeMap<String, (i64, i64)>,
}

/// A feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// Flags that must be set before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// True if setting it makes a maintenance plan: which files would be compacted or analysed. Nothing is applied.
    #[serde(default)]
    pub plans_maintenance: bool,
    /// True if it may only be set after a maintenance plan was made.
    #[serde(default)]
    pub needs_maintenance_plan: bool,
    /// A query that is run after it is set and after the soak, with its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// A number that a query gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metric {
    /// The tier whose primary file is asked.
    pub tier: String,
    /// The query, with one row and one column.
    pub sql: String,
    /// The largest value at which the flag stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// What `monitor` watches: a number, compared with a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Monitor {
    /// Its name: `plugin-failures`.
    pub name: String,
    /// The tier whose primary file is asked; all files of the tier with `files = "all"`.
    pub tier: String,
    /// Which files of the tier.
    #[serde(default)]
    pub files: Files,
    /// A query with one row: the value and, if there is a second column, how many things it is about.
    pub sql: String,
    /// The largest value that is right.
    pub max: f64,
    /// How many things it must be about to count.
    #[serde(default)]
    pub sample_min: u64,
    /// What a value over `max` asks for: `pause`, `investigate`, `misconfigured`.
    pub trigger: String,
}

/// How long rows of a table are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retention {
    /// The table.
    pub table: String,
    /// The tier whose primary file holds it.
    pub tier: String,
    /// An expression over the table that is true for rows that go. `haul_before(column, days)` is true for an instant
    /// that lies more than so many days before now.
    pub expired: String,
    /// Which of them are written to an archive before: an expression; empty for none.
    #[serde(default)]
    pub archive: String,
    /// A query that summarises the rows that go, written to the archive with them; `{expired}` stands for the condition.
    #[serde(default)]
    pub summary: String,
}

/// The renaming of keys in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// New path of each old path, with dots between keys: `"db.tier1" = "databases.tier1.path"`. `.*` at the end of both
    /// takes every key below.
    pub rename: BTreeMap<String, String>,
    /// The key that says which version a file is of, and its new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<(String, String)>,
}
