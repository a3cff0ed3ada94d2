//! Takes what a run published away from the target again, and puts back what stood there before.

use std::path::Path;

use super::merge::{has_index_before, withdraw_merge};
use super::swap::Exchange;
use super::{is_live, rename_to_free_name};
use crate::cas::options::Placement;
use crate::cas::paths::TargetPaths;
use crate::cas::state::RunState;
use crate::durable::{Disk, DiskFileSystem, remove_tree};
use crate::migration::Error;

/// What stands at the target of a run that has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What the run published.
    Published,
    /// What stood there before: the run's store is withdrawn, or on its way.
    Withdrawn,
    /// Something else.
    Changed,
}

/// True if a rollback of a run that is called published has begun and died half-way.
pub fn is_under_way(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<bool, Error> {
    let has_withdrawn = disk.kind(&paths.withdrawn())?.is_some();
    match state.rules.placement {
        Placement::New => Ok(has_withdrawn),
        Placement::Replace => {
            let exchange = Exchange { disk, paths, run_id: &state.run_id };
            Ok(has_withdrawn || exchange.is_marked(&paths.replaced())?)
        }
        Placement::Merge => Ok(!is_live(disk, paths, state)? && has_index_before(disk, paths)?),
    }
}

/// A run that has published, and that a rollback withdraws.
pub struct Withdrawal<'a> {
    /// The disk of the target.
    pub disk: &'a dyn Disk,
    /// Where everything lies.
    pub paths: &'a TargetPaths,
    /// The run.
    pub state: &'a RunState,
    /// The file system of the target, asked for before anything is written.
    pub file_system: &'a dyn DiskFileSystem,
}

impl Withdrawal<'_> {
    /// The exchange that a replacement is, there and back.
    pub fn exchange(&self) -> Exchange<'_> {
        Exchange { disk: self.disk, paths: self.paths, run_id: &self.state.run_id }
    }

    fn placement(&self) -> Placement {
        self.state.rules.placement
    }

    fn is_there(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.disk.kind(path)?.is_some())
    }

    /// What stands at the target.
    pub fn standing(&self) -> Result<Standing, Error> {
        let is_withdrawn = match self.placement() {
            Placement::New => !self.is_there(self.paths.target())?,
            Placement::Replace => {
                let replaced = self.paths.replaced();
                !self.is_there(&replaced)? || self.exchange().is_marked(&replaced)?
            }
            Placement::Merge => false,
        };
        if is_withdrawn {
            return Ok(Standing::Withdrawn);
        }
        if is_live(self.disk, self.paths, self.state)? {
            return Ok(Standing::Published);
        }
        let is_before = self.placement() == Placement::Merge && has_index_before(self.disk, self.paths)?;
        Ok(if is_before { Standing::Withdrawn } else { Standing::Changed })
    }

    /// Fails if what would be put back is gone: a clean-up has taken it.
    pub fn check_possible(&self) -> Result<(), Error> {
        let gone = |what: String| {
            let next = "there is nothing to go back to; the store that was published stays".into();
            Err(Error::Usage { what, next })
        };
        let target = self.paths.target().display();
        match self.placement() {
            Placement::New => Ok(()),
            Placement::Replace => {
                let is_kept = self.is_there(&self.paths.replaced())? || self.is_there(&self.paths.withdrawn())?;
                if is_kept { Ok(()) } else { gone(format!("the store that {target} took the place of was removed")) }
            }
            Placement::Merge => {
                let has_log = self.state.progress.objects == 0 || self.is_there(&self.paths.moved())?;
                if has_log && self.is_there(&self.paths.index_before())? {
                    return Ok(());
                }
                gone(format!("what tells the objects merged into {target} from those before was removed"))
            }
        }
    }

    /// Puts back what stood at the target, durably. What the run had published is left in [`TargetPaths::withdrawn`], or
    /// removed if it was merged in. Run again after a crash at any point, it completes.
    pub fn make(&self) -> Result<(), Error> {
        match self.placement() {
            Placement::New => self.make_absent()?,
            Placement::Replace => self.put_back()?,
            Placement::Merge => withdraw_merge(self.disk, self.paths, self.state, self.file_system)?,
        }
        self.exchange().sync()
    }

    fn make_absent(&self) -> Result<(), Error> {
        let (target, withdrawn) = (self.paths.target(), self.paths.withdrawn());
        if self.is_there(target)? {
            remove_tree(self.disk, &withdrawn)?;
            rename_to_free_name(self.disk, target, &withdrawn)?;
        }
        Ok(())
    }

    fn put_back(&self) -> Result<(), Error> {
        let (target, replaced, withdrawn) = (self.paths.target(), self.paths.replaced(), self.paths.withdrawn());
        if !self.is_there(&replaced)? {
            return Ok(());
        }
        let exchange = self.exchange();
        if !exchange.is_marked(&replaced)? {
            if !self.is_there(target)? {
                return rename_to_free_name(self.disk, &replaced, target);
            }
            exchange.make(target, &replaced)?;
        }
        // The attempt that made the exchange may have died before it was durable.
        exchange.sync()?;
        remove_tree(self.disk, &withdrawn)?;
        Ok(self.disk.rename(&replaced, &withdrawn)?)
    }

    /// Removes what a withdrawal leaves, once the checkpoint calls the run rolled back.
    pub fn discard(&self) -> Result<(), Error> {
        let paths = self.paths;
        for path in [paths.withdrawn(), paths.staging(), paths.moved(), paths.index_before(), paths.incoming()] {
            remove_tree(self.disk, &path)?;
        }
        Ok(())
    }
}
