//! Replaces files in groups, so that a group shares the syncs: first contents and backups are made durable, then the
//! ledger, then the files are renamed, and then the checkpoint is stored.
//!
//! After a crash before the renames, all files are old; during them, each is old or new; after them, all are new. The
//! ledger tells the next run which files to look at.

use std::ffi::OsStr;
use std::io::ErrorKind::{InvalidInput, NotFound, Unsupported};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::evaluate::{NotReplaced, Tally, changed_refusal};
use super::ledger::{Ledger, LedgerEntry, WrittenFile, file_text};
use super::stage_file::{StagedBatch, StagedFile};
use super::state::RunState;
use crate::durable::{Disk, DiskError, RootDirectory};
use crate::manifest::document::checksum::hex;
use crate::manifest::tree::file_names;
use crate::manifest::tree::writable::WritableTree;
use crate::migration::plan::escape_name;
use crate::migration::{CheckpointFile, Durability, Error, FindingsCount, FindingsLog, OutcomeCounts, counted};
use crate::pipeline::{Commit, Counted, Writer};

/// What a run writes, for its report.
pub const MANIFESTS: &str = "manifests";

/// The records of a run, which a checkpoint makes durable together.
pub struct RunAccounting {
    /// The state after the last group.
    pub state: RunState,
    /// The findings, open for appending.
    pub findings: FindingsLog,
    /// How many of them there are.
    pub findings_count: FindingsCount,
    /// The ledger, open for appending.
    pub ledger: Ledger,
    /// The file of the state.
    pub checkpoint: Arc<CheckpointFile>,
}

/// Replaces groups of files.
pub struct Replacer {
    pub disk: Arc<dyn Disk>,
    /// Its file systems are synced as a whole, before and after the renames: that costs less than a sync for each file.
    pub tree: Arc<WritableTree>,
    /// The records of the run, locked while a group is replaced.
    pub accounting: Mutex<RunAccounting>,
    pending_max: u64,
    /// What was counted when the last group was replaced: nobody waits for the group that is being replaced.
    counted: Mutex<Counted>,
    replacing: Mutex<u64>,
    replaced: Condvar,
}

impl Replacer {
    /// Creates a replacer. While a group is being replaced, at most `pending_max` files gather for the next one.
    pub fn new(disk: Arc<dyn Disk>, tree: Arc<WritableTree>, accounting: RunAccounting, pending_max: u64) -> Self {
        let counted = Mutex::new(accounting.counted());
        let accounting = Mutex::new(accounting);
        Self { disk, tree, accounting, pending_max, counted, replacing: Mutex::default(), replaced: Condvar::new() }
    }

    /// Waits until no group is being replaced.
    fn wait(&self) {
        let mut replacing = self.replacing.lock();
        while *replacing > 0 {
            self.replaced.wait(&mut replacing);
        }
    }

    fn replace_group(&self, group: StagedBatch) -> Result<(), Error> {
        let mut accounting = self.accounting.lock();
        let mut tally = group.tally;
        if !group.files.is_empty() {
            self.tree.sync()?;
            let first_line = self.write_ahead(&mut accounting.ledger, &group.files)?;
            for (line, staged) in (first_line..).zip(&group.files) {
                match self.replace(staged) {
                    Ok(()) => {
                        tally.counts.migrated += 1;
                        accounting.state.progress.written_bytes += staged.len_bytes;
                    }
                    Err(NotReplaced::Refused(refusal)) => {
                        let file = file_text(&staged.file);
                        accounting.ledger.append(LedgerEntry::Withdrawn { file, line })?;
                        tally.refuse(&staged.file, &refusal);
                    }
                    Err(NotReplaced::Failed(error)) => return Err(error.into()),
                }
            }
            self.tree.sync()?;
        }
        accounting.close_group(&*self.disk, &tally, group.records, group.place)?;
        *self.counted.lock() = accounting.counted();
        Ok(())
    }

    /// Adds a line for each file to the ledger and makes them durable. Returns the number of the first line.
    fn write_ahead(&self, ledger: &mut Ledger, files: &[StagedFile]) -> Result<u64, Error> {
        let mut first = None;
        for staged in files {
            let number = ledger.append(LedgerEntry::Written(written(staged)))?;
            first.get_or_insert(number);
        }
        ledger.sync()?;
        Ok(first.unwrap_or_default())
    }

    /// Renames the new file over the old one, unless the old one has changed since it was read.
    fn replace(&self, staged: &StagedFile) -> Result<(), NotReplaced> {
        let name = staged.file.file_name().unwrap_or_default();
        let directory = self.tree.directory_of(&staged.file)?;
        let temporary = file_names::temporary_name(name);
        let now = directory.file_state(name)?;
        if now.is_none_or(|now| !staged.state.is_unchanged(&now)) {
            directory.remove_file(&temporary)?;
            // The backup is a link to the file that was just written to: its bytes are no longer those that were
            // parsed.
            let backup = &staged.backup.name;
            if directory.file_state(backup)?.is_some_and(|state| state.inode == staged.state.inode) {
                directory.remove_file(backup)?;
            }
            return Err(NotReplaced::Refused(changed_refusal("it is another file now, or has other bytes")));
        }
        let renamed = match self.tree.durability {
            Durability::None => swap_in(&*directory, &temporary, name),
            Durability::Group | Durability::Each => directory.rename(&temporary, name),
        };
        if let Err(error) = renamed {
            // As far as that can be done: what stays is removed by a later run, or is a backup that it finds.
            let _ = directory.remove_file(&temporary);
            if staged.backup.is_new {
                let _ = directory.remove_file(&staged.backup.name);
            }
            return Err(error.into());
        }
        // A failed sync may have lost the bytes of other files too.
        directory.sync_names().map_err(NotReplaced::Failed)
    }
}

/// Exchanges the new file and the old one, and removes the old one.
// When a rename replaces a file, ext4 first writes out the new file, each one alone. That takes a third of the run.
fn swap_in(directory: &dyn RootDirectory, temporary: &OsStr, name: &OsStr) -> Result<(), DiskError> {
    match directory.exchange(temporary, name) {
        Ok(()) => directory.remove_file(temporary),
        Err(error) if matches!(error.kind(), InvalidInput | Unsupported | NotFound) => {
            directory.rename(temporary, name)
        }
        failed => failed,
    }
}

impl RunAccounting {
    fn counted(&self) -> Counted {
        counted(&self.state.counts, [(MANIFESTS, self.state.progress.written_bytes)], &self.findings_count)
    }

    /// Records the result of a group and makes it durable.
    fn close_group(&mut self, disk: &dyn Disk, tally: &Tally, records: u64, place: Vec<u8>) -> Result<(), Error> {
        // The checkpoint comes last: it names lengths of the findings and the ledger that must be durable by then.
        for finding in &tally.findings {
            self.findings_count.add(finding.severity);
            self.findings.append(finding)?;
        }
        let state = &mut self.state;
        state.findings_bytes = self.findings.flush()?;
        self.findings.file().sync()?;
        state.progress.ledger = self.ledger.sync()?;
        state.counts.merge(&tally.counts);
        state.records += records;
        state.progress.source_bytes += tally.source_bytes;
        if !place.is_empty() {
            state.progress.place = place;
        }
        self.checkpoint.store(disk, &self.state)
    }
}

/// Returns the ledger line of a file that is about to be replaced.
fn written(staged: &StagedFile) -> WrittenFile {
    WrittenFile {
        file: file_text(&staged.file),
        from: staged.from.to_string(),
        to: staged.to.to_string(),
        before: hex(&staged.before),
        after: hex(&staged.after),
        backup: escape_name(&staged.backup.name),
        mode: format!("{:o}", staged.state.mode),
    }
}

/// Gathers staged files for the next group.
pub struct GroupWriter {
    replacer: Arc<Replacer>,
    pending: StagedBatch,
}

impl GroupWriter {
    /// Creates a writer that passes groups to `replacer`.
    pub fn new(replacer: Arc<Replacer>) -> Self {
        Self { replacer, pending: StagedBatch::default() }
    }
}

impl Writer for GroupWriter {
    type Output = StagedBatch;
    type Error = Error;
    type Commit = GroupCommit;

    fn write(&mut self, batch: StagedBatch) -> Result<(), Error> {
        self.pending.files.extend(batch.files);
        self.pending.tally.counts.merge(&batch.tally.counts);
        self.pending.tally.findings.extend(batch.tally.findings);
        self.pending.tally.source_bytes += batch.tally.source_bytes;
        self.pending.records += batch.records;
        self.pending.place = batch.place;
        // Only here could memory grow with the tree: if the disk is slow, staging waits for the group being replaced.
        if self.pending.records >= self.replacer.pending_max {
            self.replacer.wait();
        }
        Ok(())
    }

    fn commit_point(&mut self) -> Result<GroupCommit, Error> {
        *self.replacer.replacing.lock() += 1;
        Ok(GroupCommit { group: std::mem::take(&mut self.pending), replacer: self.replacer.clone() })
    }

    fn counted(&self) -> Option<Counted> {
        Some(self.replacer.counted.lock().clone())
    }
}

/// The commit of a group.
pub struct GroupCommit {
    group: StagedBatch,
    replacer: Arc<Replacer>,
}

impl Commit for GroupCommit {
    type Error = Error;

    fn commit(mut self) -> Result<(), Error> {
        self.replacer.replace_group(std::mem::take(&mut self.group))
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        *self.replacer.replacing.lock() -= 1;
        self.replacer.replaced.notify_all();
    }
}

#[cfg(test)]
mod tests;
