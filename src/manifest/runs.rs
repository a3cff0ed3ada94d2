//! The runs of a tree, as its ledger tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::migrate::ledger::{LedgerEntry, LedgerLine, for_each_line};
use super::migrate::run_directory;
use super::migrate::state::for_each_line_of_whole;
use crate::durable::Disk;
use crate::migration::Error;

/// A run of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// When it began, if its id tells.
    pub began_at: Option<String>,
    /// The version that files were migrated to.
    pub target_version: String,
    /// Files that it replaced.
    pub written: u64,
    /// Files that a rollback restored.
    pub restored: u64,
    /// Backups that a clean-up removed.
    pub removed: u64,
    /// True if it has ended.
    pub ended: bool,
    /// True if a verification found no fault in its files.
    pub verified: bool,
    /// Files in which the last verification found one.
    pub faulty: u64,
}

/// Reads all runs of the tree at `root`, the oldest first.
pub fn runs(disk: &dyn Disk, root: &Path) -> Result<Vec<Run>, Error> {
    let directory = run_directory(root);
    let mut withdrawn = BTreeSet::new();
    for_each_line_of_whole(disk, directory.path(), |line| {
        if let LedgerEntry::Withdrawn { line, .. } = line.entry {
            withdrawn.insert(line);
        }
        Ok(())
    })?;
    // The ids sort by the time at which their runs began.
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for_each_line(disk, directory.path(), |line| {
        if !line.run.is_empty() && !withdrawn.contains(&line.number) {
            runs.entry(line.run.clone()).or_default().take(&line);
        }
        Ok(())
    })?;
    Ok(runs.into_iter().map(|(run_id, run)| Run { run_id, ..run }).collect())
}

impl Run {
    fn take(&mut self, line: &LedgerLine) {
        match &line.entry {
            LedgerEntry::Began { target, .. } => {
                self.began_at = began_at(&line.run).map(|at| at.to_string());
                self.target_version.clone_from(target);
            }
            LedgerEntry::Written(_) => self.written += 1,
            LedgerEntry::Restored { .. } => self.restored += 1,
            LedgerEntry::Removed { .. } => self.removed += 1,
            LedgerEntry::Ended { .. } => self.ended = true,
            LedgerEntry::Verified { except } => (self.verified, self.faulty) = (true, except.len() as u64),
            LedgerEntry::Withdrawn { .. } | LedgerEntry::Accepted { .. } => {}
        }
    }
}

/// Returns the id of the run that began last.
pub fn last_run(disk: &dyn Disk, root: &Path) -> Result<Option<String>, Error> {
    let mut last = None;
    for_each_line_of_whole(disk, run_directory(root).path(), |line| {
        if let LedgerEntry::Began { .. } = line.entry {
            last = Some(line.run);
        }
        Ok(())
    })?;
    Ok(last)
}

/// Returns the instant in the id of a run.
pub fn began_at(run_id: &str) -> Option<Timestamp> {
    let (secs, nanos) = uuid::Uuid::parse_str(run_id).ok()?.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(secs).ok()?, i32::try_from(nanos).ok()?).ok()
}
