//! The replacement of several files, all or none: an intent that is durable before the first rename, renames, and an
//! end that any later attempt can bring about.
//!
//! The old file keeps a second name until the end, so that a rename that fails half way can be undone. Nothing here
//! knows SQLite: the caller has emptied the write-ahead logs, and keeps writers out.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};

use super::side_files;
use crate::durable::{Attributes, Disk, DiskError, EntryKind, NEVER, copy_file, create_directory_durable, parent_of};
use crate::migration::Error;

/// Which files a switch makes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Direction {
    /// The new ones.
    Forward,
    /// The old ones again, because a rename has failed half way.
    Back,
}

/// The replacement of one file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Replacement {
    /// The file that is replaced.
    pub live: PathBuf,
    /// The file that takes its name, on the same file system. It is gone when that has happened.
    pub new: PathBuf,
    /// The second name of the old file until the switch has ended.
    pub kept: PathBuf,
    /// A copy of the old file, for file systems without second names.
    pub copy: Option<PathBuf>,
}

/// The intent to replace several files.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Switch {
    /// Which files become live.
    pub direction: Direction,
    /// The files that are still concerned.
    pub files: Vec<Replacement>,
}

/// How a switch has ended.
#[derive(Debug)]
pub enum Switched {
    /// All files are the new ones.
    New,
    /// All files are the old ones: because of this error or, without one, because an earlier attempt had one.
    Old(Option<DiskError>),
}

impl Switch {
    /// Gives each old file its second name, durably. Nothing is switched yet, and whatever fails changes nothing.
    pub fn prepare(disk: &dyn Disk, files: Vec<Replacement>) -> Result<Self, DiskError> {
        for file in &files {
            // A new file that is absent would count as switched.
            check_is_file(disk, &file.new)?;
            create_directory_durable(disk, parent_of(&file.kept))?;
            if disk.kind(&file.kept)?.is_some() {
                disk.remove_file(&file.kept)?;
            }
            // An old file that is gone can be replaced all the same.
            if disk.kind(&file.live)?.is_none() {
                continue;
            }
            check_is_file(disk, &file.live)?;
            match (disk.hard_link(&file.live, &file.kept), &file.copy) {
                (Ok(()), _) | (Err(_), None) => {}
                (Err(_), Some(copy)) => _ = copy_file(disk, copy, &file.kept, Attributes::Of(copy), NEVER)?,
            }
        }
        sync_all(disk, files.iter().map(|file| parent_of(&file.kept)))?;
        Ok(Self { direction: Direction::Forward, files })
    }

    /// Brings the switch to its end. `store` makes the intent durable; it is called before the first rename, and when
    /// the direction changes. On return all files are old or all are new, and the caller removes the intent.
    ///
    /// # Errors
    /// If the files are a mixture: the intent stays, and a later call continues.
    pub fn carry_out(
        mut self,
        disk: &dyn Disk,
        store: &mut dyn FnMut(&Self) -> Result<(), Error>,
    ) -> Result<Switched, Error> {
        store(&self)?;
        let failed = match self.direction {
            Direction::Forward => match self.forward(disk) {
                Ok(()) => return Ok(Switched::New),
                Err(error) => error,
            },
            Direction::Back => {
                self.back(disk)?;
                return Ok(Switched::Old(None));
            }
        };
        self.direction = Direction::Back;
        let mut switched = Vec::new();
        for file in self.files {
            if disk.kind(&file.new)?.is_none() {
                // Without the old file there is only the way forward: the intent stays as it is.
                if disk.kind(&file.kept)?.is_none() {
                    return Err(failed.into());
                }
                switched.push(file);
            }
        }
        self.files = switched;
        store(&self)?;
        self.back(disk)?;
        Ok(Switched::Old(Some(failed)))
    }

    /// Gives each new file its name.
    fn forward(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let mut pending = Vec::new();
        for file in &self.files {
            // Side files next to a file that is switched already are its own.
            if disk.kind(&file.new)?.is_some() {
                side_files::remove(disk, &file.live)?;
                pending.push(file);
            }
        }
        // A new file that got its name before they are gone for good could meet them after a crash.
        sync_all(disk, pending.iter().map(|file| parent_of(&file.live)))?;
        for file in &pending {
            rename_away(disk, &file.new, &file.live)?;
        }
        self.sync_names(disk)
    }

    /// Gives each old file its name again; the new ones get back the names that they had.
    fn back(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        for file in &self.files {
            if disk.kind(&file.kept)?.is_none() {
                continue;
            }
            if disk.kind(&file.new)?.is_none() && disk.hard_link(&file.live, &file.new).is_ok() {
                disk.sync_directory(parent_of(&file.new))?;
            }
            if side_files::remove(disk, &file.live)? {
                disk.sync_directory(parent_of(&file.live))?;
            }
            rename_away(disk, &file.kept, &file.live)?;
        }
        self.sync_names(disk)
    }

    fn sync_names(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        sync_all(
            disk,
            self.files.iter().flat_map(|file| [&file.live, &file.new, &file.kept]).map(|path| parent_of(path)),
        )
    }
}

fn check_is_file(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let kind = match disk.kind(path)? {
        Some(EntryKind::File) => return Ok(()),
        Some(_) => ErrorKind::InvalidInput,
        None => ErrorKind::NotFound,
    };
    Err(DiskError::new("switch", path, kind.into()))
}

fn sync_all<'a>(disk: &dyn Disk, directories: impl Iterator<Item = &'a Path>) -> Result<(), DiskError> {
    directories.collect::<BTreeSet<_>>().into_iter().try_for_each(|directory| disk.sync_directory(directory))
}

/// Renames, also where both are names of one file: there the system does nothing and reports no error.
fn rename_away(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    disk.rename(from, to)?;
    if disk.kind(from)?.is_some() { disk.remove_file(from) } else { Ok(()) }
}
