//! What a report says of a run that is over.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::run::{RunMetrics, seconds, store_name};
use crate::observe::MigrationState;
use crate::pipeline::ForecastFigures;

impl RunMetrics {
    /// Returns what a report says of a run that is over, whichever version the report has. What it does not say, or not as
    /// expected, is not known.
    pub fn of_report(report: &Value) -> Self {
        let text = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("noun");
        let state = MigrationState::of_outcome(&text("outcome"));
        let last = report.get("attempts").and_then(Value::as_array).and_then(|attempts| attempts.last());
        let time = |name: &str| last.and_then(|attempt| attempt.get(name)?.as_str()).and_then(seconds);
        let finished_at = time("ended_at");
        let records = wholes(report.get("counts"));
        Self {
            migration: store_name(&kind, &text("target")),
            kind,
            run_id: text("run_id"),
            version: report.pointer("/haul/version").and_then(Value::as_str).unwrap_or_default().to_owned(),
            state: Some(state),
            progress_ratio: state.is_success().then_some(1.0),
            records_expected: report.get("records_read").and_then(Value::as_u64),
            records,
            source_bytes: report.pointer("/source_bytes/total").and_then(Value::as_u64),
            target_bytes: target_bytes(report),
            started_at: time("started_at"),
            heartbeat_at: finished_at,
            finished_at,
            last_success_at: finished_at.filter(|_| state.is_success()),
            estimate: estimate(report),
            duration_seconds: duration_seconds(report, last),
            findings: wholes(report.get("findings_count")),
            ..Self::default()
        }
    }
}

/// Returns the bytes of the target by what they are; as one sum where the report says no more.
fn target_bytes(report: &Value) -> BTreeMap<String, u64> {
    let parts = wholes(report.get("written"));
    if !parts.is_empty() {
        return parts;
    }
    let all = report.get("target_bytes").and_then(Value::as_u64);
    all.map(|bytes| ("all".to_owned(), bytes)).into_iter().collect()
}

fn duration_seconds(report: &Value, last: Option<&Value>) -> Option<f64> {
    let of_attempt = last.and_then(|attempt| attempt.get("seconds")?.as_f64());
    of_attempt.or_else(|| Some(report.get("duration_ms")?.as_f64()? / 1000.0))
}

fn estimate(report: &Value) -> Option<ForecastFigures> {
    let predicted = report.pointer("/grade/predicted")?;
    let [p10, p50, p90] = ["p10", "p50", "p90"].map(|name| predicted.get(name).and_then(Value::as_f64));
    Some(ForecastFigures { p10: p10?, p50: p50?, p90: p90?, ..ForecastFigures::default() })
}

/// Returns the whole numbers of an object by name.
fn wholes(object: Option<&Value>) -> BTreeMap<String, u64> {
    let fields = object.and_then(Value::as_object).into_iter().flat_map(Map::iter);
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_of_version_1_says_what_it_can() {
        let run = RunMetrics::of_report(&json!({
            "report_version": 1, "run_id": "r", "noun": "space", "outcome": "published", "target": "/data/s/dual-000001",
            "records_read": 5, "counts": {"migrated": 4, "refused_corrupt": 1}, "source_bytes": {"total": 70},
            "target_bytes": 60, "duration_ms": 1500, "findings_count": {"note": 0, "refused": 1, "fatal": 0},
        }));
        assert_eq!(
            (run.migration.as_str(), run.state, run.progress_ratio),
            ("s", Some(MigrationState::Published), Some(1.0))
        );
        assert_eq!((run.records["migrated"], run.records_expected, run.source_bytes), (4, Some(5), Some(70)));
        assert_eq!((run.target_bytes["all"], run.duration_seconds, run.findings["refused"]), (60, Some(1.5), 1));
        assert_eq!((run.started_at, run.finished_at, run.last_success_at), (None, None, None));
    }

    #[test]
    fn a_report_of_version_2_says_when() {
        let run = RunMetrics::of_report(&json!({
            "haul": {"version": "9.9"}, "noun": "cas", "outcome": "stopped", "target": "v2",
            "attempts": [{"seconds": 9.0}, {"started_at": "2026-01-02T03:04:05Z", "ended_at": "2026-01-02T03:04:06.5Z", "seconds": 1.5}],
            "written": {"blobs": 7, "index": 8}, "grade": {"predicted": {"p10": 1.0, "p50": 2.0, "p90": 3.0}},
        }));
        assert_eq!((run.started_at, run.finished_at), (Some(1_767_323_045.0), Some(1_767_323_046.5)));
        assert_eq!((run.last_success_at, run.duration_seconds, run.version.as_str()), (None, Some(1.5), "9.9"));
        assert_eq!((run.target_bytes["index"], run.estimate.unwrap().p90), (8, 3.0));
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        for odd in [json!(null), json!([1]), json!({"counts": 3, "attempts": [null], "written": {"a": -1, "b": "x"}})] {
            let run = RunMetrics::of_report(&odd);
            assert!(run.records.is_empty() && run.target_bytes.is_empty() && run.started_at.is_none(), "{odd}");
        }
    }
}
