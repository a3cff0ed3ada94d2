//! Replaces a file by its rewritten version and keeps the original next to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::failure::RewriteFailure;
use super::original::{FileSource, Original};
use super::passes::for_each_window;
use crate::durable::{Disk, DiskFile, EntryKind, parent_of, replace_file_with, temporary_name, write_synced_file};
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
    /// Keeps the original, then replaces it by the file that `write` fills.
    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<(), RewriteFailure>;

    /// Makes a replacement durable that an earlier run may not have finished.
    fn settle(&self, path: &Path) -> Result<(), RewriteFailure>;
}

/// Replaces nothing, and has no disk that it could write to.
#[derive(Debug, Clone, Copy)]
pub struct DryRun;

impl Replacer for DryRun {
    fn replace(&self, _replacement: &Replacement<'_>, _write: Write<'_>) -> Result<(), RewriteFailure> {
        Ok(())
    }

    fn settle(&self, _path: &Path) -> Result<(), RewriteFailure> {
        Ok(())
    }
}

/// Replaces files on a disk.
#[derive(Clone, Copy)]
pub struct DiskReplacer<'a>(pub &'a dyn Disk);

impl Replacer for DiskReplacer<'_> {
    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<(), RewriteFailure> {
        let (disk, path, backup) = (self.0, replacement.path, &*replacement.backup);
        let mode = disk.mode(path)?;
        if replacement.is_kept {
            // A run that crashed may have renamed the backup and not synced its directory.
            disk.sync_directory(parent_of(backup))?;
        } else {
            keep(disk, replacement, mode)?;
        }
        let mut is_written = false;
        let replaced = replace_file_with(disk, path, Some(mode), |file| {
            write(file)?;
            is_written = true;
            Ok(())
        });
        if replaced.is_err() {
            remove_leftover(disk, &temporary_name(path));
            // The new file was not complete, so it was not renamed: the path still has the original.
            if !is_written && !replacement.is_kept {
                remove_leftover(disk, backup);
            }
        }
        replaced
    }

    fn settle(&self, path: &Path) -> Result<(), RewriteFailure> {
        Ok(self.0.sync_directory(parent_of(path))?)
    }
}

/// Copies the original to its backup, which must not exist. The backup appears complete, and is durable on return.
fn keep(disk: &dyn Disk, replacement: &Replacement<'_>, mode: u32) -> Result<(), RewriteFailure> {
    let Replacement { original, backup, stop, .. } = replacement;
    let temporary = temporary_name(backup);
    let copied = write_synced_file(disk, &temporary, Some(mode), |file| {
        let mut offset = 0;
        for_each_window(*original, stop, |window| {
            file.write_all_at(offset, window)?;
            offset += window.len() as u64;
            Ok(())
        })?;
        Ok::<_, RewriteFailure>(original.check_unchanged()?)
    });
    let named = copied.and_then(|()| Ok(disk.rename_exclusive(&temporary, backup)?));
    if named.is_err() {
        remove_leftover(disk, &temporary);
    }
    named?;
    Ok(disk.sync_directory(parent_of(backup))?)
}

/// Removes a file after a failure. That failure matters more than one to remove the file.
fn remove_leftover(disk: &dyn Disk, path: &Path) {
    let _ = disk.remove_file(path);
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
        b.read_exact_at(offset, &mut other)?;
        offset += window.len() as u64;
        is_same &= window == other;
        Ok(())
    })?;
    Ok(is_same)
}
