//! What is read from old data and written to new columns and tables.

use serde::{Deserialize, Serialize};

use super::tiers::Files;

/// A temporary view, with one query for each shape that has other columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its queries: the first that fits a file counts. A file that none fits does not have the view.
    #[serde(rename = "select")]
    pub selects: Vec<ViewSql>,
}

/// The query of a view for files of some shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ViewSql {
    /// The shapes; empty for all.
    #[serde(default)]
    pub shapes: Vec<String>,
    /// Tables that a file must have, besides those that make its shape.
    #[serde(default)]
    pub tables: Vec<String>,
    /// The SQL itself, or after loading the text of the file that `file` names.
    #[serde(default)]
    pub sql: String,
    /// The file that holds the SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// SQL for files of some shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShapeSql {
    /// The shapes; empty for all.
    #[serde(default)]
    pub shapes: Vec<String>,
    /// The SQL itself, or after loading the text of the file that `file` names.
    #[serde(default)]
    pub sql: String,
    /// The file that holds the SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A number that is read in each file of a tier. Backfills find it in the temporary table `haul_measures`
/// (`file`, `tier`, `name`, `value`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// A query with one row and one column, by shape.
    #[serde(rename = "select")]
    pub selects: Vec<ShapeSql>,
}

/// What fills a table or a column.
///
/// `rows` is read once into the temporary table `haul_rows`, with its columns and a number `n` from 1. `write` then runs
/// for ranges of at most 1,000 of these numbers, `n > ?1 AND n <= ?2`, each range in a transaction of its own. `rows` may
/// read old data and views alone, so that it gives the same rows when a phase is resumed; `write` must not write again
/// what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Backfill {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Which files of the tier.
    #[serde(default)]
    pub files: Files,
    /// The query of the rows, by shape. Files of other shapes are left out.
    pub rows: Vec<ShapeSql>,
    /// The statement that writes a range of rows.
    pub write: ShapeSql,
    /// Where `write` has to be given by shape; used in place of `write` for the shapes that it names.
    #[serde(default)]
    pub write_for: Vec<ShapeSql>,
}

/// What must be true after the backfill: a query with one row and one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// What is expected, for people.
    pub name: String,
    /// The tier whose primary file is asked.
    pub tier: String,
    /// The query.
    pub sql: String,
    /// The smallest value that is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest value that is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// True if it is reported and does not fail the phase.
    #[serde(default)]
    pub advisory: bool,
}

/// A query that must not become slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimedQuery {
    /// What it asks for.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// The query, by shape.
    #[serde(rename = "select")]
    pub selects: Vec<ShapeSql>,
    /// The longest time of 95 in 100 runs, in milliseconds.
    pub p95_ms: u64,
}
