//! The findings of lint and their severity.

use std::fmt;

use serde::Serialize;

use crate::db::version::Version;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LintSeverity {
    /// Worth knowing.
    Note,
    /// It works but may do harm: data is lost, or other sessions must wait.
    Warning,
    /// It fails, at least on a table that has rows.
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

/// A rule of lint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The name, in lower case with hyphens.
    pub name: &'static str,
    /// The severity.
    pub severity: LintSeverity,
    /// The description of the problem.
    pub what: &'static str,
    /// What to do about it.
    pub next: &'static str,
}

/// A finding of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0 for the whole file.
    pub line: u64,
    /// The version of the migration, if its file is valid.
    pub version: Option<Version>,
    /// The name of the rule.
    pub rule: &'static str,
    /// The severity.
    pub severity: LintSeverity,
    /// The description of the problem.
    pub message: String,
    /// What to do about it.
    pub next: &'static str,
}
