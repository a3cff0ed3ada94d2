//! What an upgrade is, as data: `upgrade.toml` and the SQL files next to it (docs/formats.md, "upgrade.toml").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An upgrade of a set of databases from one release to the next, with the text of every script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Its name, for plans and reports: `cortex-2.0`.
    pub name: String,
    /// Release that the databases are of.
    pub from: String,
    /// Release that they become.
    pub to: String,
    /// The tiers of the set, with the shapes by which files are recognised.
    #[serde(rename = "tier")]
    pub tiers: Vec<Tier>,
    /// Groups of DDL, in the order in which they run.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
    /// Temporary views that hide the differences between shapes from backfills.
    #[serde(rename = "view", default)]
    pub views: Vec<View>,
    /// Numbers that are read in every file of a tier, for backfills of other files.
    #[serde(rename = "measure", default)]
    pub measures: Vec<Measure>,
    /// What fills new tables and columns, in the order in which they run.
    #[serde(rename = "backfill", default)]
    pub backfills: Vec<Backfill>,
    /// What must be true after the backfill.
    #[serde(rename = "expectation", default)]
    pub expectations: Vec<Expectation>,
    /// Queries that must not become slow.
    #[serde(rename = "query", default)]
    pub queries: Vec<TimedQuery>,
    /// JSON lists that the operator gives, such as a list of plugins.
    #[serde(rename = "input", default)]
    pub inputs: Vec<Input>,
    /// Numbers that SQL reads with `haul_setting(name)`, which `--set NAME=VALUE` changes.
    #[serde(default)]
    pub settings: BTreeMap<String, f64>,
    /// Feature flags that cutover sets, in order.
    #[serde(rename = "flag", default)]
    pub flags: Vec<Flag>,
    /// What `monitor` watches.
    #[serde(rename = "monitor", default)]
    pub monitors: Vec<Monitor>,
    /// Days that `monitor` watches before `cleanup` may run.
    #[serde(default = "window_days")]
    pub window_days: u32,
    /// What `cleanup` removes, in order.
    #[serde(rename = "retention", default)]
    pub retention: Vec<Retention>,
    /// The renaming of keys in a configuration file.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// Columns that may hold secrets, as `table.column`: never in a report, an export or a log.
    #[serde(default)]
    pub secret_columns: Vec<String>,
    /// SHA-256 of `upgrade.toml` and all scripts.
    #[serde(skip)]
    pub sha256: String,
}

fn window_days() -> u32 {
    7
}

/// Which files of a tier something concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// The primary file.
    #[default]
    Primary,
    /// Every file.
    All,
}

/// A tier: databases of one purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier {
    /// Its name: `tier1`.
    pub name: String,
    /// True if a set needs no file of it.
    #[serde(default)]
    pub optional: bool,
    /// The shapes that its files may have. A file has the shape whose conditions it meets; if that are several, or shapes
    /// of several tiers, it is not recognised.
    #[serde(rename = "shape")]
    pub shapes: Vec<Shape>,
}

/// How a shape is recognised: by columns, never by names of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shape {
    /// Its name, unique in the tier: `A`.
    pub name: String,
    /// A table that must exist.
    pub table: String,
    /// Columns that this table must have.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Columns that it must not have.
    #[serde(default)]
    pub without_columns: Vec<String>,
    /// Tables that must not exist.
    #[serde(default)]
    pub without_tables: Vec<String>,
}

/// A group of DDL: one transaction in each database that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Its name: `001_core`.
    pub name: String,
    /// Names of its SQL files. The header comment of each names tiers and files.
    pub scripts: Vec<String>,
    /// The files, read.
    #[serde(skip)]
    pub parsed: Vec<Script>,
}

/// A SQL file of a group.
///
/// Header lines before the first statement: `-- tiers: tier1, tier2`, `-- files: primary` or `all` (default `primary`),
/// `-- table: conversations` for files that have this table alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Name of the file.
    pub name: String,
    /// Its whole text.
    pub text: String,
    /// Tiers that it concerns.
    pub tiers: Vec<String>,
    /// Which files of these tiers.
    pub files: Files,
    /// The table that a file must have; others are left out.
    pub table: Option<String>,
    /// Its statements, without semicolons at their ends.
    pub statements: Vec<ScriptStatement>,
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStatement {
    /// Its text.
    pub text: String,
    /// The line in the file, counted from 1.
    pub line: u64,
}

/// A temporary view, with one query for each shape that has other columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its queries. A file whose shape none names does not have the view.
    #[serde(rename = "select")]
    pub selects: Vec<ShapeSql>,
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
