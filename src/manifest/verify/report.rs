//! The results of a verification.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::manifest::migrate::ledger::EXCEPT_MAX;
use crate::migration::units::count_text;
use crate::migration::{Finding, FirstFindings, Sample, Severity, Subset};

/// The result of verifying a tree.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyEnd {
    /// Number of manifests that were read.
    pub manifests: u64,
    /// Number of manifests that were not, because others were selected.
    pub not_selected: u64,
    /// What was covered, in words.
    pub covered: String,
    /// Number of those whose last history record has the right checksum.
    pub checksums: u64,
    /// Number of manifests without snapshots, from before snapshots existed. That is not a fault
    /// (docs/source-sigilzero.md, D11).
    pub legacy_no_snapshots: u64,
    /// Number of snapshot files that were hashed.
    pub snapshots: u64,
    /// Number of lines of the ledger.
    pub ledger_lines: u64,
    /// Number of files whose bytes are those in the ledger.
    pub ledger_files: u64,
    /// Number of files that a run which has not ended has in its ledger and has not replaced yet.
    pub ledger_waiting: u64,
    /// Number of backups whose bytes are those in the ledger.
    pub backups: u64,
    /// Number of runs that were marked as verified.
    pub verified_runs: u64,
    /// Number of files that are excepted from these marks, because a fault was found in them or in their backups.
    pub excepted_files: u64,
    /// True if the verification was asked to stop.
    pub stopped: bool,
    /// Everything that is wrong.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// The result of verifying a batch of files.
#[derive(Debug, Default)]
pub struct VerifiedFiles {
    /// See [`VerifyEnd::manifests`].
    pub manifests: u64,
    /// See [`VerifyEnd::not_selected`].
    pub not_selected: u64,
    /// The files, if the ledger must know them one by one.
    pub files: Vec<PathBuf>,
    /// See [`VerifyEnd::checksums`].
    pub checksums: u64,
    /// See [`VerifyEnd::legacy_no_snapshots`].
    pub legacy_no_snapshots: u64,
    /// See [`VerifyEnd::snapshots`].
    pub snapshots: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl VerifyEnd {
    /// Returns what was covered, in words.
    pub(super) fn covered_text(&self, subset: Subset, sample: Option<Sample>, is_selected: bool) -> String {
        let share = match (subset, sample) {
            (Subset::ALL, None) if !is_selected => "all manifests".to_owned(),
            (Subset::ALL, None) => "the selected manifests".to_owned(),
            (Subset { part, of }, None) => format!("share {part}/{of} of the manifests"),
            (Subset::ALL, Some(sample)) => format!("a sample of {} manifests, seed {}", sample.records, sample.seed),
            (Subset { part, of }, Some(sample)) => {
                format!("a sample of {} manifests of share {part}/{of}, seed {}", sample.records, sample.seed)
            }
        };
        let selected = if is_selected && (subset, sample) != (Subset::ALL, None) { ", of those selected" } else { "" };
        let stopped = if self.stopped { "stopped on the way; " } else { "" };
        let (read, found) = (count_text(self.manifests), count_text(self.manifests + self.not_selected));
        format!("{stopped}{share}{selected}: {read} of {found} read")
    }

    /// Adds the result of a batch of files.
    pub(super) fn add(&mut self, verified: VerifiedFiles) {
        self.manifests += verified.manifests;
        self.not_selected += verified.not_selected;
        self.checksums += verified.checksums;
        self.legacy_no_snapshots += verified.legacy_no_snapshots;
        self.snapshots += verified.snapshots;
        verified.findings.into_iter().for_each(|finding| self.findings.push(finding));
    }
}

/// The files in which something is wrong, as lines of the ledger name them.
#[derive(Default)]
pub(super) struct FaultyFiles {
    pub files: BTreeSet<String>,
    /// True if there are so many that they are not collected.
    pub are_too_many: bool,
}

impl FaultyFiles {
    /// Adds the files of these findings.
    pub fn take(&mut self, findings: &[Finding]) {
        let fatal = findings.iter().filter(|finding| finding.severity == Severity::Fatal);
        fatal.for_each(|finding| self.add(&finding.file));
    }

    /// Adds a file.
    pub fn add(&mut self, file: &str) {
        self.are_too_many |= self.files.len() >= EXCEPT_MAX;
        if !self.are_too_many {
            self.files.insert(file.to_owned());
        }
    }
}
