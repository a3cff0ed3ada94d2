//! What a list shows of a report, read from its beginning: the findings at its end may be many.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durable::open_state_file;
use crate::migration::report::parts::{Attempt, Grade, StageReport};
use crate::observe::metrics::RunMetrics;

/// The part of a report that is read. Findings begin before it.
const HEAD_BYTES_MAX: u64 = 1 << 20;
/// Where the findings begin. Nothing in a report has a line end but between its fields.
const FINDINGS: &[u8] = b"\n  \"findings\": [";

/// What a report says of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
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

/// Returns what the report at `path` says, also as metrics; `None` if there is none.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<Option<(ReportHead, RunMetrics)>, String> {
    let file = match open_state_file(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the report cannot be read: {error}")),
    };
    parse(file).map(Some).map_err(|why| format!("the report cannot be read: {why}"))
}

fn parse(file: File) -> Result<(ReportHead, RunMetrics), String> {
    let mut bytes = Vec::new();
    file.take(HEAD_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if let Some(at) = memchr::memmem::find(&bytes, FINDINGS) {
        bytes.truncate(at + FINDINGS.len());
        bytes.extend_from_slice(b"]}");
    }
    let report: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if !report.is_object() {
        return Err("it is no object".into());
    }
    let metrics = RunMetrics::of_report(&report);
    Ok((serde_json::from_value(report).map_err(|error| error.to_string())?, metrics))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn a_report_is_read_to_its_findings_however_many_there_are() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("report.json");
        let head = "{\n  \"report_version\": 1,\n  \"run_id\": \"r1\",\n  \"outcome\": \"published\",\n  \
                    \"counts\": {\n    \"migrated\": 5\n  },\n  \"findings\": [\n    ";
        let finding = r#"{"severity":"refused","file":"a","offset":0,"length":1,"reason":"x"}"#;
        let many = vec![finding; 40_000].join(",\n    ");
        std::fs::write(&path, format!("{head}{many}\n  ]\n}}\n")).unwrap();
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
