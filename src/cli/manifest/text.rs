//! What the commands of a tree of manifests print alike.

use std::path::Path;

use serde::Serialize;

use crate::cli::output;
use crate::cli::table::Table;
use crate::manifest::migrate::space_needed::FileSystemNeeds;
use crate::manifest::outcome::Counts;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Finding, FirstFindings, Severity};

/// A finding in the JSON documents.
#[derive(Serialize)]
struct FileFinding<'a> {
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

/// The result of a command on a tree, with its first findings, for the JSON document.
#[derive(Serialize)]
pub struct TreeEnd<'a, E> {
    root: String,
    #[serde(flatten)]
    end: &'a E,
    findings: Vec<FileFinding<'a>>,
}

impl<'a, E> TreeEnd<'a, E> {
    /// Adds the root and the findings to `end`.
    pub fn new(root: &Path, end: &'a E, findings: &'a FirstFindings) -> Self {
        let findings = findings.first.iter().map(FileFinding::from).collect();
        Self { root: root.display().to_string(), end, findings }
    }
}

/// Writes everything found, by outcome.
pub fn write_counts(table: &mut Table, records: u64, counts: &Counts) {
    table.count("found", records);
    table.outcomes(counts);
}

/// Writes a line for each file system that has not enough bytes or inodes for the new files.
pub fn write_lacks(table: &mut Table, file_systems: &[FileSystemNeeds]) {
    for needs in file_systems.iter().filter(|needs| !needs.fits()) {
        let FileSystemNeeds { directory, bytes_needed, bytes_available, inodes_needed, .. } = needs;
        if bytes_needed > bytes_available {
            let (needed, available) = (bytes_text(*bytes_needed), bytes_text(*bytes_available));
            table.line(format_args!("not enough space at {directory}: {needed} needed, {available} available"));
        }
        if let Some(available) = needs.inodes_available.filter(|_| !needs.has_inodes()) {
            let (needed, available) = (count_text(*inodes_needed), count_text(available));
            table.line(format_args!("not enough inodes at {directory}: {needed} needed, {available} available"));
        }
    }
}

/// Writes the first findings.
pub fn write_findings(table: &mut Table, findings: &FirstFindings) {
    output::write_findings(table, &findings.count, &findings.first, |finding| {
        format!("{}: {}", finding.file, finding.id.as_deref().unwrap_or_default())
    });
}
