//! Where the groups of an upgrade stand in a database, for plans and `status`.

use rusqlite::Connection;

use super::actions::{Action, GroupActions, group_actions};
use super::fault::Place;
use super::tracking;
use crate::migration::Error;
use crate::upgrade::definition::Definition;
use crate::upgrade::plan::{PlannedStep, StepState};
use crate::upgrade::set::Member;

/// Returns the groups that concern a database, in order, with what each has to do. An action that begins with `conflict:`
/// keeps the upgrade from beginning.
pub fn step_states(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
) -> Result<Vec<PlannedStep>, Error> {
    let place = Place::new(connection, member, "schema");
    let applied = tracking::applied(connection).map_err(|error| place.error("haul_steps", error))?;
    let step = |group: GroupActions| PlannedStep {
        state: state(applied.get(&group.name), &group.sha256),
        actions: group.actions.iter().map(Action::to_string).collect(),
        name: group.name,
        sha256: group.sha256,
    };
    Ok(group_actions(connection, definition, member)?.into_iter().map(step).collect())
}

/// Returns the state of a step with this checksum, by the one that it was applied with.
pub fn state(applied: Option<&String>, sha256: &str) -> StepState {
    match applied {
        None => StepState::Pending,
        Some(checksum) if checksum == sha256 => StepState::Applied,
        Some(_) => StepState::Drifted,
    }
}
