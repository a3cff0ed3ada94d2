//! One look at the databases.

use serde::Serialize;

use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::definition::{Definition, Files, Monitor, ShapeSql, TimedQuery};
use crate::upgrade::questions;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;
use crate::upgrade::verify::percentile_of;

/// What a look needs.
pub struct MonitorRequest<'a> {
    /// Asked between two queries.
    pub stop: &'a StopToken,
    /// The upgrade.
    pub definition: &'a Definition,
    /// The databases.
    pub members: &'a [Member],
    /// What SQL may ask for.
    pub values: &'a Values,
}

/// A number and its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitorCheck {
    /// What is watched.
    pub name: String,
    /// The database.
    pub file: String,
    /// The number; `None` if there is nothing yet that it could be about.
    pub value: Option<f64>,
    /// The largest value that is right.
    pub max: f64,
    /// How many things it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// What a value over the limit asks for, if it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitorEnd {
    /// Every number.
    pub checks: Vec<MonitorCheck>,
}

impl MonitorEnd {
    /// Returns the numbers that are over their limits.
    pub fn triggers(&self) -> impl Iterator<Item = &MonitorCheck> {
        self.checks.iter().filter(|check| check.trigger.is_some())
    }
}

/// Asks for every number that the definition watches.
pub fn monitor(request: &MonitorRequest<'_>) -> Result<MonitorEnd, Error> {
    let mut checks = Vec::new();
    for monitor in &request.definition.monitors {
        for member in request.members.iter().filter(|member| concerns(monitor, member)) {
            checks.push(check(request, monitor, member)?);
        }
    }
    for query in &request.definition.queries {
        for member in request.members.iter().filter(|member| member.tier == query.tier && member.is_primary) {
            checks.extend(time(request, query, member)?);
        }
    }
    Ok(MonitorEnd { checks })
}

/// Measures a query of the definition, in milliseconds. Only its limit is a reason to act: ten per cent of some
/// milliseconds is noise.
fn time(request: &MonitorRequest<'_>, query: &TimedQuery, member: &Member) -> Result<Option<MonitorCheck>, Error> {
    let Some(sql) = ShapeSql::of_shape(&query.selects, &member.shape) else { return Ok(None) };
    let connection = questions::open(&member.path, request.values)?;
    // What cannot be asked, because a table was never there, has no time.
    let Ok(taken) = percentile_of(&connection, sql, request.stop)? else { return Ok(None) };
    let (value, max) = (taken.as_secs_f64() * 1000.0, query.p95_ms as f64);
    Ok(Some(MonitorCheck {
        name: format!("milliseconds of {}", query.name),
        file: member.key.clone(),
        value: Some(value),
        max,
        sample: None,
        trigger: (value > max).then(|| "investigate".to_owned()),
    }))
}

fn concerns(monitor: &Monitor, member: &Member) -> bool {
    member.tier == monitor.tier && (member.is_primary || monitor.files == Files::All)
}

fn check(request: &MonitorRequest<'_>, monitor: &Monitor, member: &Member) -> Result<MonitorCheck, Error> {
    let connection = questions::open(&member.path, request.values)?;
    let found = questions::number(&connection, &member.path, &monitor.sql)?;
    let is_enough = found.sample.is_none_or(|sample| sample >= monitor.sample_min);
    let is_over = is_enough && found.value.is_some_and(|value| value > monitor.max);
    Ok(MonitorCheck {
        name: monitor.name.clone(),
        file: member.key.clone(),
        value: found.value,
        max: monitor.max,
        sample: found.sample,
        trigger: is_over.then(|| monitor.trigger.clone()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rusqlite::Connection;

    use super::*;
    use crate::upgrade::values::AssumedZone;

    #[test]
    fn a_number_counts_only_with_enough_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("main.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (1), (0)").unwrap();
        let (tier, shape) = ("main".to_owned(), "only".to_owned());
        let members = [Member { key: "main.db".into(), path, tier, shape, is_primary: true }];
        let values = Values {
            run_clock: "2026-11-20T00:00:00Z".parse().unwrap(),
            zone: AssumedZone::default(),
            inputs: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        let rule = |name: &str, sql: &str, sample_min: u64| Monitor {
            name: name.into(),
            tier: "main".into(),
            files: Files::Primary,
            sql: sql.into(),
            max: 0.05,
            sample_min,
            trigger: "pause".into(),
        };
        let average = "SELECT avg(x), count(*) FROM t";
        let text = "name = 't'\nfrom = '1'\nto = '2'\ntier = []\ngroup = []";
        let mut definition: Definition = toml::from_str(text).unwrap();
        definition.monitors =
            vec![rule("over", average, 2), rule("few", average, 20), rule("none", "SELECT x FROM t WHERE 0", 0)];
        definition.queries = vec![TimedQuery {
            name: "all".into(),
            tier: "main".into(),
            selects: vec![ShapeSql { shapes: Vec::new(), sql: "SELECT * FROM t".into(), file: None }],
            p95_ms: 60_000,
        }];
        let stop = StopToken::new();
        let request = MonitorRequest { stop: &stop, definition: &definition, members: &members, values: &values };
        let end = monitor(&request).unwrap();
        assert_eq!(end.checks.last().unwrap().name, "milliseconds of all");
        let found: Vec<_> = end.checks.iter().take(3).map(|check| (check.value, check.trigger.as_deref())).collect();
        assert_eq!(found, [(Some(0.5), Some("pause")), (Some(0.5), None), (None, None)]);
        assert_eq!(end.triggers().count(), 1);
    }
}
