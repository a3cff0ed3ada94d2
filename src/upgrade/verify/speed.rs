//! The queries of the definition are fast enough, cold and warm.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;
use crate::upgrade::definition::{ShapeSql, TimedQuery};

/// How often a query runs, cold and warm.
const RUNS: usize = 20;

/// Measures the queries on the primary files. A cold run has a new connection, a warm one that of the run before.
///
/// A query fails whose 95th percentile is over its limit. The comparison with the backup is shown and fails nothing: on a
/// machine that does other work, ten per cent of some milliseconds is noise.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("speed");
    let mut figures = Vec::new();
    for query in &subject.definition.queries {
        let is_asked = |file: &&Opened<'_>| file.plan.member.is_primary && file.plan.member.tier == query.tier;
        for file in files.iter().filter(is_asked) {
            let Some(sql) = ShapeSql::of_shape(&query.selects, &file.plan.member.shape) else { continue };
            figures.push(measure(subject, file, query, sql, &mut findings)?);
        }
    }
    let none = || "no query is to be measured".to_owned();
    Ok(findings.with_figure(if figures.is_empty() { none() } else { figures.join("; ") }))
}

fn measure(
    subject: &Subject<'_>,
    file: &Opened<'_>,
    query: &TimedQuery,
    sql: &str,
    findings: &mut Findings,
) -> Result<String, Error> {
    let wrap = |error| file.error(&format!("query `{}`", query.name), error);
    let member = &file.plan.member;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        check_stop(subject.control.stop)?;
        let connection = subject.open_for_read(member, &file.path)?;
        cold.push(timed(&connection, sql).map_err(wrap)?);
    }
    for _ in 0..RUNS {
        check_stop(subject.control.stop)?;
        warm.push(timed(&file.connection, sql).map_err(wrap)?);
    }
    let (cold, warm) = (percentile_95(cold), percentile_95(warm));
    let limit = Duration::from_millis(query.p95_ms);
    if cold.max(warm) > limit {
        let what = format!("{}: p95 {} cold, {} warm, over {} ms", query.name, shown(cold), shown(warm), query.p95_ms);
        findings.fault(file.file(), what);
    }
    let before = baseline(subject, file, sql)?;
    let compared = before.map_or_else(
        || "no query of this kind before".to_owned(),
        |before| {
            format!(
                "{:+.0} % against {} before",
                (warm.as_secs_f64() / before.as_secs_f64().max(1e-9) - 1.0) * 100.0,
                shown(before)
            )
        },
    );
    Ok(format!(
        "{}: p95 {} cold, {} warm (limit {} ms; {compared})",
        query.name,
        shown(cold),
        shown(warm),
        query.p95_ms
    ))
}

/// Measures the query on the backup, if it can be asked there: it may need what is new.
fn baseline(subject: &Subject<'_>, file: &Opened<'_>, sql: &str) -> Result<Option<Duration>, Error> {
    let path = (subject.backup)(&file.plan.member);
    if !path.exists() {
        return Ok(None);
    }
    let connection = subject.open_for_read(&file.plan.member, &path)?;
    Ok(percentile_of(&connection, sql, subject.control.stop)?.ok())
}

/// Runs a query some times on one connection, and returns its 95th percentile.
pub fn percentile_of(
    connection: &Connection,
    sql: &str,
    stop: &StopToken,
) -> Result<rusqlite::Result<Duration>, Error> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        check_stop(stop)?;
        match timed(connection, sql) {
            Ok(time) => times.push(time),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(percentile_95(times)))
}

fn timed(connection: &Connection, sql: &str) -> rusqlite::Result<Duration> {
    let started = Instant::now();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(started.elapsed())
}

fn percentile_95(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = (times.len() * 95).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_leaves_out_one_run_in_twenty() {
        let times = |numbers: std::ops::RangeInclusive<u64>| numbers.rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_95(times(1..=20)), Duration::from_millis(19));
        assert_eq!(percentile_95(times(1..=100)), Duration::from_millis(95));
        assert_eq!(percentile_95(times(7..=7)), Duration::from_millis(7));
        assert_eq!(percentile_95(Vec::new()), Duration::ZERO);
    }
}
