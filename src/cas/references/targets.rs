//! Decides which files are searched for references and which are not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::failure::unreadable_text;
use super::original::FileSource;
use super::replace::BACKUP_SUFFIX;
use super::stores::{is_part_of_object, is_run_directory, is_store};
use crate::durable::{DiskError, EntryKind, FaultClass, is_leftover, parent_of};
use crate::migration::{DIRECTORY_LOCK, DirectoryLocks, Error, check_free};

const NOT_REGULAR: &str = "not a regular file: a link, a pipe or a device";

/// What the walk found.
pub(super) enum Target {
    /// A file to search for references.
    File,
    /// A file that haul itself wrote: a backup, a temporary file, a report.
    Own,
    /// A temporary file of a run that has ended.
    Leftover,
    /// A path that is skipped, and why.
    Skipped(&'static str),
    /// A path that cannot be read, and why.
    Refused(String),
}

/// Handles a path that the walk found, and returns whether the walk continues.
type OnTarget<'a> = &'a mut dyn FnMut(&Path, Target) -> Result<bool, Error>;

/// Finds files below the named paths.
pub(super) struct Walk<'a> {
    pub(super) files: &'a dyn FileSource,
    /// Suffix of originals that this run keeps.
    pub(super) backup_suffix: &'a str,
    /// Files that are never targets, as canonical paths.
    pub(super) excluded: &'a [PathBuf],
}

impl Walk<'_> {
    /// Refuses what must not be walked: names that do not exist, and directories that are, contain or are inside a
    /// store. Nothing else may be at work below a name: only the locks of this process, which are these.
    pub(super) fn check(&self, named: &Path, locks: &DirectoryLocks<'_>) -> Result<(), Error> {
        match self.files.kind(named)? {
            None => Err(Error::Usage {
                what: format!("{} does not exist", named.display()),
                next: "name files or directories that exist".into(),
            }),
            Some(EntryKind::Directory) => {
                self.check_above(named)?;
                self.check_below(named, named, locks)
            }
            Some(EntryKind::File) if is_part_of_object(named) => self.check_above(named),
            Some(EntryKind::File | EntryKind::Other) => Ok(()),
        }
    }

    fn check_above(&self, named: &Path) -> Result<(), Error> {
        for above in self.files.canonical(named).ancestors().skip(1) {
            if is_store(self.files, above)? {
                return Err(store_error(named, "is inside", above));
            }
        }
        Ok(())
    }

    fn check_below(&self, named: &Path, directory: &Path, locks: &DirectoryLocks<'_>) -> Result<(), Error> {
        self.check_lock(&directory.join(DIRECTORY_LOCK), locks)?;
        if is_store(self.files, directory)? {
            let how = if named == directory { "is" } else { "contains" };
            return Err(store_error(named, how, directory));
        }
        let entries = match self.files.list(directory) {
            Ok(entries) => entries,
            // A directory that this user cannot list is reported when it is walked.
            Err(error) if error.fault_class() == FaultClass::Item => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let directories = entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory);
        directories.map(|entry| entry.name).try_for_each(|name| self.check_below(named, &directory.join(name), locks))
    }

    /// Fails if another process holds this lock.
    fn check_lock(&self, lock: &Path, locks: &DirectoryLocks<'_>) -> Result<(), Error> {
        match !locks.is_empty() && locks.holds(&self.files.canonical(lock)) {
            true => Ok(()),
            false => check_free(lock),
        }
    }

    /// Returns the directories in which files may be replaced, without links and dots: each named directory, and that of
    /// each named file.
    pub(super) fn directories(&self, named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
        let directory_of = |path: &PathBuf| match self.files.kind(path)? {
            Some(EntryKind::Directory) => Ok(self.files.canonical(path)),
            _ => Ok(self.files.canonical(parent_of(path))),
        };
        named.iter().map(directory_of).collect()
    }

    /// Passes everything at `named` and below it to `on_target`, in sorted order. Returns false if the walk was ended.
    ///
    /// # Errors
    /// [`Error::Locked`] at a directory that another process has locked since these `locks` were taken.
    pub(super) fn each(
        &self,
        named: &Path,
        locks: &DirectoryLocks<'_>,
        on_target: OnTarget<'_>,
    ) -> Result<bool, Error> {
        match self.files.kind(named) {
            Ok(Some(EntryKind::Directory)) => self.each_below(named, locks, on_target),
            Ok(Some(EntryKind::File)) => {
                self.each_leftover_of(named, on_target)?;
                on_target(named, Target::File)
            }
            Ok(Some(EntryKind::Other)) => on_target(named, Target::Refused(NOT_REGULAR.into())),
            Ok(None) => on_target(named, Target::Refused("it was removed".into())),
            Err(error) => on_target(named, unreadable(error)?),
        }
    }

    /// Passes what an earlier run left of a named file to `on_target`.
    fn each_leftover_of(&self, named: &Path, on_target: OnTarget<'_>) -> Result<(), Error> {
        let start = [b".", named.file_name().unwrap_or_default().as_encoded_bytes()].concat();
        let directory = parent_of(named);
        for entry in self.files.list(directory).unwrap_or_default() {
            if entry.name.as_encoded_bytes().starts_with(&start) && is_leftover(&entry.name) {
                on_target(&directory.join(&entry.name), Target::Leftover)?;
            }
        }
        Ok(())
    }

    fn each_below(&self, directory: &Path, locks: &DirectoryLocks<'_>, on_target: OnTarget<'_>) -> Result<bool, Error> {
        let entries = match self.files.list(directory) {
            Ok(entries) => entries,
            Err(error) => return on_target(directory, unreadable(error)?),
        };
        if is_run_directory(&entries) {
            return on_target(directory, Target::Skipped("the state of a migration"));
        }
        for entry in entries {
            let path = directory.join(&entry.name);
            if entry.name == DIRECTORY_LOCK {
                self.check_lock(&path, locks)?;
                continue;
            }
            let goes_on = match entry.kind {
                EntryKind::Directory => self.each_below(&path, locks, on_target)?,
                EntryKind::Other => on_target(&path, Target::Skipped(NOT_REGULAR))?,
                EntryKind::File if is_leftover(&entry.name) => on_target(&path, Target::Leftover)?,
                EntryKind::File if self.is_own(&path, &entry.name) => on_target(&path, Target::Own)?,
                EntryKind::File => on_target(&path, Target::File)?,
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_own(&self, path: &Path, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let is_backup = contains(name, BACKUP_SUFFIX.as_bytes()) || name.ends_with(self.backup_suffix.as_bytes());
        let is_temporary = name.starts_with(b".") && name.ends_with(b".tmp");
        is_backup || is_temporary || self.is_excluded(path)
    }

    fn is_excluded(&self, path: &Path) -> bool {
        let mut same_name = self.excluded.iter().filter(|excluded| excluded.file_name() == path.file_name()).peekable();
        same_name.peek().is_some() && {
            let path = self.files.canonical(path);
            same_name.any(|excluded| *excluded == path)
        }
    }
}

/// Refuses what this user cannot read. Where the process or the medium fails, the run ends.
fn unreadable(error: DiskError) -> Result<Target, Error> {
    match error.fault_class() {
        FaultClass::Item => Ok(Target::Refused(unreadable_text(&error))),
        FaultClass::Medium | FaultClass::Run => Err(error.into()),
    }
}

fn store_error(named: &Path, how: &str, store: &Path) -> Error {
    let (named, store) = (named.display(), store.display());
    Error::Usage {
        what: format!("{named} {how} a content-addressed store: {store}; nothing was changed"),
        next: "name the files that hold references, or directories without a store".into(),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
