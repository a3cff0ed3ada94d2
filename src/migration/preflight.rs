//! The checks of a run before it changes anything. A run and its dry run both make them here, so that the dry run refuses
//! what the run refuses.

use std::sync::Arc;

use super::cleanup::LastRun;
use super::context::Context;
use super::lifecycle::{Check, Migration, RunPlan, Standing, StateOf};
use super::run::options::{RunOptions, Start};
use super::{Error, RunDirectory, free_space_check, nearest_directory};
use crate::durable::Disk;
use crate::pipeline::{Control, Ended};

/// Makes the plan of a run and all of its checks, without the lock and without writing. `None`: a stop was requested.
pub fn rehearse<M: Migration>(
    migration: &mut M,
    disk: &Arc<dyn Disk>,
    directory: &RunDirectory,
    options: &RunOptions,
    control: &Control<'_>,
) -> Result<Option<M::Plan>, Error> {
    let cx = Context::unlocked(disk, directory, M::KIND, options, control);
    directory.check(&**disk)?;
    options.check_owner()?;
    migration.preflight(&cx, Check::Places)?;
    let last = last_run::<M>(&cx)?;
    match standing(&cx, migration, last.as_ref())? {
        Standing::Continues => preflight(&cx, migration, last.as_ref(), |_| Ok(())),
        Standing::Over => preflight(&cx, migration, None, |_| Ok(())),
        Standing::Stopped => Ok(None),
    }
}

/// Returns the last run. One that cannot be read is an error, unless the call discards it.
pub(super) fn last_run<M: Migration>(cx: &Context<'_>) -> Result<Option<StateOf<M>>, Error> {
    match cx.options.start {
        Start::Auto | Start::Resume => cx.checkpoint.load(&**cx.disk),
        Start::Restart => match LastRun::load(&**cx.disk, &cx.checkpoint)? {
            LastRun::Known(state) => Ok(Some(*state)),
            LastRun::None | LastRun::Unreadable => Ok(None),
        },
    }
}

/// Tells whether the last run is continued.
pub(super) fn standing<M: Migration>(
    cx: &Context<'_>,
    migration: &mut M,
    last: Option<&StateOf<M>>,
) -> Result<Standing, Error> {
    let standing = match (cx.options.start, last) {
        (Start::Restart, _) | (_, None) => Standing::Over,
        (Start::Auto | Start::Resume, Some(state)) => migration.standing(cx, state)?,
    };
    if standing == Standing::Over && cx.options.start == Start::Resume {
        return Err(Error::Usage {
            what: "there is no earlier run to resume".into(),
            next: "leave out --resume".into(),
        });
    }
    Ok(standing)
}

/// Makes all checks after the lock, and the plan. `make_room` is what a run does once it may be placed: the space
/// that an earlier run takes up counts as free. `None`: a stop was requested.
pub(super) fn preflight<M: Migration>(
    cx: &Context<'_>,
    migration: &mut M,
    continued: Option<&StateOf<M>>,
    make_room: impl FnOnce(&mut M) -> Result<(), Error>,
) -> Result<Option<M::Plan>, Error> {
    if continued.is_none() {
        if migration.preflight(cx, Check::Target)? == Ended::Stopped {
            return Ok(None);
        }
        make_room(migration)?;
    }
    let Some(plan) = migration.plan(cx, continued.is_none())? else { return Ok(None) };
    let ended = match continued {
        Some(state) => {
            check_same_plan(cx, migration, state, &plan)?;
            migration.preflight(cx, Check::Continued(state))?
        }
        None => {
            check_space(cx, &plan)?;
            Ended::Complete
        }
    };
    Ok((ended == Ended::Complete).then_some(plan))
}

fn check_same_plan<M: Migration>(
    cx: &Context<'_>,
    migration: &mut M,
    state: &StateOf<M>,
    plan: &M::Plan,
) -> Result<(), Error> {
    if state.plan_digest == plan.digest() || migration.proves_source(cx, state)? {
        return Ok(());
    }
    Err(Error::State {
        path: cx.checkpoint.path(),
        what: format!("the checkpoint belongs to another plan: {} differ", M::PLAN_PARTS),
        next: format!("use the settings of that run ({}), or start over with --restart", state.rules),
        damaged: false,
        source: None,
    })
}

fn check_space(cx: &Context<'_>, plan: &impl RunPlan) -> Result<(), Error> {
    // A dry run asks before the directory of the state exists.
    let directory = nearest_directory(&**cx.disk, cx.directory.path())?;
    if let Some(needed_bytes) = plan.space_needed_bytes() {
        free_space_check(&**cx.disk, &directory, needed_bytes)?;
    }
    match (plan.inodes_needed(), cx.disk.free_inodes(&directory)?) {
        (Some(needed), Some(available)) if available < needed => {
            Err(Error::NoInodes { path: directory, needed, available })
        }
        _ => Ok(()),
    }
}
