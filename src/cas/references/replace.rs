//! Replaces a file by its rewritten version and keeps the original next to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::failure::RewriteFailure;
use super::original::{FileSource, Original};
use super::windows::{for_each_window, read_at};
use crate::durable::{
    Attributes, AttributesNotKept, Disk, DiskFile, EntryKind, parent_of, replace_file_under_lock,
    temporary_name_under_lock, write_new_synced_file,
};
use crate::migration::{DirectoryLocks, Error};
use crate::pipeline::StopToken;

/// Suffix of an original that is kept when references are rewritten forward.
pub const BACKUP_SUFFIX: &str = ".haul-backup";
/// Suffix of an original that is kept when references are rewritten in reverse. It differs, so that both directions can
/// be run one after the other.
pub const BACKUP_SUFFIX_REVERSE: &str = ".haul-backup-reverse";

/// A file to replace.
pub struct Replacement<'a> {
    /// The path of the file.
    pub path: &'a Path,
    /// The original.
    pub original: &'a dyn Original,
    /// Where the original is kept.
    pub backup: PathBuf,
    /// True if it is kept there already.
    pub is_kept: bool,
    /// Stops the replacement early.
    pub stop: &'a StopToken,
}

/// Writes the new content of a file.
pub type Write<'a> = &'a mut dyn FnMut(&dyn DiskFile) -> Result<(), RewriteFailure>;

/// Replaces files, or only counts what would be replaced.
pub trait Replacer {
    /// Locks these directories and everything below them, if it replaces files.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process replaces files in one of them, below or above.
    fn lock(&self, directories: &[PathBuf]) -> Result<DirectoryLocks<'_>, Error>;

    /// Keeps the original, then replaces it by the file that `write` fills. Returns which attributes of the original the
    /// new file or the backup does not have.
    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<AttributesNotKept, RewriteFailure>;

    /// Returns the disk on which it replaces files.
    fn disk(&self) -> Option<&dyn Disk>;

    /// Makes a replacement durable that an earlier run may not have finished.
    fn settle(&self, path: &Path) -> Result<(), RewriteFailure>;

    /// Removes a temporary file that an earlier run left in a directory that is locked now.
    fn remove_leftover(&self, path: &Path) -> Result<(), Error>;
}

/// Replaces nothing, and has no disk that it could write to.
#[derive(Debug, Clone, Copy)]
pub struct DryRun;

impl Replacer for DryRun {
    fn lock(&self, _directories: &[PathBuf]) -> Result<DirectoryLocks<'_>, Error> {
        Ok(DirectoryLocks::none())
    }

    fn replace(&self, _replacement: &Replacement<'_>, _write: Write<'_>) -> Result<AttributesNotKept, RewriteFailure> {
        Ok(AttributesNotKept::default())
    }

    fn disk(&self) -> Option<&dyn Disk> {
        None
    }

    fn settle(&self, _path: &Path) -> Result<(), RewriteFailure> {
        Ok(())
    }

    fn remove_leftover(&self, _path: &Path) -> Result<(), Error> {
        Ok(())
    }
}

/// Replaces files on a disk.
#[derive(Clone, Copy)]
pub struct DiskReplacer<'a>(pub &'a dyn Disk);

impl Replacer for DiskReplacer<'_> {
    fn lock(&self, directories: &[PathBuf]) -> Result<DirectoryLocks<'_>, Error> {
        DirectoryLocks::take(self.0, directories)
    }

    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<AttributesNotKept, RewriteFailure> {
        let (disk, path, backup) = (self.0, replacement.path, &*replacement.backup);
        if replacement.is_kept {
            // A run that crashed may have renamed the backup and not synced its directory.
            disk.sync_directory(parent_of(backup))?;
        } else {
            keep(disk, replacement)?;
        }
        let mut is_written = false;
        let replaced = replace_file_under_lock(disk, path, Attributes::Of(path), |file| {
            write(file)?;
            is_written = true;
            Ok(())
        });
        // The new file was not complete, or its name was refused: the path still has the original, and this process has
        // just created the backup.
        let is_in_place = match &replaced {
            Ok(_) => false,
            Err(RewriteFailure::Refused(_)) => !is_written || replacement.original.check_unchanged().is_ok(),
            Err(_) => !is_written,
        };
        if is_in_place && !replacement.is_kept {
            let _ = disk.remove_file(backup);
        }
        replaced
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self.0)
    }

    fn settle(&self, path: &Path) -> Result<(), RewriteFailure> {
        Ok(self.0.sync_directory(parent_of(path))?)
    }

    fn remove_leftover(&self, path: &Path) -> Result<(), Error> {
        Ok(self.0.remove_file(path)?)
    }
}

/// Copies the original to its backup, which must not exist. The backup appears complete, and is durable on return.
fn keep(disk: &dyn Disk, replacement: &Replacement<'_>) -> Result<(), RewriteFailure> {
    let Replacement { path, original, backup, stop, .. } = replacement;
    let temporary = temporary_name_under_lock(backup);
    write_new_synced_file(disk, &temporary, Attributes::Of(path), |file| {
        let mut offset = 0;
        for_each_window(*original, stop, |window| {
            file.write_all_at(offset, window)?;
            offset += window.len() as u64;
            Ok(())
        })?;
        Ok::<_, RewriteFailure>(original.check_unchanged()?)
    })?;
    if let Err(error) = disk.rename_exclusive(&temporary, backup) {
        // It was created here. The first error is the one to report.
        let _ = disk.remove_file(&temporary);
        return Err(error.into());
    }
    Ok(disk.sync_directory(parent_of(backup))?)
}

/// Returns the path of the file's backup.
pub(super) fn backup_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Returns true if `backup` already has the original. If it has anything else, the file is refused.
pub(super) fn is_kept(
    files: &dyn FileSource,
    original: &dyn Original,
    backup: &Path,
    stop: &StopToken,
) -> Result<bool, RewriteFailure> {
    let other = |what: &str| {
        let backup = backup.display();
        Err(RewriteFailure::Refused(format!(
            "{backup} exists and {what}; move it away, or choose another --backup-suffix"
        )))
    };
    match files.kind(backup).map_err(RewriteFailure::unreadable)? {
        None => return Ok(false),
        Some(EntryKind::File) => {}
        Some(_) => return other("is not a regular file"),
    }
    let kept = files.open(backup).map_err(RewriteFailure::unreadable)?;
    if kept.len_bytes() != original.len_bytes() || !same_bytes(&*kept, original, stop)? {
        return other("has other content");
    }
    Ok(true)
}

fn same_bytes(a: &dyn Original, b: &dyn Original, stop: &StopToken) -> Result<bool, RewriteFailure> {
    let (mut offset, mut is_same, mut other) = (0, true, Vec::new());
    for_each_window(a, stop, |window| {
        other.resize(window.len(), 0);
        read_at(b, offset, &mut other)?;
        offset += window.len() as u64;
        is_same &= window == other;
        Ok(())
    })?;
    Ok(is_same)
}
