//! Which rebuilds concern a database, and where they stand.

use std::collections::BTreeSet;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::migration::Error;
use crate::upgrade::definition::{Definition, Rebuild};
use crate::upgrade::facts::hex;
use crate::upgrade::plan::{PlannedStep, StepState};
use crate::upgrade::schema::{Place, state, tracking};
use crate::upgrade::set::Member;

/// A rebuild in one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned<'a> {
    /// The rebuild.
    pub rebuild: &'a Rebuild,
}

impl Planned<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.rebuild.name
    }

    /// SHA-256 of what it does.
    pub fn sha256(&self) -> String {
        let Rebuild { name, tables, gone, statements, .. } = self.rebuild;
        let mut hasher = Sha256::new();
        let parts = std::iter::once(name).chain(tables).chain(gone);
        for part in parts.chain(statements.iter().map(|statement| &statement.text)) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hex(&hasher.finalize())
    }

    /// What it does, for people.
    pub fn action(&self) -> String {
        format!("rebuild {}", self.rebuild.tables.join(", "))
    }
}

/// Returns the rebuilds that concern a database, in order.
///
/// Rebuilds may make or drop the tables by which that is decided, so the steps of the plan decide once there are any. One
/// that has run concerns the database in any case.
pub fn planned<'a>(
    connection: &Connection,
    definition: &'a Definition,
    member: &Member,
    steps: &[PlannedStep],
) -> rusqlite::Result<Vec<Planned<'a>>> {
    let of_member: Vec<_> = definition.rebuilds.iter().filter(|rebuild| rebuild.concerns(member)).collect();
    if of_member.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table'";
    let tables: BTreeSet<String> =
        connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let applied = tracking::applied(connection)?;
    let is_concerned = |rebuild: &&Rebuild| {
        let has_tables = || rebuild.with_tables.iter().all(|table| tables.contains(&table.to_ascii_lowercase()));
        match steps {
            [] => applied.contains_key(&rebuild.name) || has_tables(),
            steps => steps.iter().any(|step| step.name == rebuild.name),
        }
    };
    Ok(of_member.into_iter().filter(is_concerned).map(|rebuild| Planned { rebuild }).collect())
}

/// Returns those rebuilds that the plan has still found to do. What they keep the same can be asked for.
pub fn pending<'a>(
    connection: &Connection,
    definition: &'a Definition,
    member: &Member,
    steps: &[PlannedStep],
) -> rusqlite::Result<Vec<Planned<'a>>> {
    let is_pending = |planned: &Planned<'_>| {
        steps.iter().any(|step| step.name == planned.name() && step.state == StepState::Pending)
    };
    Ok(planned(connection, definition, member, steps)?.into_iter().filter(is_pending).collect())
}

/// Returns the rebuilds that concern a database, for plans and verification. `steps` are those of its plan, if it has one.
pub fn step_states(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
    steps: &[PlannedStep],
) -> Result<Vec<PlannedStep>, Error> {
    let place = Place::new(connection, member, "schema");
    let wrap = |error| place.error("rebuilds", error);
    let applied = tracking::applied(connection).map_err(wrap)?;
    let step = |planned: Planned<'_>| {
        let sha256 = planned.sha256();
        PlannedStep {
            name: planned.name().to_owned(),
            state: state(applied.get(planned.name()), &sha256),
            sha256,
            actions: vec![planned.action()],
        }
    };
    Ok(planned(connection, definition, member, steps).map_err(wrap)?.into_iter().map(step).collect())
}
