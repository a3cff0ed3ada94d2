//! Which run and which store of a space a verb is about.

use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{POINTER_TO_LOG, generation};
use crate::durable::Disk;
use crate::migration::{CheckpointFile, Error, Stage, pointer};

/// Returns the store that readers take, `None` while they take the log.
pub(super) fn live_store(disk: &dyn Disk, paths: &SpacePaths) -> Result<Option<String>, Error> {
    Ok(pointer::read(disk, paths.root())?.filter(|value| value != POINTER_TO_LOG))
}

/// Returns the store of this name, else the live one, else that of the last run if it is sealed.
pub(super) fn choose_store(disk: &dyn Disk, paths: &SpacePaths, named: Option<&str>) -> Result<String, Error> {
    if let Some(name) = named {
        if generation(name).is_some() && disk.kind(&paths.store(name))?.is_some() {
            return Ok(name.to_owned());
        }
        return Err(Error::Usage {
            what: format!("{} has no store {name:?}", paths.root().display()),
            next: "run `haul space status` to see the stores".into(),
        });
    }
    if let Some(live) = live_store(disk, paths)? {
        return Ok(live);
    }
    let checkpoint = CheckpointFile::new(paths.run_directory().path(), CHECKPOINT_KIND);
    match checkpoint.load::<RunState>(disk)? {
        Some(state) if state.stage >= Stage::Sealed => Ok(state.store),
        _ => Err(Error::Usage {
            what: format!("{} has no sealed store", paths.root().display()),
            next: "run `haul space migrate` first".into(),
        }),
    }
}
