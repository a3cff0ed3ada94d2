//! Measures the databases of a set, and finds out what has to be done in each.

use std::collections::BTreeMap;
use std::time::Instant;

use super::estimate::Measured;
use super::look::Looked;
use super::model::{Block, MemberPlan, Plan};
use super::notes::Notes;
use super::steps::find_steps;
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::{Baseline, Snapshot, failed_on_copy, schema_sha256};
use crate::upgrade::set::Member;
use crate::upgrade::values::{Values, register};

/// A database of the set with its private copy.
pub(super) struct Found {
    pub planned: MemberPlan,
    pub snapshot: Snapshot,
}

/// Plans each member, in their order. What stands in the way, and what is only wrong, goes into the plan.
pub(super) fn planned_members(
    members: Vec<Member>,
    looked: Vec<Looked>,
    definition: &Definition,
    values: &Values,
    stop: &StopToken,
    plan: &mut Plan,
    measured: &mut Measured,
) -> Result<Vec<Found>, Error> {
    let mut by_path: BTreeMap<_, _> = looked.into_iter().map(|looked| (looked.database.path.clone(), looked)).collect();
    let mut all = Vec::new();
    for member in members {
        check_stop(stop)?;
        let looked = by_path.remove(&member.path).expect("a member is a database that was looked at");
        let started = Instant::now();
        let planned = planned(&member, &looked, definition, values, plan);
        measured.baseline += started.elapsed();
        match planned {
            Ok(planned) => all.push(Found { planned, snapshot: looked.snapshot }),
            Err(error) => plan.blocks.push(Block::of_error(&member.path, error)?),
        }
    }
    Ok(all)
}

fn planned(
    member: &Member,
    looked: &Looked,
    definition: &Definition,
    values: &Values,
    plan: &mut Plan,
) -> Result<MemberPlan, Error> {
    let connection = looked.snapshot.connection();
    let wrap = failed_on_copy(&member.path);
    register(connection, values)?;
    let mut baseline = Baseline::take(connection).map_err(&wrap)?;
    if !baseline.is_whole() {
        let what = format!("integrity_check: {}", baseline.integrity.join("; "));
        plan.blocks.push(Block::corrupt(&member.path, what));
    }
    let steps = find_steps(connection, definition, member)?;
    baseline = baseline.without_columns(connection, &steps.added_columns).map_err(&wrap)?;
    looked.snapshot.journal_mode().clone_into(&mut baseline.journal_mode);
    plan.blocks.extend(steps.blocks);
    let mut notes = Notes { file: member, notes: &mut plan.notes };
    notes.of_baseline(&looked.snapshot, &baseline, looked.state.wal_bytes, &plan.assume_tz);
    notes.of_earlier_attempts(connection);
    for renamed in steps.renamed {
        notes.add("index-renamed", renamed);
    }
    Ok(MemberPlan {
        member: member.clone(),
        schema_sha256: schema_sha256(connection).map_err(&wrap)?,
        file_bytes: looked.state.bytes,
        wal_bytes: looked.state.wal_bytes,
        file_state: looked.state.clone(),
        side_files: looked.side_files.clone(),
        baseline,
        steps: steps.steps,
        predictions: Vec::new(),
    })
}
