//! An upgrade as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checklist::ChecklistItem;
use super::operation::{Configuration, Flag, Input, Monitor, Retention};
use super::queries::{Backfill, Expectation, Measure, TimedQuery, View};
use super::rebuild::Rebuild;
use super::scripts::Group;
use super::tiers::Tier;

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
    #[serde(rename = "group", default)]
    pub groups: Vec<Group>,
    /// Changes of old tables, after the groups, in the order in which they run.
    #[serde(rename = "rebuild", default)]
    pub rebuilds: Vec<Rebuild>,
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
    /// A checklist that `verify` and `run` print.
    #[serde(default)]
    pub checklist: Vec<ChecklistItem>,
    /// Criteria of success; haul's own if there are none.
    #[serde(rename = "criterion", default)]
    pub criteria: Vec<ChecklistItem>,
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
