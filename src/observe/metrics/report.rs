//! What a report says of a run that is over.

use super::run::{RunMetrics, seconds, store_name};
use crate::migration::report::parts::Grade;
use crate::observe::MigrationState;
use crate::observe::report_document::Document;
use crate::pipeline::ForecastFigures;

impl RunMetrics {
    /// Returns what a report says of a run that is over. What it does not say is not known.
    pub(crate) fn of_report(report: &Document) -> Self {
        let state = MigrationState::of_outcome(&report.outcome);
        let last = report.attempts.last();
        let finished_at = last.and_then(|attempt| seconds(attempt.ended_at.as_deref()?));
        // Version 1 has one sum.
        let all = || [("all".to_owned(), report.target_bytes)].into();
        let of_attempt = last.map(|attempt| attempt.seconds);
        Self {
            migration: store_name(&report.noun, &report.target),
            kind: report.noun.clone(),
            run_id: report.run_id.clone(),
            version: report.haul.as_ref().map(|haul| haul.version.clone()).unwrap_or_default(),
            state: Some(state),
            progress_ratio: state.is_success().then_some(1.0),
            records_expected: Some(report.records_read),
            records: report.counts.by_name(),
            source_bytes: report.source_bytes.get("total"),
            target_bytes: if report.written.0.is_empty() { all() } else { report.written.by_name() },
            started_at: last.and_then(|attempt| seconds(&attempt.started_at)),
            heartbeat_at: finished_at,
            finished_at,
            last_success_at: finished_at.filter(|_| state.is_success()),
            estimate: report.grade.as_ref().map(estimate),
            duration_seconds: Some(of_attempt.unwrap_or(report.duration_ms as f64 / 1000.0)),
            findings: report.findings_count.by_name(),
            ..Self::default()
        }
    }
}

fn estimate(grade: &Grade) -> ForecastFigures {
    let predicted = &grade.predicted;
    ForecastFigures { p10: predicted.p10, p50: predicted.p50, p90: predicted.p90, ..ForecastFigures::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(report: &Value) -> RunMetrics {
        RunMetrics::of_report(&Document::read(&*serde_json::to_vec(report).unwrap()).unwrap())
    }

    #[test]
    fn a_report_of_version_1_says_what_it_can() {
        let run = of(&json!({
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
        let attempt = |seconds: f64| {
            json!({
                "started_at": "2026-01-02T03:04:05Z", "ended_at": "2026-01-02T03:04:06.5Z", "outcome": "stopped",
                "exit_code": 75, "records": 1, "seconds": seconds, "cpu_seconds": 0.1, "rss_peak_bytes": 1,
            })
        };
        let run = of(&json!({
            "run_id": "r", "haul": {"version": "9.9", "commit": null}, "noun": "cas", "outcome": "stopped", "target": "v2",
            "attempts": [attempt(9.0), attempt(1.5)], "written": {"blobs": 7, "index": 8},
            "grade": {"predicted": {"p10": 1.0, "p50": 2.0, "p90": 3.0}, "actual": 2.0, "ratio": 1.0, "in_range": true,
                "basis": "probe"},
        }));
        assert_eq!((run.started_at, run.finished_at), (Some(1_767_323_045.0), Some(1_767_323_046.5)));
        assert_eq!((run.last_success_at, run.duration_seconds, run.version.as_str()), (None, Some(1.5), "9.9"));
        assert_eq!((run.target_bytes["index"], run.estimate.unwrap().p90), (8, 3.0));
    }

    #[test]
    fn what_is_not_as_expected_says_nothing() {
        let run =
            of(&json!({"run_id": "r", "counts": {"a": "x"}, "attempts": [null], "written": {"a": -1}, "haul": 3}));
        assert!(run.records.is_empty() && run.started_at.is_none() && run.version.is_empty());
    }
}
