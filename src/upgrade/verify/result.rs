//! What verification has found.

use serde::{Deserialize, Serialize};

use crate::migration::Error;
use crate::upgrade::definition::{ChecklistItem, Definition};

/// How many details a message shows.
const DETAILS_SHOWN_MAX: usize = 3;

/// A check, with its figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// What is checked: `schema`, `old data`.
    pub name: String,
    /// True if it is as it must be.
    pub passed: bool,
    /// What was counted or measured.
    pub figure: String,
    /// What is wrong, a line each; notes if nothing is.
    pub detail: Vec<String>,
}

/// What verification has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// True if all checks passed.
    pub passed: bool,
    /// The checks.
    pub checks: Vec<CheckResult>,
    /// Each expectation of the definition, and how the time of queries has changed.
    pub expectations: Vec<CheckResult>,
    /// The checklist of the definition, answered by checks and expectations.
    pub checklist: Vec<CheckResult>,
    /// The criteria of success, answered in the same way.
    pub criteria: Vec<CheckResult>,
}

/// The criteria of an upgrade that has none of its own, each with the checks that answer it.
const CRITERIA: [(&str, &[&str]); 5] = [
    ("no old row is lost or changed", &["old data", "rebuilds"]),
    ("every new object is there as planned", &["plan", "schema", "records"]),
    ("new tables and columns hold what was predicted", &["new data"]),
    ("nothing is more damaged than before", &["integrity", "boundary"]),
    ("it is fast enough and can be maintained", &["speed", "operation"]),
];

impl Verification {
    /// Returns what these checks have found together.
    pub fn of(checks: Vec<CheckResult>, expectations: Vec<CheckResult>, definition: &Definition) -> Self {
        let found: Vec<_> = checks.iter().chain(&expectations).cloned().collect();
        let answer = |items: &[ChecklistItem]| items.iter().map(|item| answer(item, &found, definition)).collect();
        let own = CRITERIA.map(|(title, proof)| ChecklistItem {
            title: title.to_owned(),
            proof: proof.iter().map(|&name| name.to_owned()).collect(),
        });
        Self {
            passed: checks.iter().all(|check| check.passed),
            checklist: answer(&definition.checklist),
            criteria: answer(if definition.criteria.is_empty() { &own } else { &definition.criteria }),
            checks,
            expectations,
        }
    }

    /// Returns the error of a phase that has failed, or nothing. `next` says what to do.
    pub fn failure(&self, next: impl Into<String>) -> Option<Error> {
        let failed: Vec<_> = self.checks.iter().filter(|check| !check.passed).collect();
        let first = failed.first()?;
        let names: Vec<_> = failed.iter().map(|check| check.name.as_str()).collect();
        let shown: Vec<_> = first.detail.iter().take(DETAILS_SHOWN_MAX).map(String::as_str).collect();
        let what = format!(
            "verify: {} of {} checks failed ({}): {}",
            failed.len(),
            self.checks.len(),
            names.join(", "),
            shown.join("; ")
        );
        Some(Error::Verification { what, next: next.into(), source: None })
    }
}

/// Answers a line of a checklist.
fn answer(item: &ChecklistItem, found: &[CheckResult], definition: &Definition) -> CheckResult {
    let answering: Vec<_> = found.iter().filter(|check| item.proof.contains(&check.name)).collect();
    let mut figures: Vec<_> = answering.iter().map(|check| check.figure.clone()).collect();
    if item.proof.iter().any(|name| name == "window") {
        figures.push(format!("open: known {} days after the switch", definition.window_days));
    }
    let failed = answering.iter().filter(|check| !check.passed);
    CheckResult {
        name: item.title.clone(),
        passed: answering.iter().all(|check| check.passed),
        figure: figures.join("; "),
        detail: failed.map(|check| format!("{}: failed", check.name)).collect(),
    }
}

/// What a check finds while it looks at one database after another.
#[derive(Debug)]
pub struct Findings {
    name: &'static str,
    faults: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// Begins a check.
    pub fn new(name: &'static str) -> Self {
        Self { name, faults: Vec::new(), notes: Vec::new() }
    }

    /// Adds something that is wrong.
    pub fn fault(&mut self, file: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{file}: {what}"));
    }

    /// Adds something that is not wrong.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Returns true if nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Ends the check.
    pub fn with_figure(self, figure: String) -> CheckResult {
        let passed = self.faults.is_empty();
        CheckResult {
            name: self.name.to_owned(),
            passed,
            figure,
            detail: if passed { self.notes } else { self.faults },
        }
    }
}
