//! What a backfill is in one database, and where it stands.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::migration::Error;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::hex;
use crate::upgrade::plan::PlannedStep;
use crate::upgrade::schema::{Place, state, tracking};
use crate::upgrade::set::Member;

/// A backfill in one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// Its name.
    pub name: &'a str,
    /// The query of its rows.
    pub rows: &'a str,
    /// The statement that writes a range of them.
    pub write: &'a str,
    /// SHA-256 of both.
    pub sha256: String,
}

/// Returns the backfills that concern a database, in order.
pub fn steps<'a>(definition: &'a Definition, member: &Member) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for backfill in definition.backfills_of(member) {
        let Some(rows) = backfill.rows_for(&member.shape) else { continue };
        let write = backfill.write_for(&member.shape);
        let sha256 = hex(&Sha256::digest(format!("{}\0{rows}\0{write}", backfill.name)));
        steps.push(Step { name: &backfill.name, rows, write, sha256 });
    }
    steps
}

/// Returns the backfills that concern a database, for plans and `status`.
pub fn step_states(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
) -> Result<Vec<PlannedStep>, Error> {
    let place = Place::new(connection, member, "backfill");
    let applied = tracking::applied(connection).map_err(|error| place.error("haul_steps", error))?;
    let planned = |step: Step<'_>| PlannedStep {
        state: state(applied.get(step.name), &step.sha256),
        actions: vec![format!("backfill {}", step.name)],
        name: step.name.to_owned(),
        sha256: step.sha256,
    };
    Ok(steps(definition, member).into_iter().map(planned).collect())
}
