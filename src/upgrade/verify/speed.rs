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
/// The share by which the time of a query may change, and the difference below which it is noise.
const CHANGE_MAX: f64 = 0.10;
const NOISE: Duration = Duration::from_millis(1);

/// Measures the queries on the primary files. A cold run has a new connection, a warm one that of the run before.
///
/// A query fails whose 95th percentile is over its limit. The comparison with the backup is the second result, which fails
/// nothing: on a machine that does other work, ten per cent of some milliseconds is noise.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<(CheckResult, CheckResult), Error> {
    let mut findings = Findings::new("speed");
    let mut changes = Vec::new();
    let mut figures = Vec::new();
    for query in &subject.definition.queries {
        let is_asked = |file: &&Opened<'_>| file.plan.member.is_primary && file.plan.member.tier == query.tier;
        for file in files.iter().filter(is_asked) {
            let Some(sql) = ShapeSql::of_shape(&query.selects, &file.plan.member.shape) else { continue };
            figures.push(measure(subject, file, query, sql, &mut findings, &mut changes)?);
        }
    }
    let none = || "no query is to be measured".to_owned();
    let speed = findings.with_figure(if figures.is_empty() { none() } else { figures.join("; ") });
    Ok((speed, latency(&changes)))
}

/// The time of a query before and now.
struct Change {
    query: String,
    before: Duration,
    now: Duration,
}

impl Change {
    /// Returns true if the query takes so much less or more time that noise does not explain it.
    fn is_large(&self) -> bool {
        let difference = self.now.abs_diff(self.before);
        difference > NOISE && difference.as_secs_f64() > CHANGE_MAX * self.before.as_secs_f64()
    }
}

fn latency(changes: &[Change]) -> CheckResult {
    let text =
        |change: &Change| format!("{}: {} before, {} now", change.query, shown(change.before), shown(change.now));
    let figures: Vec<_> = changes.iter().map(text).collect();
    let none = || "no query could be compared".to_owned();
    CheckResult {
        name: "latency".to_owned(),
        passed: !changes.iter().any(Change::is_large),
        figure: if figures.is_empty() { none() } else { figures.join("; ") },
        detail: changes.iter().filter(|change| change.is_large()).map(text).collect(),
    }
}

fn measure(
    subject: &Subject<'_>,
    file: &Opened<'_>,
    query: &TimedQuery,
    sql: &str,
    findings: &mut Findings,
    changes: &mut Vec<Change>,
) -> Result<String, Error> {
    let wrap = |error| file.error(&format!("query `{}`", query.name), error);
    let member = &file.plan.member;
    let before = baseline(subject, file, sql)?;
    if before.is_none() && timed(&file.connection, sql).is_err() {
        return Ok(format!("{}: it cannot be asked, and could not be asked before", query.name));
    }
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
    changes.extend(before.map(|before| Change { query: query.name.clone(), before, now: warm }));
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
    fn a_query_that_takes_more_time_than_before_is_shown() {
        let change = |before: u64, now: u64| Change {
            query: "q".into(),
            before: Duration::from_micros(before),
            now: Duration::from_micros(now),
        };
        assert!(latency(&[change(50_000, 54_000), change(50, 900)]).passed, "within ten per cent, or noise");
        let slower = latency(&[change(50_000, 56_000), change(50, 50)]);
        assert!(!slower.passed && slower.detail == ["q: 50.0 ms before, 56.0 ms now"], "{slower:?}");
        assert!(!latency(&[change(50_000, 30_000)]).passed);
        assert!(latency(&[]).passed);
    }

    #[test]
    fn the_percentile_leaves_out_one_run_in_twenty() {
        let times = |numbers: std::ops::RangeInclusive<u64>| numbers.rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_95(times(1..=20)), Duration::from_millis(19));
        assert_eq!(percentile_95(times(1..=100)), Duration::from_millis(95));
        assert_eq!(percentile_95(times(7..=7)), Duration::from_millis(7));
        assert_eq!(percentile_95(Vec::new()), Duration::ZERO);
    }
}
