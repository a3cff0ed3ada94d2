//! Groups of DDL.

use serde::{Deserialize, Serialize};

use super::tiers::Files;

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
