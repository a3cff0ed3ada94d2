//! Verifies a store on request, and resumes a verification that was stopped.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{FaultKind, Tally, VERIFY_KIND, Verification, VerifyEnd, VerifyFault, VerifyRequest, list_root};
use crate::cas::migrate::publish::staged_check::check_map_whole;
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cas::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, remove_tree};
use crate::migration::plan::escape_name;
use crate::migration::{
    CheckpointFile, Error, LastRun, LockedRun, LostFile, ResumePoint, SortDirectory, Stage, Subset,
};
use crate::pipeline::Control;

/// Verifies the store at `root` under the lock of its migrations. A verification that was stopped resumes if it is
/// requested again for the same store. Where nothing can be written next to the store, as on a read-only file system,
/// it takes no lock and cannot resume.
///
/// A share is also verified while another process has the lock, so that shares are verified at the same time. It cannot be
/// resumed then. Only under the lock is a fault one of the store, and not of a run that changes it.
///
/// # Errors
/// [`Error::Verification`] if there is no such directory; then nothing is created. [`Error::Locked`] while another
/// process works on the store. Faults of the store are not errors of this call: see [`VerifyEnd::errors`].
pub fn check_store(
    disk: &Arc<dyn Disk>,
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    list_root(root, &mut Tally::default())?;
    let paths = TargetPaths::of_store(root)?;
    let run_directory = paths.run_directory();
    let is_new = disk.kind(run_directory.path())?.is_none();
    let lock = || LockedRun::create_if_writable(disk, &run_directory, CHECKPOINT_KIND);
    let verify_without_lock = || {
        let sorts = SortDirectory::temporary(disk)?;
        Verification { root, request, sorts: &sorts, place: None, options, control }.run(&mut |_, _| Ok(()))
    };
    let held = match lock() {
        Err(Error::Locked { .. }) if request.subset != Subset::ALL => {
            let checkpoint = CheckpointFile::new(run_directory.path(), CHECKPOINT_KIND);
            let mut result = verify_without_lock();
            if let Ok(end) = &mut result {
                check_state(disk, &checkpoint, &paths, end)?;
            }
            match result {
                Ok(end) if end.stopped || end.is_sound() => return Ok(end),
                _ => lock()?,
            }
        }
        held => held?,
    };
    let Some(held) = held else { return verify_without_lock() };
    let mut result = verify_held(disk, &paths, root, request, options, control);
    if let Ok(end) = &mut result {
        check_state(disk, &held.checkpoint, &paths, end)?;
    }
    if is_new && !matches!(&result, Ok(end) if end.stopped) {
        // The run directory was created only for this verification, so it must not remain.
        remove_tree(&**disk, run_directory.path())?;
    } else {
        note(&held, request, &result)?;
    }
    result
}

/// Verifies the store at `root` while the caller has the lock of `paths`. Keeps the resume point there.
pub fn verify_held(
    disk: &Arc<dyn Disk>,
    paths: &TargetPaths,
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let place = ResumePoint::create_if_writable(disk, paths.verification(), VERIFY_KIND)?;
    let sorts = match place {
        Some(_) => SortDirectory::create(disk, paths.verification().join("sort"))?,
        None => SortDirectory::temporary(disk)?,
    };
    let verification = Verification { root, request, sorts: &sorts, place: place.as_ref(), options, control };
    let result = verification.run(&mut |_, _| Ok(()));
    drop(sorts);
    if place.is_some() && !matches!(&result, Ok(end) if end.stopped) {
        remove_tree(&**disk, &paths.verification())?;
    }
    result
}

/// Verifies the store at `root` and writes nothing: it takes no lock, keeps no resume point and sorts in memory.
pub fn verify_in_memory(
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let sorts = &SortDirectory::in_memory();
    Verification { root, request, sorts, place: None, options, control }.run(&mut |_, _| Ok(()))
}

/// Adds a fault for each file of the run that published the store which is gone, or is not what the run wrote.
fn check_state(
    disk: &Arc<dyn Disk>,
    checkpoint: &CheckpointFile,
    paths: &TargetPaths,
    end: &mut VerifyEnd,
) -> Result<(), Error> {
    let fault = |kind, path: &Path, text| VerifyFault::new(kind, escape_name(path.as_os_str()), None, text);
    let state = match LastRun::<RunState>::load(&**disk, checkpoint)? {
        LastRun::Known(state) if state.stage == Stage::Published => state,
        LastRun::Known(_) | LastRun::None => return Ok(()),
        LastRun::Unreadable => {
            let LostFile { path, what } = LostFile::checkpoint(checkpoint.path());
            end.add(fault(FaultKind::StateDamaged, &path, what.to_owned()));
            return Ok(());
        }
    };
    match check_map_whole(&**disk, paths, &state) {
        Ok(()) => {}
        Err(error @ (Error::State { .. } | Error::Corrupt { .. })) => {
            let next = error.next_step().unwrap_or_default();
            end.add(fault(FaultKind::MapMissing, &paths.map(), format!("{error}; {next}")));
        }
        Err(error) => return Err(error),
    }
    for LostFile { path, what } in state.lost_files(&**disk, &paths.run_directory())? {
        end.add(fault(FaultKind::StateDamaged, &path, what.to_owned()));
    }
    Ok(())
}

fn note(held: &LockedRun, request: &VerifyRequest, result: &Result<VerifyEnd, Error>) -> Result<(), Error> {
    let (event, more) = match result {
        Ok(end) if end.stopped => ("verification-stopped", json!(null)),
        Ok(end) => {
            let event = if end.is_sound() { "store-verified" } else { "verification-failed" };
            let counts = json!({ "read": end.objects_read, "ok": end.objects_ok, "faults": end.faults_count });
            (event, counts)
        }
        Err(error) => ("verification-failed", json!(error.to_string())),
    };
    let detail = json!({ "subset": request.subset.to_string(), "sample": request.sample, "result": more });
    held.note(None, event, detail)
}
