//! What a verification found, of a tree and of some of its files.

use serde::Serialize;

use crate::migration::{Finding, FirstFindings};

/// What a verification found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyEnd {
    /// Manifests that were read.
    pub manifests: u64,
    /// Of these, those whose last history record was recomputed and is right.
    pub checksums: u64,
    /// Those without snapshots, written before there were any: nothing is wrong with them (docs/source-sigilzero.md,
    /// D11).
    pub legacy_no_snapshots: u64,
    /// Snapshot files that were hashed.
    pub snapshots: u64,
    /// Lines of the ledger.
    pub ledger_lines: u64,
    /// Files whose bytes are those that the ledger names.
    pub ledger_files: u64,
    /// Backups that are what the ledger says.
    pub backups: u64,
    /// Runs that are verified by this.
    pub verified_runs: u64,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// Everything that is wrong.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// What was found of some files.
#[derive(Debug, Default)]
pub struct VerifiedFiles {
    /// See [`VerifyEnd::manifests`].
    pub manifests: u64,
    /// See [`VerifyEnd::checksums`].
    pub checksums: u64,
    /// See [`VerifyEnd::legacy_no_snapshots`].
    pub legacy_no_snapshots: u64,
    /// See [`VerifyEnd::snapshots`].
    pub snapshots: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}
