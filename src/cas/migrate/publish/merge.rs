//! Taking objects into a v2 store that is in use (spec/requiem.md A8, "target").
//!
//! Readers see only what the index lists, so the objects are moved in first and the index is replaced after them: one
//! step, before which they see the old store and after which the new one.

use std::path::Path;

use crate::cas::format::key::Key;
use crate::cas::migrate::object_log::{Fate, for_each_moved};
use crate::cas::paths::{INDEX_NAME, TargetPaths, blob_path, sidecar_path};
use crate::cas::state::RunState;
use crate::cas::store::torn_line::torn_tail_start;
use crate::durable::{
    Disk, DiskFileSystem, copy_file, create_directory_durable, file_digest_if_present, for_each_chunk, remove_tree,
};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Moves the staged objects into the target, then the index over its own, which is kept for a rollback. `false`: a stop
/// was requested; what is moved is not visible yet and is gone on from.
pub fn publish_merge(
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
    file_system: &dyn DiskFileSystem,
    stop: &StopToken,
) -> Result<bool, Error> {
    let sealed = state.index.expect("a store is sealed before it is published");
    let live_index = paths.target().join(INDEX_NAME);
    let staged_index = paths.staging().join(INDEX_NAME);
    if disk.kind(&staged_index)?.is_none() {
        if file_digest_if_present(disk, &live_index)? != Some(sealed.file()) {
            return Err(Error::State {
                path: staged_index,
                what: "the sealed index is gone and the target has another".into(),
                next: "start over with --restart".into(),
                damaged: true,
            });
        }
        // The index was renamed, and the run died before it could say so, perhaps before that was durable.
        disk.sync_directory(paths.target())?;
        return Ok(remove_tree(disk, &paths.staging()).map(|()| true)?);
    }
    check_index_kept(disk, paths)?;
    keep_index(disk, paths)?;
    let complete = for_each_moved(disk, &paths.moved(), state.objects, |moved| {
        if moved.fate == Fate::Migrated {
            move_in(disk, paths, moved.record.digest)?;
        }
        Ok(!stop.is_requested())
    })?;
    if !complete {
        return Ok(false);
    }
    // Objects and their directories before the line that speaks of them.
    file_system.sync()?;
    disk.rename(&staged_index, &live_index)?;
    disk.sync_directory(paths.target())?;
    remove_tree(disk, &paths.staging())?;
    Ok(true)
}

/// Fails unless the sealed index begins with the whole lines that the target's has now: what was put there since would
/// be lost.
fn check_index_kept(disk: &dyn Disk, paths: &TargetPaths) -> Result<(), Error> {
    let (live_path, staged_path) = (paths.target().join(INDEX_NAME), paths.staging().join(INDEX_NAME));
    let changed = || Error::State {
        path: live_path.clone(),
        what: "it was written to since the run read it".into(),
        next: "stop whatever writes to the target, then start over with --restart".into(),
        damaged: false,
    };
    let (live, staged) = (disk.open_for_read(&live_path)?, disk.open_for_read(&staged_path)?);
    let len_bytes = torn_tail_start(disk, &live_path)?;
    if staged.len()? < len_bytes {
        return Err(changed());
    }
    let mut of_staged = Vec::new();
    for_each_chunk(
        0..len_bytes,
        |offset, chunk| Ok(live.read_exact_at(offset, chunk)?),
        |offset, of_live| {
            of_staged.resize(of_live.len(), 0);
            staged.read_exact_at(offset, &mut of_staged)?;
            if of_live == of_staged { Ok(()) } else { Err(changed()) }
        },
    )
}

/// Keeps the target's index as it was before the merge.
fn keep_index(disk: &dyn Disk, paths: &TargetPaths) -> Result<(), Error> {
    let kept = paths.index_before();
    if disk.kind(&kept)?.is_some() {
        return Ok(());
    }
    copy_with_mode(disk, &paths.target().join(INDEX_NAME), &kept)
}

/// True if the target has the index that it had before the merge.
pub fn has_index_before(disk: &dyn Disk, paths: &TargetPaths) -> Result<bool, Error> {
    let before = file_digest_if_present(disk, &paths.index_before())?;
    Ok(before.is_some() && before == file_digest_if_present(disk, &paths.target().join(INDEX_NAME))?)
}

/// Copies a file with its permission bits durably, in one step.
pub fn copy_with_mode(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Error> {
    Ok(copy_file(disk, from, to, Some(disk.mode(from)?))?)
}

/// Moves one object; what an attempt before moved is not missed. What the target has under its names is in no line of the
/// index: a writer died before it came to that, and what it left is replaced.
fn move_in(disk: &dyn Disk, paths: &TargetPaths, key: Key) -> Result<(), Error> {
    let staging = paths.staging();
    for (from, to) in [
        (blob_path(&staging, key), blob_path(paths.target(), key)),
        (sidecar_path(&staging, key), sidecar_path(paths.target(), key)),
    ] {
        if disk.kind(&from)?.is_some() {
            create_shards(disk, paths.target(), &to)?;
            disk.rename(&from, &to)?;
        } else if disk.kind(&to)?.is_none() {
            return Err(Error::State {
                path: from,
                what: "the staged object is gone".into(),
                next: "start over with --restart".into(),
                damaged: true,
            });
        }
    }
    Ok(())
}

fn create_shards(disk: &dyn Disk, store: &Path, object: &Path) -> Result<(), Error> {
    let inner = object.parent().expect("an object lies in its shards");
    if disk.kind(inner)?.is_none() {
        debug_assert!(inner.starts_with(store));
        create_directory_durable(disk, inner)?;
    }
    Ok(())
}

/// Puts the index from before a merge back, then takes the objects of the merge out of the target again, durably. Run
/// again after a crash at any point, it completes.
pub fn withdraw_merge(
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
    file_system: &dyn DiskFileSystem,
) -> Result<(), Error> {
    // First the index: no reader is led to an object that is gone.
    copy_with_mode(disk, &paths.index_before(), &paths.target().join(INDEX_NAME))?;
    remove_merged(disk, paths, state, file_system)
}

/// Takes the objects of a merge out of the target again, durably.
pub fn remove_merged(
    disk: &dyn Disk,
    paths: &TargetPaths,
    state: &RunState,
    file_system: &dyn DiskFileSystem,
) -> Result<(), Error> {
    for_each_moved(disk, &paths.moved(), state.objects, |moved| {
        if moved.fate == Fate::Migrated {
            let key = moved.record.digest;
            for path in [sidecar_path(paths.target(), key), blob_path(paths.target(), key)] {
                if disk.kind(&path)?.is_some() {
                    disk.remove_file(&path)?;
                }
            }
            remove_empty_shards(disk, &blob_path(paths.target(), key))?;
        }
        Ok(true)
    })?;
    Ok(file_system.sync()?)
}

fn remove_empty_shards(disk: &dyn Disk, object: &Path) -> Result<(), Error> {
    for directory in object.ancestors().skip(1).take(2) {
        if disk.kind(directory)?.is_none() {
            continue;
        }
        if !disk.list(directory)?.is_empty() {
            return Ok(());
        }
        disk.remove_directory(directory)?;
    }
    Ok(())
}
