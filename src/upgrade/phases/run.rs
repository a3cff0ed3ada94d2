//! Takes an upgrade through its phases.

use std::sync::Arc;

use serde::Serialize;

use super::files::{command, plan_of_run, verification};
use super::migration::UpgradeMigration;
use super::state::{Counts, Goal, Phase};
use crate::durable::Disk;
use crate::migration::{self, Error, session};
use crate::pipeline::Control;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::Mode;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::verify::Verification;

/// How an upgrade ended without an error.
pub type UpgradeEnd = migration::MigrationEnd<Counts, UpgradeDetails>;

/// What only the end of an upgrade tells.
#[derive(Debug, Clone, Serialize)]
pub struct UpgradeDetails {
    /// Where phases 2 to 4 work.
    pub mode: Option<Mode>,
    /// The names of the databases.
    pub databases: Vec<String>,
    /// The phase that comes next; `None` if all databases are switched.
    pub next_phase: Option<Phase>,
    /// The command that carries it out.
    pub next: Option<String>,
    /// What phase 4 has found, if it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
}

/// Takes an upgrade towards `goal`: begins a run, or continues the one that has begun. A switch that was interrupted is
/// brought to its end first.
///
/// # Errors
/// [`Error::Usage`] if a phase is asked for before those that come first.
pub fn run(
    disk: &Arc<dyn Disk>,
    request: &UpgradeRequest,
    goal: Goal,
    control: &Control<'_>,
) -> Result<UpgradeEnd, Error> {
    let layout = Layout::of(&request.directory);
    let mut migration = UpgradeMigration::new(request, goal, layout.clone());
    let stage = match goal {
        Goal::Only(phase) => phase.goal(),
        Goal::Switched => Phase::Cutover.goal(),
    };
    let finished = session::run(&mut migration, disk, layout.run(), stage, &request.run, control)?;
    let plan = plan_of_run(&**disk, layout.run()).ok();
    let next_phase = Phase::after(&finished.state);
    let details = UpgradeDetails {
        mode: plan.as_ref().map(|plan| plan.mode),
        databases: plan.iter().flat_map(|plan| &plan.members).map(|planned| planned.member.key.clone()).collect(),
        next_phase,
        verification: match next_phase {
            None | Some(Phase::Cutover) => verification(&**disk, &layout)?,
            Some(_) => None,
        },
        next: next_phase.map(|phase| command(&phase.to_string(), &request.directory)),
    };
    Ok(finished.with(details))
}
