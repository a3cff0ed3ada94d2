//! The exchange of a run's store for the one that it replaces. A crash may hide whether it was made: the two names look
//! alike, and the stores may be so too. So the run's own store holds a mark while it is exchanged.

use std::path::Path;

use crate::cas::paths::TargetPaths;
use crate::durable::{Disk, read_file, remove_tree, replace_file};
use crate::migration::Error;

/// The mark: a file in the root of the run's own store, which holds the id of the run.
pub const MARK_NAME: &str = ".haul-run";
/// Longer files are no marks.
const MARK_BYTES_MAX: u64 = 64;

/// An exchange of what is at the target for what lies next to it, of which one is the store of the run.
pub struct Exchange<'a> {
    /// The disk of both.
    pub disk: &'a dyn Disk,
    /// Where everything lies.
    pub paths: &'a TargetPaths,
    /// The run.
    pub run_id: &'a str,
}

impl Exchange<'_> {
    /// True if the store at `path` is known to be the run's.
    pub fn is_marked(&self, path: &Path) -> Result<bool, Error> {
        Ok(marked_by(self.disk, path)?.as_deref() == Some(self.run_id))
    }

    /// Exchanges the run's store at `own` for the one at `other`, durably. One of both is the target. The mark stays.
    pub fn make(&self, own: &Path, other: &Path) -> Result<(), Error> {
        // Also where it is there: the attempt that made it may have died before it was durable.
        replace_file(self.disk, &own.join(MARK_NAME), self.run_id.as_bytes())?;
        self.disk.exchange(own, other)?;
        self.sync()
    }

    /// Takes the mark off the store at `path`, if it has one.
    pub fn unmark(&self, path: &Path) -> Result<(), Error> {
        match marked_by(self.disk, path)? {
            Some(run_id) if run_id != self.run_id => Ok(()),
            // Durably also where it is gone: the attempt that took it off may have died before.
            _ => Ok(remove_tree(self.disk, &path.join(MARK_NAME))?),
        }
    }

    /// True if the store that stood at the target lies where the run's own was staged.
    pub fn is_half_done(&self) -> Result<bool, Error> {
        Ok(self.disk.kind(&self.paths.staging())?.is_some() && self.is_marked(self.paths.target())?)
    }

    /// Brings the replaced store to its place after an exchange, if it is not there yet, and takes off the mark.
    pub fn settle(&self) -> Result<(), Error> {
        // Each step durably before the next, also one that an attempt made before it died.
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

/// The run that marked the store at `path` as its own.
pub fn marked_by(disk: &dyn Disk, path: &Path) -> Result<Option<String>, Error> {
    let mark = path.join(MARK_NAME);
    if disk.kind(&mark)?.is_none() {
        return Ok(None);
    }
    Ok(String::from_utf8(read_file(disk, &mark, MARK_BYTES_MAX)?).ok())
}
