//! Publishes what an earlier run has sealed.

use std::sync::Arc;

use super::log::source::WalSource;
use super::migrate::plan::{check_directory, plan};
use super::migrate::{MigrationEnd, Session};
use super::options::MigrateOptions;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use crate::durable::Disk;
use crate::migration::{Error, HeldRun, Stage};
use crate::pipeline::Control;

/// Takes a sealed, verified or rolled-back run of the same log to its published store. What is not verified since it was
/// sealed or rolled back is verified first. The rules are those of that run; `options` says only how to go about it.
pub fn publish(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    check_directory(paths.root())?;
    let held = HeldRun::open(&disk, &paths.run_directory(), CHECKPOINT_KIND)?
        .ok_or_else(|| nothing(paths, "no migration was begun"))?;
    let state: RunState =
        held.checkpoint.load(&*disk)?.ok_or_else(|| nothing(paths, "there is no run with a sealed store"))?;
    if state.stage < Stage::Sealed {
        return Err(nothing(paths, "the run has not sealed its store yet"));
    }
    let options = options.deciding_as(&state.settings).ok_or_else(|| Error::State {
        path: held.checkpoint.path(),
        what: format!("the settings of the run are not understood: {}", state.settings),
        next: "use the haul that wrote it, or migrate again with --restart".into(),
        damaged: false,
    })?;
    let source = Arc::new(WalSource::open(&paths.log(), options.reader)?);
    let plan = plan(paths, &source, &options)?;
    if state.plan_digest != plan.digest_bytes {
        return Err(Error::SourceChanged {
            path: paths.log(),
            what: format!("a file differs in name, length, time or inode from what went into {}", state.store),
        });
    }
    let session = Session { disk, paths, options: &options, plan: &plan, held: &held };
    let state = session.resume(state)?;
    session.carry_out(source, state, Stage::Published, true, control)
}

fn nothing(paths: &SpacePaths, why: &str) -> Error {
    Error::Usage {
        what: format!("nothing to publish in {}: {why}", paths.root().display()),
        next: "run `haul space migrate`".into(),
    }
}
