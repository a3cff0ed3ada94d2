//! Verifies a store on request, resumably.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::{CHECKPOINT_KIND, Coverage, Depth, verify_store};
use crate::durable::{Disk, remove_tree};
use crate::migration::{CheckpointFile, Error, LastRun, LockedRun, LostFile, ResumePoint, Stage, Subset};
use crate::pipeline::{Control, Expected, Phase};
use crate::space::current_store::choose_store;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::state;
use crate::space::store::reader::DualSpace;

/// How a verification ended without finding anything wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyEnd {
    /// The store.
    pub store: String,
    /// How much of each block was compared.
    pub depth: Depth,
    /// Which blocks were compared.
    pub subset: Subset,
    /// What was covered, earlier parts of a resumed verification included; nothing after a stop.
    pub coverage: Coverage,
    /// Files of the run that made it which are gone or cut. The store is whole all the same.
    pub lost: Vec<LostFile>,
    /// True if it was asked to stop; the same call resumes.
    pub stopped: bool,
}

/// Reads a store from disk again and compares every digest: the store of the name `store`, else the live one, else that of
/// the last run. A stopped verification resumes where it was, except on a read-only file system.
///
/// A share is also verified while another process has the lock, so that shares are verified at the same time. It cannot be
/// resumed then. Only under the lock is a fault one of the store, and not of a run that changes it.
pub fn verify_space(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    store: Option<&str>,
    depth: Depth,
    subset: Subset,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    choose_store(&*disk, paths, store)?;
    let disk = paths.limited(&disk)?;
    let lock = || LockedRun::create_if_writable(&disk, &paths.run_directory(), state::CHECKPOINT_KIND);
    let verify = |held: Option<LockedRun>| {
        // Chosen again under the lock: a run may have published or removed it meanwhile.
        let name = choose_store(&*disk, paths, store)?;
        let opened = Arc::new(DualSpace::open_on(disk.clone(), &paths.store(&name))?);
        let place = match held {
            Some(_) => ResumePoint::create_if_writable(&disk, paths.verification(), CHECKPOINT_KIND)?,
            None => None,
        };
        let records = (subset == Subset::ALL && depth != Depth::Quick).then_some(opened.manifest().records);
        let result = control.phase(Phase::Verify, Expected { records, bytes: None }, || {
            verify_store(opened, depth, subset, place.as_ref(), &options.run.engine(), control)
        });
        if let Some(held) = &held {
            note(held, &name, depth, subset, &result)?;
        }
        let coverage = result?;
        if coverage.is_some() && place.is_some() {
            remove_tree(&*disk, &paths.verification())?;
        }
        let (stopped, lost) = (coverage.is_none(), lost_files(&*disk, paths, &name)?);
        Ok(VerifyEnd { store: name, depth, subset, coverage: coverage.unwrap_or_default(), lost, stopped })
    };
    match lock() {
        Err(Error::Locked { .. }) if subset != Subset::ALL => verify(None).or_else(|_| verify(lock()?)),
        held => verify(held?),
    }
}

/// Returns what is lost of the run that made the store, if it is the last one and has ended.
fn lost_files(disk: &dyn Disk, paths: &SpacePaths, store: &str) -> Result<Vec<LostFile>, Error> {
    let directory = paths.run_directory();
    let checkpoint = CheckpointFile::new(directory.path(), state::CHECKPOINT_KIND);
    match LastRun::<state::RunState>::load(disk, &checkpoint)? {
        LastRun::Known(state) if state.stage == Stage::Published && &*state.progress.store == store => {
            state.lost_files(disk, &directory)
        }
        LastRun::Known(_) | LastRun::None => Ok(Vec::new()),
        LastRun::Unreadable => Ok(vec![LostFile::checkpoint(checkpoint.path())]),
    }
}

fn note(
    held: &LockedRun,
    store: &str,
    depth: Depth,
    subset: Subset,
    result: &Result<Option<Coverage>, Error>,
) -> Result<(), Error> {
    let (event, more) = match result {
        Ok(Some(coverage)) => ("store-verified", json!(coverage)),
        Ok(None) => ("verification-stopped", json!(null)),
        Err(error) => ("verification-failed", json!(error.to_string())),
    };
    let detail = json!({ "store": store, "depth": depth, "subset": subset.to_string(), "result": more });
    held.note(None, event, detail)
}
