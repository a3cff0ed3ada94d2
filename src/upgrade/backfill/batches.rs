//! The rows of a backfill, and their batches: each is a transaction with the cursor.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Statement, params};

use super::step::Step;
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::facts::quoted;
use crate::upgrade::schema::tracking::{self, Cursor};
use crate::upgrade::schema::{Place, in_transaction};

/// What bounds a batch.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Rows that a transaction may write.
    pub batch_rows: u32,
    /// How long a batch may take. A longer one is kept, and the phase stops after it.
    pub batch_time: Duration,
    /// Looked at between two batches.
    pub stop: StopToken,
}

impl Limits {
    /// Returns the limits of the specification: 1,000 rows and 5 seconds.
    pub fn new(stop: StopToken) -> Self {
        Self { batch_rows: 1_000, batch_time: Duration::from_secs(5), stop }
    }
}

/// A batch that is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchDone<'a> {
    /// The name of the backfill.
    pub step: &'a str,
    /// Rows of the backfill that are done.
    pub rows_done: u64,
    /// All rows of the backfill.
    pub rows_total: u64,
    /// Rows that the batch has written.
    pub rows_written: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// What the batches of a backfill have done, with those of earlier calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Rows of the backfill.
    pub rows_read: u64,
    /// Rows that were written.
    pub rows_written: u64,
    /// Batches of this call.
    pub batches: u64,
    /// The longest of them.
    pub longest_batch_ms: u64,
}

/// Reads the rows of a backfill into the temporary table `haul_rows`, numbered from 1. Returns how many there are.
pub fn read_rows(connection: &Connection, step: &Step<'_>, place: &Place) -> Result<i64, Error> {
    let at = format!("backfill {}: its rows", step.name);
    let read = || -> rusqlite::Result<i64> {
        connection.execute_batch("DROP TABLE IF EXISTS temp.haul_rows")?;
        let names: Vec<_> = connection.prepare(step.rows)?.column_names().map(quoted).collect();
        let columns = names.join(", ");
        connection.execute_batch(&format!("CREATE TEMP TABLE haul_rows (n INTEGER PRIMARY KEY, {columns})"))?;
        let rows = connection.execute(&format!("INSERT INTO temp.haul_rows ({columns}) {}", step.rows), [])?;
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    };
    read().map_err(|error| place.error(&at, error))
}

/// Removes what [`read_rows`] has made.
pub fn forget_rows(connection: &Connection, place: &Place) -> Result<(), Error> {
    connection.execute_batch("DROP TABLE IF EXISTS temp.haul_rows").map_err(|error| place.error("haul_rows", error))
}

/// Writes the rows from the cursor on.
pub fn write_rows(
    connection: &Connection,
    step: &Step<'_>,
    total: i64,
    limits: &Limits,
    place: &Place,
    on_batch: &mut dyn FnMut(&BatchDone<'_>),
) -> Result<Done, Error> {
    let at = format!("backfill {}", step.name);
    let wrap = |error| place.error(&at, error);
    let mut write = connection.prepare(step.write).map_err(wrap)?;
    let mut cursor = tracking::cursor(connection, step.name).map_err(wrap)?;
    let mut done = Done { rows_read: unsigned(total), ..Done::default() };
    while cursor.at < total {
        if limits.stop.is_requested() {
            return Err(Error::stopped());
        }
        let started = Instant::now();
        let end = total.min(cursor.at + i64::from(limits.batch_rows));
        let written = in_transaction(connection, &at, place, || {
            let written = write_range(connection, &mut write, step, (cursor.at, end), limits, place)?;
            cursor = Cursor { at: end, rows: cursor.rows + written };
            tracking::set_cursor(connection, step.name, cursor).map_err(wrap)?;
            Ok(written)
        })?;
        let duration = started.elapsed();
        let duration_ms = duration.as_millis() as u64;
        done.batches += 1;
        done.longest_batch_ms = done.longest_batch_ms.max(duration_ms);
        let (rows_done, rows_written) = (unsigned(end), unsigned(written));
        on_batch(&BatchDone { step: step.name, rows_done, rows_total: unsigned(total), rows_written, duration_ms });
        if duration > limits.batch_time {
            let what = format!("backfill {}: a batch of {} rows took {duration_ms} ms", step.name, limits.batch_rows);
            return Err(place.for_now(what, "find out what slows the disk or uses the database (the batch is kept)"));
        }
    }
    done.rows_written = unsigned(cursor.rows);
    Ok(done)
}

/// Counts what a second pass over all rows would write. Nothing of it is kept.
pub fn second_pass(
    connection: &Connection,
    step: &Step<'_>,
    total: i64,
    limits: &Limits,
    place: &Place,
) -> Result<i64, Error> {
    let wrap = |error| place.error(&format!("second pass of backfill {}", step.name), error);
    let mut write = connection.prepare(step.write).map_err(wrap)?;
    let (mut at, mut written) = (0, 0);
    connection.execute_batch("BEGIN IMMEDIATE").map_err(wrap)?;
    let result = loop {
        if at >= total || written > 0 {
            break Ok(written);
        }
        if limits.stop.is_requested() {
            break Err(Error::stopped());
        }
        let end = total.min(at + i64::from(limits.batch_rows));
        match write_range(connection, &mut write, step, (at, end), limits, place) {
            Ok(rows) => (at, written) = (end, written + rows),
            Err(error) => break Err(error),
        }
    };
    drop(write);
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(wrap)?;
    }
    result
}

fn write_range(
    connection: &Connection,
    write: &mut Statement<'_>,
    step: &Step<'_>,
    (after, up_to): (i64, i64),
    limits: &Limits,
    place: &Place,
) -> Result<i64, Error> {
    let at = format!("backfill {}: rows {} to {up_to}", step.name, after + 1);
    let written = write.execute(params![after, up_to]).map_err(|error| place.error(&at, error))?;
    if written > limits.batch_rows as usize {
        return Err(place.unfit(format!("{at}: it wrote {written} rows, more than a transaction may")));
    }
    if connection.is_autocommit() {
        return Err(place.unfit(format!("{at}: the statement has ended its transaction")));
    }
    Ok(written as i64)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
