//! Puts a rewritten file in the place of its original, which is kept beside it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::original::{Files, Original};
use super::passes::for_each_window;
use super::trouble::Trouble;
use crate::durable::{Disk, DiskFile, EntryKind, parent_of, replace_file_with, temporary_name, write_synced_file};
use crate::pipeline::StopToken;

/// What the name of an original ends in, that is kept when references go forward.
pub const BACKUP_SUFFIX: &str = ".haul-backup";
/// The same for references that go back, so that going there and back needs no third name.
pub const BACKUP_SUFFIX_REVERSE: &str = ".haul-backup-reverse";

/// A file that is to be replaced.
pub struct Replacement<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// What it is.
    pub original: &'a dyn Original,
    /// Where it is to be kept.
    pub backup: PathBuf,
    /// True if it is kept there already.
    pub is_kept: bool,
    /// Ends it early.
    pub stop: &'a StopToken,
}

/// Writes the bytes that a file is replaced by.
pub type Write<'a> = &'a mut dyn FnMut(&dyn DiskFile) -> Result<(), Trouble>;

/// Replaces files, or says what would be done.
pub trait Replacer {
    /// Keeps the original, and then puts in its place what `write` puts into a new file.
    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<(), Trouble>;

    /// Makes a replacement durable that an earlier run made and may not have come to the end of.
    fn settle(&self, path: &Path) -> Result<(), Trouble>;
}

/// Says what would be done. It has nothing to write with.
#[derive(Debug, Clone, Copy)]
pub struct DryRun;

impl Replacer for DryRun {
    fn replace(&self, _replacement: &Replacement<'_>, _write: Write<'_>) -> Result<(), Trouble> {
        Ok(())
    }

    fn settle(&self, _path: &Path) -> Result<(), Trouble> {
        Ok(())
    }
}

/// Replaces files on a disk.
#[derive(Clone, Copy)]
pub struct OnDisk<'a>(pub &'a dyn Disk);

impl Replacer for OnDisk<'_> {
    fn replace(&self, replacement: &Replacement<'_>, write: Write<'_>) -> Result<(), Trouble> {
        let (disk, path, backup) = (self.0, replacement.path, &*replacement.backup);
        let mode = disk.mode(path)?;
        if replacement.is_kept {
            // A run that died may have named it and not come to the sync.
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
            // Unwritten is not renamed: the file is still its original.
            if !is_written && !replacement.is_kept {
                remove_leftover(disk, backup);
            }
        }
        replaced
    }

    fn settle(&self, path: &Path) -> Result<(), Trouble> {
        Ok(self.0.sync_directory(parent_of(path))?)
    }
}

/// Copies the original to its backup, which must not exist; it appears whole and is durable on return.
fn keep(disk: &dyn Disk, replacement: &Replacement<'_>, mode: u32) -> Result<(), Trouble> {
    let Replacement { original, backup, stop, .. } = replacement;
    let temporary = temporary_name(backup);
    let copied = write_synced_file(disk, &temporary, Some(mode), |file| {
        let mut offset = 0;
        for_each_window(*original, stop, |window| {
            file.write_all_at(offset, window)?;
            offset += window.len() as u64;
            Ok(())
        })?;
        Ok::<_, Trouble>(original.check_unchanged()?)
    });
    let named = copied.and_then(|()| Ok(disk.rename_exclusive(&temporary, backup)?));
    if named.is_err() {
        remove_leftover(disk, &temporary);
    }
    named?;
    Ok(disk.sync_directory(parent_of(backup))?)
}

/// Tidies up after a failure, which matters more than one to tidy up.
fn remove_leftover(disk: &dyn Disk, path: &Path) {
    let _ = disk.remove_file(path);
}

/// The path of the file's backup.
pub(super) fn backup_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Whether `original` stands at `backup` already. Anything else that stands there refuses the file.
pub(super) fn is_kept(
    files: &dyn Files,
    original: &dyn Original,
    backup: &Path,
    stop: &StopToken,
) -> Result<bool, Trouble> {
    let other = |what: &str| {
        let backup = backup.display();
        Err(Trouble::Refused(format!("{backup} is there and {what}; move it away, or take another --backup-suffix")))
    };
    match files.kind(backup).map_err(Trouble::unreadable)? {
        None => return Ok(false),
        Some(EntryKind::File) => {}
        Some(_) => return other("is no regular file"),
    }
    let kept = files.open(backup).map_err(Trouble::unreadable)?;
    if kept.len_bytes() != original.len_bytes() || !same_bytes(&*kept, original, stop)? {
        return other("holds something else");
    }
    Ok(true)
}

fn same_bytes(a: &dyn Original, b: &dyn Original, stop: &StopToken) -> Result<bool, Trouble> {
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
