//! Phase 2: applies the groups of an upgrade to a database, each in a transaction of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection};
use serde::Serialize;

use super::actions::{Action, Decision, GroupActions, group_actions};
use super::fault::{Place, in_transaction};
use super::guard::Guard;
use super::head::ObjectKind;
use super::old_state::OldState;
use super::tracking::{self, StepRecord};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::schema_sha256;
use crate::upgrade::plan::PlannedStep;
use crate::upgrade::set::Member;

/// What phase 2 has done in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaDone {
    /// The groups, in order.
    pub groups: Vec<GroupDone>,
}

/// A group, after phase 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupDone {
    /// Its name.
    pub name: String,
    /// False if it was applied before.
    pub is_new: bool,
    /// What was done, a line for each statement.
    pub actions: Vec<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Applies all groups that are not applied yet, and checks that nothing else has changed.
///
/// The groups must be those of `planned`; no plan is asked for if that is empty. After a failure, the group has changed
/// nothing, and `migrations` holds a row with the error. A call after that, or after a stop, continues.
pub fn apply(
    connection: &mut Connection,
    definition: &Definition,
    member: &Member,
    planned: &[PlannedStep],
    stop: &StopToken,
) -> Result<SchemaDone, Error> {
    let place = Place::new(connection, member, "schema");
    connection.pragma_update(None, "foreign_keys", false).map_err(|error| place.error("", error))?;
    let groups = group_actions(connection, definition, member)?;
    let applied = tracking::applied(connection).map_err(|error| place.error("haul_steps", error))?;
    refuse(connection, &groups, &applied, planned, &place)?;
    let before = OldState::of(connection).map_err(|error| place.error("state before", error))?;
    let guard = Guard::of(connection).map_err(|error| place.error("", error))?;
    let result = apply_all(connection, &groups, &applied, &guard, &place, stop);
    Guard::remove(connection).map_err(|error| place.error("", error))?;
    let done = result?;
    let after = OldState::of(connection).map_err(|error| place.error("state after", error))?;
    let altered: BTreeSet<String> = all(&groups).filter(|a| is_column(a)).map(|a| a.head.table.clone()).collect();
    if let Some(what) = before.change(&after, &altered) {
        return Err(place.bad_data(format!("a group changed what it may not change: {what}")));
    }
    require_objects(connection, definition, member, &place)?;
    Ok(done)
}

fn all(groups: &[GroupActions]) -> impl Iterator<Item = &Action> {
    groups.iter().flat_map(|group| &group.actions)
}

fn is_column(action: &Action) -> bool {
    action.head.kind == ObjectKind::Column
}

/// Refuses to begin where the plan, the scripts or the objects do not fit.
fn refuse(
    connection: &Connection,
    groups: &[GroupActions],
    applied: &BTreeMap<String, String>,
    planned: &[PlannedStep],
    place: &Place,
) -> Result<(), Error> {
    for group in groups {
        let name = &group.name;
        if applied.get(name).is_some_and(|checksum| *checksum != group.sha256) {
            return Err(place.unfit(format!("group {name} was applied with other scripts")));
        }
        if !planned.is_empty() && !planned.iter().any(|step| step.name == *name && step.sha256 == group.sha256) {
            return Err(place.unfit(format!("group {name} is not as the plan says")));
        }
        if let Some(action) = group.actions.iter().find(|action| matches!(action.decision, Decision::Conflict(_))) {
            return Err(place.unfit(format!("group {name}: {} line {}: {action}", action.script, action.line)));
        }
    }
    let problem = tracking::problem(connection).map_err(|error| place.error("", error))?;
    problem.map_or(Ok(()), |problem| Err(place.unfit(problem)))
}

fn apply_all(
    connection: &Connection,
    groups: &[GroupActions],
    applied: &BTreeMap<String, String>,
    guard: &Guard,
    place: &Place,
    stop: &StopToken,
) -> Result<SchemaDone, Error> {
    // A database that no group concerns has haul's tables all the same.
    let at = "haul's own tables";
    in_transaction(connection, at, place, || tracking::create(connection).map_err(|error| place.error(at, error)))?;
    let mut done = Vec::new();
    for group in groups {
        let is_new = !applied.contains_key(&group.name);
        let actions = group.actions.iter().map(Action::to_string).collect();
        let started = Instant::now();
        if is_new {
            if stop.is_requested() {
                return Err(Error::stopped());
            }
            if let Err(error) = apply_group(connection, group, guard, place) {
                record_failure(connection, group, &error, place);
                return Err(error);
            }
        }
        let duration_ms = started.elapsed().as_millis() as u64;
        done.push(GroupDone { name: group.name.clone(), is_new, actions, duration_ms });
    }
    Ok(SchemaDone { groups: done })
}

fn apply_group(connection: &Connection, group: &GroupActions, guard: &Guard, place: &Place) -> Result<(), Error> {
    let at = format!("group {}", group.name);
    let wrap = |error| place.error(&at, error);
    in_transaction(connection, &at, place, || {
        let (started, started_at) = (Instant::now(), tracking::now(connection).map_err(wrap)?);
        let schema_before = schema_sha256(connection).map_err(wrap)?;
        group
            .actions
            .iter()
            .filter(|action| action.runs())
            .try_for_each(|action| run(connection, action, guard, place))?;
        let record = StepRecord {
            name: group.name.clone(),
            checksum: group.sha256.clone(),
            started_at,
            completed_at: tracking::now(connection).map_err(wrap)?,
            duration_ms: started.elapsed().as_millis() as u64,
            schema_before,
            schema_after: schema_sha256(connection).map_err(wrap)?,
        };
        tracking::record(connection, &record).map_err(wrap)
    })
}

/// Runs one statement, and sees that it is still in the transaction of its group.
fn run(connection: &Connection, action: &Action, guard: &Guard, place: &Place) -> Result<(), Error> {
    let at = format!("{} line {}: {}", action.script, action.line, action.object());
    let (result, refused) = guard.during(&action.head, action.name(), || {
        let mut batch = Batch::new(connection, &action.sql);
        let Some(mut statement) = batch.next()? else { return Ok(false) };
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        // What SQLite takes for two statements is not one of a script, whatever the second is.
        Ok::<_, rusqlite::Error>(batch.next()?.is_none())
    });
    if let Some(refused) = refused {
        return Err(place.unfit(format!("{at}: a script may not do this: {refused}")));
    }
    let is_one = result.map_err(|error| place.error(&at, error))?;
    if !is_one {
        return Err(place.unfit(format!("{at}: this is not one statement")));
    }
    if connection.is_autocommit() {
        return Err(place.unfit(format!("{at}: the statement has ended the transaction of its group")));
    }
    Ok(())
}

/// Writes the failure down in a transaction of its own. That the group has failed matters more than a row that cannot be
/// written, as on a full disk.
fn record_failure(connection: &Connection, group: &GroupActions, error: &Error, place: &Place) {
    let at = format!("group {}", group.name);
    let record = || tracking::record_failure(connection, &group.name, &group.sha256, &error.to_string());
    let _ = in_transaction(connection, &at, place, || record().map_err(|error| place.error(&at, error)));
}

/// Sees that every object of the upgrade is there, with its own definition.
fn require_objects(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
    place: &Place,
) -> Result<(), Error> {
    let groups = group_actions(connection, definition, member)?;
    let is_there = |action: &&Action| !matches!(action.decision, Decision::AlreadyThere | Decision::AlreadyThereAs(_));
    let missing = all(&groups).find(is_there).map(Action::to_string);
    missing.map_or(Ok(()), |missing| Err(place.bad_data(format!("after all groups, there is still to do: {missing}"))))
}
