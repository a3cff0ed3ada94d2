//! Swaps the run's store for the store that it replaces. A crash may hide whether the swap was made: both names exist
//! before and after it, and the stores may be alike. So the run's own store has a mark while it is swapped.

use std::path::Path;

use crate::cas::paths::TargetPaths;
use crate::durable::{Disk, read_file, remove_tree, replace_file};
use crate::migration::Error;

/// Name of the mark: a file in the root of the run's own store with the id of the run.
pub const MARK_NAME: &str = ".haul-run";
/// Longest file that is read as a mark.
const MARK_BYTES_MAX: u64 = 64;

/// A swap of the directory at the target for one next to it. One of the two is the store of the run.
pub struct Swap<'a> {
    /// The disk of both.
    pub disk: &'a dyn Disk,
    /// The paths of the target.
    pub paths: &'a TargetPaths,
    /// The run.
    pub run_id: &'a str,
}

impl Swap<'_> {
    /// Returns true if the store at `path` is known to be the run's.
    pub fn is_marked(&self, path: &Path) -> Result<bool, Error> {
        Ok(marked_by(self.disk, path)?.as_deref() == Some(self.run_id))
    }

    /// Swaps the run's store at `own` for the one at `other`, durably. One of both is the target. The mark stays.
    pub fn make(&self, own: &Path, other: &Path) -> Result<(), Error> {
        // Also if the mark exists: the attempt that wrote it may have crashed before it was durable.
        replace_file(self.disk, &own.join(MARK_NAME), self.run_id.as_bytes())?;
        self.disk.exchange(own, other)?;
        self.sync()
    }

    /// Removes the mark of this run from the store at `path`.
    pub fn unmark(&self, path: &Path) -> Result<(), Error> {
        match marked_by(self.disk, path)? {
            Some(run_id) if run_id != self.run_id => Ok(()),
            // Also if the mark is gone: the attempt that removed it may have crashed before that was durable.
            _ => Ok(remove_tree(self.disk, &path.join(MARK_NAME))?),
        }
    }

    /// Returns true if the store from the target is now where the run's own was staged.
    pub fn is_half_done(&self) -> Result<bool, Error> {
        Ok(self.disk.kind(&self.paths.staging())?.is_some() && self.is_marked(self.paths.target())?)
    }

    /// Renames the replaced store to its place after a swap, if it is not there yet, and removes the mark.
    pub fn finish(&self) -> Result<(), Error> {
        // Each step is durable before the next one, also a step of an attempt that crashed.
        self.sync()?;
        if self.is_half_done()? {
            self.disk.rename(&self.paths.staging(), &self.paths.replaced())?;
            self.disk.sync_directory(self.paths.run_directory().path())?;
        }
        self.unmark(self.paths.target())
    }

    /// Makes the names of both durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.disk.sync_directory(self.paths.parent())?;
        Ok(self.disk.sync_directory(self.paths.run_directory().path())?)
    }
}

/// Returns the run that marked the store at `path` as its own.
pub fn marked_by(disk: &dyn Disk, path: &Path) -> Result<Option<String>, Error> {
    let mark = path.join(MARK_NAME);
    if disk.kind(&mark)?.is_none() {
        return Ok(None);
    }
    Ok(String::from_utf8(read_file(disk, &mark, MARK_BYTES_MAX)?).ok())
}
