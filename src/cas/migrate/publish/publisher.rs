//! What a placement has to say about publication and rollback, and what all placements share.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use super::swap::{MARK_NAME, Swap};
use crate::cas::paths::{INDEX_NAME, OBJECTS_NAME, TargetPaths};
use crate::cas::state::RunState;
use crate::durable::{Disk, DiskError, DiskFileSystem, EntryKind, FaultClass, file_digest_if_present, is_leftover};
use crate::migration::{DIRECTORY_LOCK, Error};
use crate::pipeline::{Ended, StopToken};

/// What is at the target of a run that has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// What the run published.
    Published,
    /// What was there before: the publication is undone, or a rollback is undoing it.
    Unpublished,
    /// Something else.
    Changed,
}

/// A target and the run that publishes to it.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The disk of the target.
    pub disk: &'a dyn Disk,
    /// The paths of the target.
    pub paths: &'a TargetPaths,
    /// The run.
    pub state: &'a RunState,
    /// Ends long work early, with an error.
    pub stop: &'a StopToken,
}

/// Publishes a sealed store, and undoes that. There is one implementation for each placement, with the argument why a
/// crash at any point leaves a complete store.
pub trait Publisher {
    /// Fails unless the placement fits what is at the target, which is not a file.
    fn check_target(&self, disk: &dyn Disk, paths: &TargetPaths, is_there: bool) -> Result<(), Error>;
    /// Publishes the staged store. It can be repeated after a crash at any point.
    fn publish(&self, target: Target<'_>, file_system: &dyn DiskFileSystem) -> Result<Ended, Error>;
    /// Returns true if the publication of a verified run has begun.
    fn has_begun(&self, target: Target<'_>) -> Result<bool, Error>;
    /// Completes or undoes a publication that has begun, before the state of its run is discarded.
    fn settle_begun(&self, target: Target<'_>) -> Result<(), Error>;
    /// Returns true if a rollback has begun to undo the publication.
    fn is_unpublishing(&self, target: Target<'_>) -> Result<bool, Error>;
    /// Returns what is at the target.
    fn target_state(&self, target: Target<'_>) -> Result<TargetState, Error>;
    /// Fails if the publication cannot be undone, because a clean-up has removed what that needs.
    fn check_can_unpublish(&self, target: Target<'_>) -> Result<(), Error>;
    /// Restores what was at the target. It can be repeated after a crash at any point.
    fn unpublish(&self, target: Target<'_>, file_system: &dyn DiskFileSystem) -> Result<LeftInPlace, Error>;
}

/// Files of a merge that could not be removed, each for a reason of its own. No index lists them any more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LeftInPlace {
    /// Their number.
    pub count: u64,
    /// The first of them, with the reasons.
    pub first: Vec<String>,
}

impl LeftInPlace {
    /// Files that are named.
    const FIRST_MAX: usize = 10;

    /// Adds a file if the error concerns it alone; otherwise returns the error.
    pub fn add(&mut self, error: DiskError) -> Result<(), Error> {
        if error.fault_class() != FaultClass::Item {
            return Err(error.into());
        }
        self.count += 1;
        if self.first.len() < Self::FIRST_MAX {
            self.first.push(format!("{error}: {}", error.source));
        }
        Ok(())
    }
}

impl<'a> Target<'a> {
    /// Returns the swap of two directories by which a replacement is made and undone.
    pub fn swap(&self) -> Swap<'a> {
        Swap { disk: self.disk, paths: self.paths, run_id: &self.state.run_id }
    }

    pub(super) fn has(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.disk.kind(path)?.is_some())
    }

    /// Returns true if the target has the index that the run has sealed.
    pub fn is_live(&self) -> Result<bool, Error> {
        let Some(sealed) = self.state.progress.index else { return Ok(false) };
        let live = file_digest_if_present(self.disk, &self.paths.target().join(INDEX_NAME), &self.stop.check())?;
        Ok(live == Some(sealed.file()))
    }

    /// Makes the renames durable and fails unless the target is the sealed store.
    pub(super) fn check_published(&self) -> Result<(), Error> {
        self.swap().sync()?;
        if self.is_live()? {
            return Ok(());
        }
        Err(Error::State {
            path: self.paths.target().to_path_buf(),
            what: "the target is not the store that was sealed".into(),
            next: "examine the files that are there, move them away, then start over with --restart".into(),
            damaged: true,
            source: None,
        })
    }

    pub(super) fn published_or_changed(&self) -> Result<TargetState, Error> {
        Ok(if self.is_live()? && !self.has_additions()? { TargetState::Published } else { TargetState::Changed })
    }

    /// Returns true if somebody has put something into the root of the store since: it would go with the store.
    fn has_additions(&self) -> Result<bool, Error> {
        // Files that haul replaces have another name until they are complete.
        let replaced = [INDEX_NAME, MARK_NAME].map(|name| [name.to_owned(), format!(".{name}.tmp")]).concat();
        let is_of_store = |name: &OsStr| {
            name == OBJECTS_NAME
                || name == DIRECTORY_LOCK
                || replaced.iter().any(|own| name == &**own)
                || is_leftover(name)
        };
        let entries = self.disk.list(self.paths.target())?;
        Ok(entries.iter().any(|entry| !is_of_store(&entry.name)))
    }
}

/// Renames without replacing, also where the file system cannot do that in one call: the run's lock keeps other runs
/// away from the name.
pub(super) fn rename_to_free_name(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    match disk.rename_exclusive(from, to) {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(disk.rename(from, to)?),
        result => Ok(result?),
    }
}

pub(super) fn is_empty_directory(disk: &dyn Disk, path: &Path) -> Result<bool, Error> {
    Ok(disk.kind(path)? == Some(EntryKind::Directory) && disk.list(path)?.is_empty())
}

pub(super) fn refuse_target(paths: &TargetPaths, what: &str, next: &str) -> Result<(), Error> {
    Err(Error::Usage { what: format!("{} {what}", paths.target().display()), next: next.to_owned() })
}

pub(super) fn cannot_unpublish(what: String) -> Result<(), Error> {
    let next = "there is nothing to go back to; the store that was published stays".into();
    Err(Error::Usage { what, next })
}
