//! Keeps a copy of a database next to it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};

use super::super::failure::RewriteFailure;
use super::super::original::FileSource;
use super::super::replace::is_kept;
use super::connect::{failure, open_for_copy, open_for_write};
use crate::durable::{
    Attributes, AttributesNotKept, Disk, parent_of, temporary_name_under_lock, write_new_synced_file,
};
use crate::pipeline::StopToken;

const PAGES_PER_STEP: i32 = 1000;
const PAUSE: Duration = Duration::from_millis(20);
/// Most pauses for another program that writes.
const PAUSES_MAX: u32 = 25;

/// A copy in progress.
pub(super) struct Copy<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
    backup: &'a Path,
    temporary: PathBuf,
    not_kept: AttributesNotKept,
    /// True once the copy has the name of the backup.
    is_new: Cell<bool>,
}

impl<'a> Copy<'a> {
    /// Creates an empty file with the owner and the permissions of the database.
    pub(super) fn create(disk: &'a dyn Disk, path: &'a Path, backup: &'a Path) -> Result<Self, RewriteFailure> {
        let temporary = temporary_name_under_lock(backup);
        let not_kept = write_new_synced_file(disk, &temporary, Attributes::Of(path), |_| Ok::<_, RewriteFailure>(()))?;
        Ok(Self { disk, path, backup, temporary, not_kept, is_new: Cell::new(false) })
    }

    /// Copies the database, which this process has locked, and names the copy as the backup, unless that has the same
    /// content already.
    pub(super) fn fill(&self, files: &dyn FileSource, stop: &StopToken) -> Result<(), RewriteFailure> {
        self.copy_pages(stop)?;
        let copied = files.open(&self.temporary).map_err(RewriteFailure::unreadable)?;
        if !is_kept(files, &*copied, self.backup, stop)? {
            self.disk.rename_exclusive(&self.temporary, self.backup)?;
            self.is_new.set(true);
        }
        Ok(self.disk.sync_directory(parent_of(self.backup))?)
    }

    fn copy_pages(&self, stop: &StopToken) -> Result<(), RewriteFailure> {
        let wrap = |error| failure(self.path, error);
        // A connection that writes cannot be copied from; another one sees the database as it was before.
        let source = open_for_copy(self.path, stop)?;
        let mut target = open_for_write(&self.temporary, stop)?;
        // A journal of the copy would be one more file to leave.
        target.pragma_update(None, "journal_mode", "MEMORY").map_err(wrap)?;
        let backup = Backup::new(&source, &mut target).map_err(wrap)?;
        let mut pauses = 0;
        loop {
            if stop.is_requested() {
                return Err(RewriteFailure::Stopped);
            }
            match backup.step(PAGES_PER_STEP).map_err(wrap)? {
                StepResult::Done => return Ok(()),
                StepResult::More => {}
                _ if pauses == PAUSES_MAX => {
                    return Err(RewriteFailure::Refused("another program keeps the database locked".into()));
                }
                _ => {
                    pauses += 1;
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Removes what nobody needs after the rewrite.
    pub(super) fn end(self, rewritten: Result<(), RewriteFailure>) -> Result<AttributesNotKept, RewriteFailure> {
        if !self.is_new.get() {
            // It was created here, and so was the backup below. The first error is the one to report.
            let _ = self.disk.remove_file(&self.temporary);
        } else if matches!(rewritten, Err(RewriteFailure::Refused(_) | RewriteFailure::Stopped)) {
            let _ = self.disk.remove_file(self.backup);
        }
        rewritten.map(|()| self.not_kept)
    }
}
