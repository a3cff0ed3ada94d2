//! What lint finds, and how much it matters.

use std::fmt;

use serde::Serialize;

use crate::db::version::Version;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LintSeverity {
    /// Worth knowing.
    Note,
    /// It works, and may hurt: data is gone, or others wait.
    Warning,
    /// It does not work, or not on a database with rows in it.
    Error,
}

impl fmt::Display for LintSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something that lint looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, in lower case with hyphens.
    pub name: &'static str,
    /// How much it matters.
    pub severity: LintSeverity,
    /// What is the case where it finds something.
    pub what: &'static str,
    /// What to do about it.
    pub next: &'static str,
}

/// Something that a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub line: u64,
    /// The migration's version, if its file could be read.
    pub version: Option<Version>,
    /// The name of the rule.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: LintSeverity,
    /// What is the case.
    pub message: String,
    /// What to do about it.
    pub next: &'static str,
}
