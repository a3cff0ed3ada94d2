//! Checks that a staged store is whole before it is published by a process that has not staged all of it: days may lie
//! between two attempts, and whatever was done to the directory meanwhile would be published.

use std::path::{Path, PathBuf};

use crate::cas::map::KeyMap;
use crate::cas::migrate::object_log::{ObjectOutcome, for_each_logged};
use crate::cas::paths::{INDEX_NAME, TargetPaths, blob_path, sidecar_bytes, sidecar_path};
use crate::cas::state::RunState;
use crate::durable::{Disk, EntryKind, file_digest_if_present};
use crate::migration::Error;
use crate::pipeline::{Ended, StopToken};

/// Fails unless the sealed index is there, and every object that the run has placed with its blob and its sidecar.
pub fn check_staged(disk: &dyn Disk, paths: &TargetPaths, state: &RunState, stop: &StopToken) -> Result<Ended, Error> {
    let (staging, index) = (paths.staging(), paths.staging().join(INDEX_NAME));
    if state.progress.index.map(|index| index.file()) != file_digest_if_present(disk, &index, &stop.check())? {
        return Err(not_whole(index));
    }
    let complete = for_each_logged(disk, &paths.object_log(), state.progress.objects, |object| {
        if object.outcome == ObjectOutcome::Migrated {
            let record = &object.record;
            check_length(disk, &blob_path(&staging, record.digest), record.stored_size)?;
            check_length(disk, &sidecar_path(&staging, record.digest), sidecar_bytes(record).len() as u64)?;
        }
        Ok(!stop.is_requested())
    })?;
    Ok(if complete { Ended::Complete } else { Ended::Stopped })
}

/// Fails if the map of a sealed run is gone. Nothing else leads from the old keys to the new ones.
pub fn check_map(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    if paths.has_map(disk, &state.run_id)? {
        return Ok(());
    }
    Err(Error::State {
        path: paths.map(),
        what: "the key map of the run is gone; nothing else knows the old keys".into(),
        next: "restore the file, or migrate the same source to another path, which makes the same map".into(),
        damaged: true,
        source: None,
    })
}

/// Fails if the map of a published run is gone or damaged.
///
/// # Errors
/// [`Error::State`] if it is gone, [`Error::Corrupt`] if it, or the reverse file next to it, is not whole.
pub fn check_map_whole(disk: &dyn Disk, paths: &TargetPaths, state: &RunState) -> Result<(), Error> {
    check_map(disk, paths, state)?;
    let map = if disk.kind(&paths.map())?.is_some() { paths.map() } else { paths.earlier_map(&state.run_id) };
    KeyMap::open_on(disk, &map)?.check().map(|_| ())
}

fn check_length(disk: &dyn Disk, path: &Path, len_bytes: u64) -> Result<(), Error> {
    if disk.kind(path)? == Some(EntryKind::File) && disk.open_for_read(path)?.len()? == len_bytes {
        return Ok(());
    }
    Err(not_whole(path.to_path_buf()))
}

fn not_whole(path: PathBuf) -> Error {
    Error::State {
        path,
        what: "it is not as the run wrote it, so the staged store is not published".into(),
        next: "start over with --restart (the source is untouched)".into(),
        damaged: true,
        source: None,
    }
}
