//! What became of a tree, as people read it.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::manifest::outcome::Counts;
use crate::migration::units::count_text;
use crate::migration::{Finding, FirstFindings, Severity};

/// Findings that the text shows; the document and the report have more.
const FINDINGS_SHOWN_MAX: usize = 20;

/// A finding as the JSON documents have it.
#[derive(Serialize)]
pub struct FileFinding<'a> {
    severity: Severity,
    code: &'a str,
    path: &'a str,
    offset: u64,
    reason: &'a str,
}

impl<'a> From<&'a Finding> for FileFinding<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            severity: finding.severity,
            code: finding.id.as_deref().unwrap_or_default(),
            path: &finding.file,
            offset: finding.offset,
            reason: &finding.reason,
        }
    }
}

/// The first findings as the JSON documents have them.
pub fn documents(findings: &FirstFindings) -> Vec<FileFinding<'_>> {
    findings.first.iter().map(FileFinding::from).collect()
}

/// Everything found, by outcome.
pub fn write_counts(text: &mut String, records: u64, counts: &Counts) -> fmt::Result {
    writeln!(text, "{:<28}{:>18}", "found", count_text(records))?;
    counts.to_string().lines().try_for_each(|line| writeln!(text, "  {line}"))
}

/// The first findings, refusals before notes, a line each.
pub fn write_findings(text: &mut String, findings: &FirstFindings) -> fmt::Result {
    let mut first: Vec<_> = findings.first.iter().collect();
    first.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in first.iter().take(FINDINGS_SHOWN_MAX) {
        let FileFinding { severity, code, path, reason, .. } = FileFinding::from(*finding);
        writeln!(text, "{severity}: {path}: {code}: {reason}")?;
    }
    let more = findings.count.sum().saturating_sub(FINDINGS_SHOWN_MAX as u64);
    if more > 0 {
        writeln!(text, "… and {} more", count_text(more))?;
    }
    Ok(())
}
