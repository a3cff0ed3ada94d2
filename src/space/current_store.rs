//! Which run and which store of a space a verb is about.

use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::names::{MANIFEST, POINTER_TO_LOG, generation};
use crate::durable::{Disk, EntryKind};
use crate::migration::{CheckpointFile, Error, Stage, pointer};

/// Returns the store that readers take, `None` while they take the log. A pointer to a store that is not there is an
/// error, so that no verb takes the space for something else.
pub(super) fn live_store(disk: &dyn Disk, paths: &SpacePaths) -> Result<Option<String>, Error> {
    let Some(name) = pointer::read(disk, paths.root())?.filter(|value| value != POINTER_TO_LOG) else {
        return Ok(None);
    };
    let directory = paths.store(&name);
    let problem = if generation(&name).is_none() {
        "which is no name of a store"
    } else if disk.kind(&directory)? != Some(EntryKind::Directory) {
        "which is not there"
    } else if disk.kind(&directory.join(MANIFEST))?.is_none() {
        "which has no MANIFEST"
    } else {
        return Ok(Some(name));
    };
    Err(Error::State {
        path: paths.root().join(pointer::FILE_NAME),
        what: format!("it names the store {name}, {problem}"),
        next:
            "put that store back from a copy, or make one from the log again: `haul space migrate --restart` removes \
               no store then"
                .into(),
        damaged: true,
        source: None,
    })
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
        Some(state) if state.stage >= Stage::Sealed => Ok(state.progress.store.to_string()),
        _ => Err(Error::Usage {
            what: format!("{} has no sealed store", paths.root().display()),
            next: "run `haul space migrate` first".into(),
        }),
    }
}
