//! A merge: objects are added to a v2 store that is in use (docs/source-requiem.md, "Merging into a store").
//!
//! Readers see only what the index lists. So the objects are moved first, and then the index is replaced in one step:
//! before it, readers see the old store, and after it the new one. A crash in between leaves objects that no index lists,
//! and nothing that a reader could miss. A rollback goes in reverse order: the old index first, so that no reader is led
//! to an object that is gone.

use std::path::Path;

use super::publisher::{LeftInPlace, Publisher, Target, TargetState, cannot_unpublish, refuse_target};
use crate::cas::format::key::Key;
use crate::cas::migrate::object_log::{ObjectOutcome, for_each_logged};
use crate::cas::paths::{INDEX_NAME, StorePaths, TargetPaths, blob_path, sidecar_path};
use crate::cas::store::torn_line::{check_index, torn_tail_start};
use crate::durable::{
    Attributes, Disk, DiskError, DiskFileSystem, copy_file, create_directory_durable, file_digest_if_present,
    for_each_chunk, remove_large_tree,
};
use crate::migration::Error;
use crate::pipeline::{Ended, StopToken};

/// The v2 store at the target gets the objects.
pub(super) struct Merge;

impl Publisher for Merge {
    fn check_target(&self, disk: &dyn Disk, paths: &TargetPaths, is_there: bool) -> Result<(), Error> {
        if !is_there {
            return refuse_target(paths, "does not exist and cannot be merged into", "leave out --merge");
        }
        if disk.kind(&paths.target().join(INDEX_NAME))?.is_none() {
            return refuse_target(
                paths,
                "has no index.ndjson, so readers see no store there",
                "run `haul cas verify --repair` on it, or choose another target",
            );
        }
        check_index(disk, paths.target())
    }

    /// Moves the staged objects into the target, then the index over the old one, of which a copy is kept for a rollback.
    /// After a stop, the objects that were moved are not visible yet, and the next run continues with the others.
    fn publish(&self, target: Target<'_>, file_system: &dyn DiskFileSystem) -> Result<Ended, Error> {
        let opened = StorePaths::new(target.paths.target()).opened(target.disk)?;
        let target = Target { disk: opened.as_deref().unwrap_or(target.disk), ..target };
        let Target { disk, paths, state, stop } = target;
        let live_index = paths.target().join(INDEX_NAME);
        let staged_index = paths.staging().join(INDEX_NAME);
        if !target.has(&staged_index)? {
            if !target.is_live()? {
                return Err(Error::State {
                    path: staged_index,
                    what: "the sealed index is gone and the target has another".into(),
                    next: "start over with --restart".into(),
                    damaged: true,
                    source: None,
                });
            }
            // The run crashed after the rename of the index, perhaps before that was durable.
            disk.sync_directory(paths.target())?;
            return Ok(remove_large_tree(disk, &paths.staging(), &stop.check()).map(|()| Ended::Complete)?);
        }
        check_index_kept(disk, paths, stop)?;
        keep_index(disk, paths, stop)?;
        let complete = for_each_logged(disk, &paths.object_log(), state.progress.objects, |object| {
            if object.outcome == ObjectOutcome::Migrated {
                move_in(disk, paths, object.record.digest)?;
            }
            Ok(!stop.is_requested())
        })?;
        if !complete {
            return Ok(Ended::Stopped);
        }
        // Objects and their directories are durable before the index lists them.
        file_system.sync()?;
        disk.rename(&staged_index, &live_index)?;
        disk.sync_directory(paths.target())?;
        remove_large_tree(disk, &paths.staging(), &stop.check())?;
        Ok(Ended::Complete)
    }

    fn has_begun(&self, target: Target<'_>) -> Result<bool, Error> {
        target.has(&target.paths.index_before())
    }

    fn settle_begun(&self, target: Target<'_>) -> Result<(), Error> {
        let (disk, paths) = (target.disk, target.paths);
        if !has_index_before(target)? {
            // The index was replaced, perhaps not durably yet, or written since. It may list objects of the merge.
            return Ok(disk.sync_directory(paths.target())?);
        }
        let file_system = disk.file_system(paths.run_directory().path())?;
        match remove_merged(target, &*file_system)?.first.into_iter().next() {
            None => Ok(()),
            Some(what) => Err(Error::Usage {
                what: format!("an object of the merge that was begun cannot be removed: {what}"),
                next: "see that it can be removed, then run the same command again".into(),
            }),
        }
    }

    fn is_unpublishing(&self, target: Target<'_>) -> Result<bool, Error> {
        Ok(!target.is_live()? && has_index_before(target)?)
    }

    fn target_state(&self, target: Target<'_>) -> Result<TargetState, Error> {
        if target.is_live()? {
            return Ok(TargetState::Published);
        }
        let is_before = has_index_before(target)?;
        Ok(if is_before { TargetState::Unpublished } else { TargetState::Changed })
    }

    fn check_can_unpublish(&self, target: Target<'_>) -> Result<(), Error> {
        let has_log = target.state.progress.objects == 0 || target.has(&target.paths.object_log())?;
        if has_log && target.has(&target.paths.index_before())? {
            return Ok(());
        }
        let path = target.paths.target().display();
        cannot_unpublish(format!("the files that distinguish the objects merged into {path} were removed"))
    }

    fn unpublish(&self, target: Target<'_>, file_system: &dyn DiskFileSystem) -> Result<LeftInPlace, Error> {
        let (disk, paths) = (target.disk, target.paths);
        copy_with_attributes(disk, &paths.index_before(), &paths.target().join(INDEX_NAME), target.stop)?;
        remove_merged(target, file_system)
    }
}

/// Fails unless the sealed index begins with the complete lines that the target's index has now: lines that were added
/// since would be lost.
fn check_index_kept(disk: &dyn Disk, paths: &TargetPaths, stop: &StopToken) -> Result<(), Error> {
    let (live_path, staged_path) = (paths.target().join(INDEX_NAME), paths.staging().join(INDEX_NAME));
    let changed = || Error::State {
        path: live_path.clone(),
        what: "it was written to since the run read it".into(),
        next: "stop whatever writes to the target, then start over with --restart".into(),
        damaged: false,
        source: None,
    };
    let (live, staged) = (disk.open_for_read(&live_path)?, disk.open_for_read(&staged_path)?);
    let len_bytes = torn_tail_start(disk, &live_path)?;
    if staged.len()? < len_bytes {
        return Err(changed());
    }
    let mut of_staged = Vec::new();
    for_each_chunk(
        0..len_bytes,
        &stop.check(),
        |offset, chunk| Ok(live.read_exact_at(offset, chunk)?),
        |offset, of_live| {
            of_staged.resize(of_live.len(), 0);
            staged.read_exact_at(offset, &mut of_staged)?;
            if of_live == of_staged { Ok(()) } else { Err(changed()) }
        },
    )
}

/// Keeps a copy of the target's index from before the merge.
fn keep_index(disk: &dyn Disk, paths: &TargetPaths, stop: &StopToken) -> Result<(), Error> {
    let kept = paths.index_before();
    if disk.kind(&kept)?.is_some() {
        return Ok(());
    }
    copy_with_attributes(disk, &paths.target().join(INDEX_NAME), &kept, stop)
}

fn has_index_before(target: Target<'_>) -> Result<bool, Error> {
    let digest = |path: &Path| file_digest_if_present(target.disk, path, &target.stop.check());
    let before = digest(&target.paths.index_before())?;
    Ok(before.is_some() && before == digest(&target.paths.target().join(INDEX_NAME))?)
}

/// Copies a file with its owner and permissions durably, in one step.
fn copy_with_attributes(disk: &dyn Disk, from: &Path, to: &Path, stop: &StopToken) -> Result<(), Error> {
    copy_file(disk, from, to, Attributes::Of(from), &stop.check())?;
    Ok(())
}

/// Moves one object; files that an earlier attempt has moved are fine. A file that the target has under these names is
/// in no line of its index: a writer crashed before it came to that, and the file is replaced.
fn move_in(disk: &dyn Disk, paths: &TargetPaths, key: Key) -> Result<(), Error> {
    let staging = paths.staging();
    for (from, to) in [
        (blob_path(&staging, key), blob_path(paths.target(), key)),
        (sidecar_path(&staging, key), sidecar_path(paths.target(), key)),
    ] {
        if disk.kind(&from)?.is_some() {
            create_shards(disk, &to)?;
            disk.rename(&from, &to)?;
        } else if disk.kind(&to)?.is_none() {
            return Err(Error::State {
                path: from,
                what: "the staged object is gone".into(),
                next: "start over with --restart".into(),
                damaged: true,
                source: None,
            });
        }
    }
    Ok(())
}

fn create_shards(disk: &dyn Disk, object: &Path) -> Result<(), Error> {
    let inner = object.parent().expect("an object is in its shards");
    if disk.kind(inner)?.is_none() {
        create_directory_durable(disk, inner)?;
    }
    Ok(())
}

/// Removes the objects of a merge from the target, durably, and returns what could not be removed.
fn remove_merged(target: Target<'_>, file_system: &dyn DiskFileSystem) -> Result<LeftInPlace, Error> {
    let (paths, mut left) = (target.paths, LeftInPlace::default());
    let opened = StorePaths::new(paths.target()).opened(target.disk)?;
    let disk = opened.as_deref().unwrap_or(target.disk);
    let complete = for_each_logged(disk, &paths.object_log(), target.state.progress.objects, |object| {
        if object.outcome == ObjectOutcome::Migrated {
            let key = object.record.digest;
            for path in [sidecar_path(paths.target(), key), blob_path(paths.target(), key)] {
                if disk.kind(&path)?.is_some() {
                    disk.remove_file(&path).or_else(|error| left.add(error))?;
                }
            }
            remove_empty_shards(disk, &blob_path(paths.target(), key)).or_else(|error| left.add(error))?;
        }
        Ok(!target.stop.is_requested())
    })?;
    if !complete {
        return Err(Error::stopped());
    }
    file_system.sync()?;
    Ok(left)
}

fn remove_empty_shards(disk: &dyn Disk, object: &Path) -> Result<(), DiskError> {
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
