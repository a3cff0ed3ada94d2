//! What the groups and backfills of an upgrade have to do in a database, and what stands in their way.

use rusqlite::Connection;

use super::model::{Block, PlannedStep, StepState};
use crate::migration::{Error, exit};
use crate::upgrade::backfill;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::failed_on_copy;
use crate::upgrade::rebuild;
use crate::upgrade::schema::{Decision, GroupActions, ObjectKind, group_actions, state, tracking};
use crate::upgrade::set::Member;

/// What has to be done in a database.
#[derive(Default)]
pub(super) struct Steps {
    /// The groups, then the rebuilds, then the backfills, in order.
    pub steps: Vec<PlannedStep>,
    /// The columns that the groups add, as pairs of table and column, whether they are there or not.
    pub added_columns: Vec<(String, String)>,
    /// Indexes that get another name, a line each.
    pub renamed: Vec<String>,
    /// What stands in the way.
    pub blocks: Vec<Block>,
}

/// Finds out what has to be done. Every statement is tried on a copy of the schema.
pub(super) fn find_steps(connection: &Connection, definition: &Definition, member: &Member) -> Result<Steps, Error> {
    let groups = match group_actions(connection, definition, member) {
        Ok(groups) => groups,
        Err(error) => {
            let block = Block::of_rehearsal("schema", &member.path, error)?;
            return Ok(Steps { blocks: vec![block], ..Steps::default() });
        }
    };
    let wrap = failed_on_copy(&member.path);
    let mut found = Steps::default();
    let problem = tracking::problem(connection).map_err(&wrap)?;
    if let Some(problem) = problem {
        let next = "rename that table, or leave the file out with --exclude";
        found.blocks.push(Block::new("table-conflict", &member.path, problem, next, exit::BAD_DATA));
    } else {
        let applied = tracking::applied(connection).map_err(&wrap)?;
        found.steps.extend(groups.iter().map(|group| planned(group, state(applied.get(&group.name), &group.sha256))));
        found.steps.extend(rebuild::step_states(connection, definition, member, &[])?);
        found.steps.extend(backfill::step_states(connection, definition, member)?);
    }
    for action in groups.iter().flat_map(|group| &group.actions) {
        match &action.decision {
            Decision::Conflict(_) => found.blocks.push(conflict(action.head.kind, &action.to_string(), member)),
            Decision::CreateAs(_) => found.renamed.push(action.to_string()),
            _ => {}
        }
        if action.head.kind == ObjectKind::Column {
            found.added_columns.push((action.head.table.clone(), action.head.name.clone()));
        }
    }
    found.blocks.extend(newer_release(connection, member));
    let drifted = found.steps.iter().filter(|step| step.state == StepState::Drifted);
    found.blocks.extend(drifted.map(|step| drifted_block(step, member)).collect::<Vec<_>>());
    Ok(found)
}

fn planned(group: &GroupActions, state: StepState) -> PlannedStep {
    let actions = group.actions.iter().map(ToString::to_string).collect();
    PlannedStep { name: group.name.clone(), sha256: group.sha256.clone(), state, actions }
}

fn conflict(kind: ObjectKind, what: &str, member: &Member) -> Block {
    let next = "rename or drop what is in its place, or leave the file out with --exclude";
    let code = format!("{}-conflict", kind.word().replace(' ', "-"));
    let what = what.strip_prefix("conflict: ").unwrap_or(what);
    Block::new(&code, &member.path, what, next, exit::BAD_DATA)
}

fn drifted_block(step: &PlannedStep, member: &Member) -> Block {
    let what = format!("step {} was done with other scripts than those of this upgrade", step.name);
    let next = "use the scripts that were applied, or put the changes into an upgrade of their own";
    Block::new("drifted", &member.path, what, next, exit::USAGE)
}

/// Says if a newer haul has worked on the database: what it did may be unknown to this one.
fn newer_release(connection: &Connection, member: &Member) -> Option<Block> {
    let sql = "SELECT DISTINCT tool_version FROM main.haul_steps WHERE tool_version IS NOT NULL";
    // Without that table no haul has.
    let mut statement = connection.prepare(sql).ok()?;
    let versions = statement.query_map([], |row| row.get::<_, String>(0)).ok()?;
    let newer = versions.flatten().find(|version| numbers(version) > numbers(env!("CARGO_PKG_VERSION")))?;
    let what = format!("haul {newer} has upgraded it, and this is haul {}", env!("CARGO_PKG_VERSION"));
    let next = "use that version or a newer one";
    Some(Block::new("newer-release", &member.path, what, next, exit::USAGE))
}

/// The numbers of a version; what cannot be read counts as the oldest.
fn numbers(version: &str) -> Vec<u64> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    core.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}
