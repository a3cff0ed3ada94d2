//! Phase 3: runs the backfills of a database in order.

use std::time::Instant;

use rusqlite::Connection;
use serde::Serialize;

use super::batches::{BatchDone, Done, Limits, forget_rows, read_rows, second_pass, write_rows};
use super::given::give;
use super::set_facts::SetFacts;
use super::step::{Step, steps};
use crate::migration::Error;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::{ForeignKeyState, foreign_key_state, schema_sha256};
use crate::upgrade::schema::tracking::{self, StepRecord};
use crate::upgrade::schema::{Place, in_transaction};
use crate::upgrade::set::Member;
use crate::upgrade::values::{Values, create_views, register};

/// What a backfill has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillDone {
    /// Its name.
    pub step: String,
    /// False if it was done before.
    pub is_new: bool,
    /// Rows that it is about, or was in the earlier call that has done it.
    pub rows_read: u64,
    /// Rows that it has inserted or changed, with those of earlier calls.
    pub rows_written: u64,
    /// Batches of this call.
    pub batches: u64,
    /// The longest of them.
    pub longest_batch_ms: u64,
    /// How long the whole took in this call.
    pub duration_ms: u64,
}

/// Runs all backfills that are not done yet. A call after a failure or a stop continues behind the last batch.
///
/// After each backfill, a second pass has to find nothing to write; after all, foreign keys may not be violated more than
/// before.
pub fn run(
    connection: &Connection,
    definition: &Definition,
    member: &Member,
    set: &SetFacts,
    values: &Values,
    limits: &Limits,
    on_batch: &mut dyn FnMut(&BatchDone<'_>),
) -> Result<Vec<BackfillDone>, Error> {
    let place = Place::new(connection, member, "backfill");
    let wrap = |error| place.error("", error);
    connection.pragma_update(None, "foreign_keys", false).map_err(wrap)?;
    let applied = tracking::applied(connection).map_err(wrap)?;
    let steps = steps(definition, member);
    let is_changed = |step: &&Step<'_>| applied.get(step.name).is_some_and(|checksum| *checksum != step.sha256);
    if let Some(step) = steps.iter().find(is_changed) {
        return Err(place.unfit(format!("backfill {} was done with other statements", step.name)));
    }
    let is_done = |step: &Step<'_>| applied.contains_key(step.name);
    let earlier = |step| done_before(connection, step).map_err(wrap);
    if steps.iter().all(is_done) {
        return steps.iter().map(earlier).collect();
    }
    register(connection, values)?;
    create_views(connection, definition, &member.tier, &member.shape)?;
    give(connection, set).map_err(wrap)?;
    let keys_before = foreign_key_state(connection).map_err(wrap)?;
    let mut all = Vec::new();
    for step in &steps {
        all.push(match is_done(step) {
            true => earlier(step)?,
            false => run_step(connection, step, limits, &place, on_batch)?,
        });
    }
    let keys_after = foreign_key_state(connection).map_err(wrap)?;
    match worse(&keys_before, &keys_after) {
        Some(what) => Err(place.bad_data(format!("foreign keys are violated more than before: {what}"))),
        None => Ok(all),
    }
}

fn run_step(
    connection: &Connection,
    step: &Step<'_>,
    limits: &Limits,
    place: &Place,
    on_batch: &mut dyn FnMut(&BatchDone<'_>),
) -> Result<BackfillDone, Error> {
    let at = format!("backfill {}", step.name);
    let wrap = |error| place.error(&at, error);
    let (started, started_at) = (Instant::now(), tracking::now(connection).map_err(wrap)?);
    in_transaction(connection, &at, place, || tracking::create(connection).map_err(wrap))?;
    let total = read_rows(connection, step, place)?;
    let batches = write_rows(connection, step, total, limits, place, on_batch)?;
    let again = second_pass(connection, step, total, limits, place)?;
    if again > 0 {
        return Err(place.bad_data(format!("backfill {}: a second pass would write {again} rows again", step.name)));
    }
    forget_rows(connection, place)?;
    let duration_ms = started.elapsed().as_millis() as u64;
    let schema = schema_sha256(connection).map_err(wrap)?;
    let record = StepRecord {
        name: step.name.to_owned(),
        checksum: step.sha256.clone(),
        started_at,
        completed_at: tracking::now(connection).map_err(wrap)?,
        duration_ms,
        schema_before: schema.clone(),
        schema_after: schema,
    };
    in_transaction(connection, &at, place, || tracking::record(connection, &record).map_err(wrap))?;
    Ok(done(step, true, batches, duration_ms))
}

fn done(step: &Step<'_>, is_new: bool, done: Done, duration_ms: u64) -> BackfillDone {
    BackfillDone {
        step: step.name.to_owned(),
        is_new,
        rows_read: done.rows_read,
        rows_written: done.rows_written,
        batches: done.batches,
        longest_batch_ms: done.longest_batch_ms,
        duration_ms,
    }
}

/// Returns what a backfill has done in an earlier call, as its cursor tells.
fn done_before(connection: &Connection, step: &Step<'_>) -> rusqlite::Result<BackfillDone> {
    let cursor = tracking::cursor(connection, step.name)?;
    let (rows_read, rows_written) = (cursor.at.cast_unsigned(), cursor.rows.cast_unsigned());
    Ok(done(step, false, Done { rows_read, rows_written, ..Done::default() }, 0))
}

/// Says what is worse now.
fn worse(before: &ForeignKeyState, after: &ForeignKeyState) -> Option<String> {
    use ForeignKeyState::{Mismatch, Violations};
    match (before, after) {
        (Violations(before), Violations(after)) => {
            let more = |(key, rows): &(&String, &u64)| **rows > before.get(*key).copied().unwrap_or(0);
            after.iter().find(more).map(|(key, rows)| format!("{rows} rows, {key}"))
        }
        (Mismatch(before), Mismatch(after)) if before == after => None,
        (_, Mismatch(after)) => Some(after.clone()),
        (Mismatch(_), Violations(_)) => None,
    }
}
