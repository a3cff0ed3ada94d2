//! Applies the rebuilds of an upgrade to a database, each in a transaction of its own.

use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection};

use super::aside::Aside;
use super::guard::Guard;
use super::old::Old;
use super::planned::{Planned, planned};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::definition::{Definition, ScriptStatement};
use crate::upgrade::facts::{foreign_key_state, schema_sha256, worse_keys};
use crate::upgrade::plan::PlannedStep;
use crate::upgrade::schema::tracking::{self, StepRecord};
use crate::upgrade::schema::{GroupDone, Place, in_transaction};
use crate::upgrade::set::Member;

/// Applies all rebuilds that are not applied yet, after the groups.
///
/// `steps` are those of the plan; without a plan, the tables that are there decide. After a failure, the rebuild has
/// changed nothing, and `migrations` holds a row with the error. A call after that, or after a stop, continues.
pub fn apply(
    connection: &mut Connection,
    definition: &Definition,
    member: &Member,
    steps: &[PlannedStep],
    stop: &StopToken,
) -> Result<Vec<GroupDone>, Error> {
    let place = Place::new(connection, member, "schema");
    let wrap = |error| place.error("rebuilds", error);
    let rebuilds = planned(connection, definition, member, steps).map_err(wrap)?;
    if rebuilds.is_empty() {
        return Ok(Vec::new());
    }
    prepare(connection).map_err(wrap)?;
    let applied = tracking::applied(connection).map_err(wrap)?;
    for rebuild in &rebuilds {
        let (name, sha256) = (rebuild.name(), rebuild.sha256());
        if applied.get(name).is_some_and(|checksum| *checksum != sha256) {
            return Err(place.unfit(format!("rebuild {name} was applied with other statements")));
        }
        if !steps.is_empty() && !steps.iter().any(|step| step.name == name && step.sha256 == sha256) {
            return Err(place.unfit(format!("rebuild {name} is not as the plan says")));
        }
    }
    let guard = Guard::of(connection).map_err(wrap)?;
    let is_applied = |rebuild: &Planned<'_>| applied.contains_key(rebuild.name());
    let done = rebuilds.iter().map(|rebuild| one(connection, rebuild, is_applied(rebuild), &guard, &place, stop));
    let done = done.collect();
    Guard::remove(connection).map_err(wrap)?;
    done
}

/// Keys are off, as a table is dropped while others refer to it. SQLite looks at the names in all objects when it
/// renames.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false)?;
    tracking::create(connection)
}

fn one(
    connection: &Connection,
    rebuild: &Planned<'_>,
    is_applied: bool,
    guard: &Guard,
    place: &Place,
    stop: &StopToken,
) -> Result<GroupDone, Error> {
    let started = Instant::now();
    if !is_applied {
        if stop.is_requested() {
            return Err(Error::stopped());
        }
        if let Err(error) = run(connection, rebuild, guard, place) {
            record_failure(connection, rebuild, &error, place);
            return Err(error);
        }
    }
    Ok(GroupDone {
        name: rebuild.name().to_owned(),
        is_new: !is_applied,
        actions: vec![rebuild.action()],
        duration_ms: started.elapsed().as_millis() as u64,
    })
}

fn run(connection: &Connection, planned: &Planned<'_>, guard: &Guard, place: &Place) -> Result<(), Error> {
    let (rebuild, at) = (planned.rebuild, format!("rebuild {}", planned.name()));
    let wrap = |error| place.error(&at, error);
    in_transaction(connection, &at, place, || {
        let (started, started_at) = (Instant::now(), tracking::now(connection).map_err(wrap)?);
        let schema_before = schema_sha256(connection).map_err(wrap)?;
        let keys = foreign_key_state(connection).map_err(wrap)?;
        let old = Old::of(connection, &rebuild.tables).map_err(wrap)?;
        let aside = Aside::take(connection, &rebuild.tables, place)?;
        guard.forbid_all_but(connection, &rebuild.tables).map_err(wrap)?;
        rebuild.statements.iter().try_for_each(|statement| execute(connection, &at, statement, guard, place))?;
        aside.put_back(connection, place)?;
        old.put_back(connection, rebuild, place)?;
        let keys_now = foreign_key_state(connection).map_err(wrap)?;
        if let Some(worse) = worse_keys(&keys, &keys_now) {
            return Err(place.bad_data(format!("{at}: {worse}")));
        }
        let record = StepRecord {
            name: rebuild.name.clone(),
            checksum: planned.sha256(),
            started_at,
            completed_at: tracking::now(connection).map_err(wrap)?,
            duration_ms: started.elapsed().as_millis() as u64,
            schema_before,
            schema_after: schema_sha256(connection).map_err(wrap)?,
        };
        tracking::record(connection, &record).map_err(wrap)
    })
}

/// Runs one statement, and sees that it is still in the transaction of its rebuild.
fn execute(
    connection: &Connection,
    at: &str,
    statement: &ScriptStatement,
    guard: &Guard,
    place: &Place,
) -> Result<(), Error> {
    let at = format!("{at} line {}", statement.line);
    let (result, refused) = guard.during(|| {
        let mut batch = Batch::new(connection, &statement.text);
        let Some(mut statement) = batch.next()? else { return Ok(false) };
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        Ok::<_, rusqlite::Error>(batch.next()?.is_none())
    });
    if let Some(refused) = refused {
        return Err(place.unfit(format!("{at}: a rebuild may change its own tables alone: {refused}")));
    }
    let is_one = result.map_err(|error| place.error(&at, error))?;
    if !is_one || connection.is_autocommit() {
        return Err(place.unfit(format!("{at}: this is not one statement of the transaction")));
    }
    Ok(())
}

/// Writes the failure down in a transaction of its own. That the rebuild has failed matters more than a row that cannot
/// be written, as on a full disk.
fn record_failure(connection: &Connection, rebuild: &Planned<'_>, error: &Error, place: &Place) {
    let at = format!("rebuild {}", rebuild.name());
    let record = || tracking::record_failure(connection, rebuild.name(), &rebuild.sha256(), &error.to_string());
    let _ = in_transaction(connection, &at, place, || record().map_err(|error| place.error(&at, error)));
}
