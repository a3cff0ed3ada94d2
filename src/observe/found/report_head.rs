//! What a list shows of a report.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;

use crate::durable::open_state_file;
use crate::migration::report::parts::{Attempt, Grade, StageReport};
use crate::observe::metrics::RunMetrics;
use crate::observe::report_document::Document;

/// What a report says of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ReportHead {
    /// Id of the run.
    pub run_id: String,
    /// Which store.
    pub noun: String,
    /// How the run ended.
    pub outcome: String,
    /// Where the records came from.
    pub source: String,
    /// Where they went.
    pub target: String,
    /// Records read.
    pub records_read: u64,
    /// Records by outcome.
    pub counts: BTreeMap<String, u64>,
    /// Bytes written.
    pub target_bytes: u64,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: u64,
    /// Findings by severity.
    pub findings_count: BTreeMap<String, u64>,
    /// The attempts; none in a report of version 1.
    pub attempts: Vec<Attempt>,
    /// How long the stages took for a batch.
    pub stages: BTreeMap<String, StageReport>,
    /// The forecast, and what came of it.
    pub grade: Option<Grade>,
}

impl ReportHead {
    fn of(document: Document) -> Self {
        Self {
            run_id: document.run_id,
            noun: document.noun,
            outcome: document.outcome,
            source: document.source,
            target: document.target,
            records_read: document.records_read,
            counts: document.counts.by_name(),
            target_bytes: document.target_bytes,
            duration_ms: document.duration_ms,
            findings_count: document.findings_count.by_name(),
            attempts: document.attempts,
            stages: document.stages.unwrap_or_default(),
            grade: document.grade,
        }
    }
}

/// Returns what the report at `path` says, also as metrics; `None` if there is none.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<Option<(ReportHead, RunMetrics)>, String> {
    let read = open_state_file(path).and_then(Document::read_head);
    match read {
        Ok(document) => {
            let metrics = RunMetrics::of_report(&document);
            Ok(Some((ReportHead::of(document), metrics)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the report cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn a_report_says_the_same_to_lists_and_to_metrics() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("report.json");
        std::fs::write(&path, r#"{"run_id":"r1","outcome":"published","counts":{"migrated":5}}"#).unwrap();
        let (report, metrics) = read(&path).unwrap().unwrap();
        assert_eq!(metrics.records["migrated"], 5);
        assert_eq!((report.outcome.as_str(), report.counts["migrated"]), ("published", 5));
    }

    #[test]
    fn what_is_no_report_has_a_reason() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("report.json");
        assert_eq!(read(&path), Ok(None));
        for text in ["", "{\"run_id\": \"r1", "[]", "{\"run_id\": 7}"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().starts_with("the report cannot be read: "), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(read(&path).is_err());
    }
}
