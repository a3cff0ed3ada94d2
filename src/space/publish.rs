//! Publishes what an earlier run has sealed.

use std::sync::Arc;

use super::migrate::plan::{check_directory, plan};
use super::migrate::{MigrationEnd, SpaceMigration, end};
use super::options::MigrateOptions;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::{Disk, NewOwner, with_modes};
use crate::migration::{AttemptWatch, Error, LockedRun, Session, Stage};
use crate::pipeline::Control;

/// Takes a sealed, verified or rolled-back run of the same log to its published store. What was not verified since it was
/// sealed or rolled back is verified first. The rules are those of that run; `options` says only how to proceed.
pub fn publish(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    check_directory(paths.root())?;
    let directory = paths.run_directory();
    // What publishes a store belongs to whom the run gave the store.
    let owner = if disk.is_system() { NewOwner::of(directory.path()).unwrap_or_default() } else { NewOwner::default() };
    let disk = with_modes(&disk, paths.modes()?.owned_by(owner));
    let lock =
        LockedRun::open(&disk, &directory, CHECKPOINT_KIND)?.ok_or_else(|| nothing(paths, "no migration was begun"))?;
    let disk = lock.disk.clone();
    let mut state: RunState =
        lock.checkpoint.load(&*disk)?.ok_or_else(|| nothing(paths, "there is no run with a sealed store"))?;
    if state.stage < Stage::Sealed {
        return Err(nothing(paths, "the run has not sealed its store yet"));
    }
    let options = options.under(state.rules);
    let mut migration = SpaceMigration::open(paths, &options)?;
    let watch = AttemptWatch::start(control);
    let control = &watch.control();
    let session = Session::new(&lock, &disk, &directory, Stage::Published, &options.run, control, &watch);
    let plan = plan(paths, migration.source(), &options)?;
    if !session.take_plan(&mut migration, &mut state, &plan)? {
        return Err(Error::Verification {
            what: format!(
                "the files in {} are not those that went into {}",
                paths.log().display(),
                &*state.progress.store
            ),
            next: "put the log back as it was, or make another store with `haul space migrate --restart`".into(),
            source: None,
        });
    }
    end(&*disk, paths, session.resume(&mut migration, state, &plan)?)
}

fn nothing(paths: &SpacePaths, why: &str) -> Error {
    Error::Usage {
        what: format!("nothing to publish in {}: {why}", paths.root().display()),
        next: "run `haul space migrate`".into(),
    }
}
