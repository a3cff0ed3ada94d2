//! Rebuilds: changes of old tables, which groups may not make.

use serde::{Deserialize, Serialize};

use super::scripts::ScriptStatement;
use super::tiers::Files;
use crate::upgrade::set::Member;

/// A change of old tables: one transaction in each database that it concerns.
///
/// Its statements may do anything to `tables` and to tables that they make, and nothing to others. What it says of their
/// rows with `same` takes the place of the comparison of their content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rebuild {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Which files of the tier.
    #[serde(default = "all")]
    pub files: Files,
    /// The shapes that it concerns; empty for all.
    #[serde(default)]
    pub shapes: Vec<String>,
    /// Tables that a file must have; others are left out.
    #[serde(default)]
    pub with_tables: Vec<String>,
    /// The old tables that it may change.
    pub tables: Vec<String>,
    /// What there is of these tables and will not be any more: names of indexes and triggers, and columns as
    /// `table.column`.
    #[serde(default)]
    pub gone: Vec<String>,
    /// The SQL itself, or after loading the text of the file that `file` names.
    #[serde(default)]
    pub sql: String,
    /// The file that holds the SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What must be the same before and after.
    pub same: Vec<Same>,
    /// The statements, read.
    #[serde(skip)]
    pub statements: Vec<ScriptStatement>,
}

/// Two queries whose rows must be equal, whatever their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Same {
    /// What is the same, for people.
    pub name: String,
    /// What is asked of the database before the upgrade.
    pub before: String,
    /// What is asked of it afterwards.
    pub after: String,
}

fn all() -> Files {
    Files::All
}

impl Rebuild {
    /// Returns true if a file of this tier and shape is concerned. Whether it has the tables is for the caller to see.
    pub fn concerns(&self, member: &Member) -> bool {
        self.tier == member.tier
            && self.files.concern(member.is_primary)
            && (self.shapes.is_empty() || self.shapes.contains(&member.shape))
    }
}
