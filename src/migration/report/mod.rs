//! The report of a run: what was read, the outcomes, and every finding.

pub(super) mod about;
pub mod parts;
pub(super) mod timeline;

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::parts::AboutRun;
use super::text::escaped_json;
use super::{Error, Findings, OutcomeCounts, Severity};
use crate::durable::{Attributes, Disk, DiskFile, read_file, replace_file_with, temporary_name};
use crate::pipeline::Counted;

/// Name of the report in the run directory.
pub const FILE_NAME: &str = "report.json";
/// Version of the report's JSON.
pub const REPORT_VERSION: u32 = 2;
const REPORT_READ_BYTES_MAX: u64 = 16 << 20;
const BUFFER_BYTES: usize = 256 << 10;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report<C> {
    /// Which run.
    pub run_id: String,
    /// Which store: `space`, `cas`.
    pub noun: String,
    /// How it ended, as one word or two: `published`, `dry run`.
    pub outcome: String,
    /// Where the records came from.
    pub source: String,
    /// Where they went.
    pub target: String,
    /// Records read. Equal to the sum of `counts`.
    pub records_read: u64,
    /// Records by outcome.
    pub counts: C,
    /// Bytes of the source by what they are.
    pub source_bytes: SourceBytes,
    /// Length of everything written: the sum of [`AboutRun::written`].
    pub target_bytes: u64,
    /// How long it took, this attempt alone.
    pub duration_ms: u64,
    /// Findings by severity.
    pub findings_count: FindingsCount,
    /// The policies that were in force.
    pub policy: serde_json::Value,
    /// What only this kind of store has to say.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
    /// What version 2 says of the run itself.
    #[serde(flatten)]
    pub about: AboutRun,
}

/// Bytes of the source by what they are. Every byte is in exactly one of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct SourceBytes {
    /// In whole records, with the headers around them.
    pub framed: u64,
    /// In a last record that was cut short.
    pub torn_tail: u64,
    /// Zeros after the last record.
    pub zero_tail: u64,
    /// In what is no record.
    pub damaged: u64,
    /// All of them.
    pub total: u64,
}

impl SourceBytes {
    /// Adds the bytes of another part of the source.
    pub fn merge(&mut self, other: &Self) {
        self.framed += other.framed;
        self.torn_tail += other.torn_tail;
        self.zero_tail += other.zero_tail;
        self.damaged += other.damaged;
        self.total += other.total;
    }

    /// Fails unless the parts add up to the total.
    pub fn check_sum(&self) -> Result<(), Error> {
        let sum = [self.framed, self.torn_tail, self.zero_tail, self.damaged].into_iter().fold(0, u64::saturating_add);
        if sum == self.total {
            return Ok(());
        }
        Err(Error::Accounting { what: format!("the source has {} bytes, {sum} are accounted for", self.total) })
    }
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FindingsCount {
    /// [`Severity::Note`].
    pub note: u64,
    /// [`Severity::Refused`].
    pub refused: u64,
    /// [`Severity::Fatal`].
    pub fatal: u64,
}

impl FindingsCount {
    /// Counts one.
    pub fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Note => self.note += 1,
            Severity::Refused => self.refused += 1,
            Severity::Fatal => self.fatal += 1,
        }
    }

    /// Counts those that are in a log.
    pub fn of(disk: &dyn Disk, findings: &Findings) -> Result<Self, Error> {
        let mut count = Self::default();
        findings.for_each(disk, |finding| {
            count.add(finding.severity);
            Ok(())
        })?;
        Ok(count)
    }

    /// Returns each with the name of its severity.
    pub fn by_name(&self) -> [(&'static str, u64); 3] {
        [("note", self.note), ("refused", self.refused), ("fatal", self.fatal)]
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.note + self.refused + self.fatal
    }
}

/// Returns what a writer has counted, for the observer of the run.
pub fn counted<N: Into<Cow<'static, str>>>(
    counts: &impl OutcomeCounts,
    written: impl IntoIterator<Item = (N, u64)>,
    findings: &FindingsCount,
) -> Counted {
    let named = |(name, count): (&'static str, u64)| (Cow::Borrowed(name), count);
    Counted {
        outcomes: counts.by_name().into_iter().map(named).collect(),
        written: written.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect(),
        findings: findings.by_name().into_iter().map(named).collect(),
    }
}

/// Writes the report as JSON in one durable step. The findings stream from their log into its last field, one line
/// each, and are never held all at once.
pub fn write_report<C: OutcomeCounts>(
    disk: &dyn Disk,
    path: &Path,
    report: &Report<C>,
    findings: &Findings,
) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Versioned<'a, C> {
        report_version: u32,
        #[serde(flatten)]
        report: &'a Report<C>,
    }
    let versioned = Versioned { report_version: REPORT_VERSION, report };
    let head = serde_json::to_string_pretty(&versioned).expect("a report has string keys only");
    let mut head = escaped_json(&head).into_owned();
    let open_len = head.trim_end_matches("\n}").len();
    head.truncate(open_len);
    head.push_str(",\n  \"findings\": [");
    replace_file_with(disk, path, Attributes::OfReplaced, |file| {
        let mut out = Appender { file, written_bytes: 0, buffer: head.into_bytes() };
        let mut separator = "\n    ";
        findings.for_each(disk, |finding| {
            out.buffer.extend_from_slice(separator.as_bytes());
            separator = ",\n    ";
            let line = serde_json::to_string(&finding).expect("a finding has string keys only");
            out.buffer.extend_from_slice(escaped_json(&line).as_bytes());
            if out.buffer.len() >= BUFFER_BYTES { out.flush() } else { Ok(()) }
        })?;
        out.buffer.extend_from_slice(if separator.starts_with(',') { b"\n  ]\n}\n" } else { b"]\n}\n" });
        out.flush()
    })
    .map(|_| ())
}

/// True if the report at `path` is that of a run which ended so. False where that run died before it was written, or
/// while; a report longer than 16 MiB is not read and better written again.
pub fn report_says(disk: &dyn Disk, path: &Path, run_id: &str, outcome: &str) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct End {
        run_id: String,
        outcome: String,
    }
    if disk.kind(&temporary_name(path))?.is_some() {
        return Ok(false);
    }
    let bytes = match read_file(disk, path, REPORT_READ_BYTES_MAX) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => return Ok(false),
        bytes => bytes?,
    };
    Ok(serde_json::from_slice::<End>(&bytes).is_ok_and(|end| end.run_id == run_id && end.outcome == outcome))
}

/// Returns true if the file at `path` begins as a report of the run and ends as a report does.
pub fn is_whole_report(disk: &dyn Disk, path: &Path, run_id: &str) -> Result<bool, Error> {
    const HEAD_BYTES: u64 = 4 << 10;
    const END: &[u8] = b"]\n}\n";
    let file = match disk.open_for_read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let len_bytes = file.len()?;
    let Some(end_at) = len_bytes.checked_sub(END.len() as u64) else { return Ok(false) };
    let mut head = vec![0; len_bytes.min(HEAD_BYTES) as usize];
    let mut end = [0; END.len()];
    file.read_exact_at(0, &mut head)?;
    file.read_exact_at(end_at, &mut end)?;
    Ok(end == *END && String::from_utf8_lossy(&head).contains(&format!("\"run_id\": \"{run_id}\"")))
}

struct Appender<'a> {
    file: &'a dyn DiskFile,
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl Appender<'_> {
    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.written_bytes, &self.buffer)?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parts::{Attempt, Next};
    use super::*;
    use crate::durable::{CrashFault, InjectedFault, SimulatedDisk};
    use crate::migration::test_disk::{bytes_of, disk};
    use crate::migration::{Finding, FindingsLog};

    crate::migration::outcome::outcome_counts! {
        /// Counts as a room has them.
        pub struct Counts {
            passed { migrated: "migrated", skipped_control: "skipped, control", }
            refused { refused_corrupt: "refused, corrupt", }
        }
    }

    fn report() -> Report<Counts> {
        Report {
            run_id: "r1".into(),
            noun: "space".into(),
            outcome: "published".into(),
            source: "memory/main/wal".into(),
            target: "memory/main/dual-000001".into(),
            records_read: 1_234_569,
            counts: Counts { migrated: 1_234_567, refused_corrupt: 2, ..Counts::default() },
            source_bytes: SourceBytes { framed: 5_000_000, torn_tail: 20, zero_tail: 0, damaged: 3, total: 5_000_023 },
            target_bytes: 4_200_000,
            duration_ms: 12_045,
            findings_count: FindingsCount { note: 1, refused: 2, fatal: 0 },
            policy: json!({"on_corrupt": "refuse"}),
            details: json!(null),
            about: about(),
        }
    }

    fn about() -> AboutRun {
        AboutRun {
            attempts: vec![Attempt {
                started_at: "2026-11-21T01:18:00.000Z".into(),
                outcome: "killed".into(),
                ..Attempt::default()
            }],
            written: [("segments".to_owned(), 4_200_000)].into(),
            next: Next { verify: Some("haul space verify memory/main".into()), rollback: None },
            ..AboutRun::default()
        }
    }

    fn path() -> &'static Path {
        Path::new("/run/report.json")
    }

    fn finding(offset: u64) -> Finding {
        Finding {
            severity: Severity::Refused,
            file: "000001.log".into(),
            offset,
            length: 1,
            reason: "checksum mismatch".into(),
            id: None,
            sequence: None,
            related: None,
        }
    }

    fn written(findings: u64) -> (SimulatedDisk, Findings, String) {
        let disk = disk();
        let mut log = FindingsLog::open(&disk, Path::new("/run/findings.jsonl"), 0).unwrap();
        for offset in 0..findings {
            log.append(&finding(offset)).unwrap();
        }
        log.flush().unwrap();
        write_report(&disk, path(), &report(), &log.findings()).unwrap();
        let text = String::from_utf8(bytes_of(&disk, path())).unwrap();
        (disk, log.findings(), text)
    }

    #[test]
    fn json_is_frozen() {
        insta::assert_snapshot!(written(2).2, @r#"
        {
          "report_version": 2,
          "run_id": "r1",
          "noun": "space",
          "outcome": "published",
          "source": "memory/main/wal",
          "target": "memory/main/dual-000001",
          "records_read": 1234569,
          "counts": {
            "migrated": 1234567,
            "skipped_control": 0,
            "refused_corrupt": 2
          },
          "source_bytes": {
            "framed": 5000000,
            "torn_tail": 20,
            "zero_tail": 0,
            "damaged": 3,
            "total": 5000023
          },
          "target_bytes": 4200000,
          "duration_ms": 12045,
          "findings_count": {
            "note": 1,
            "refused": 2,
            "fatal": 0
          },
          "policy": {
            "on_corrupt": "refuse"
          },
          "haul": {
            "version": "",
            "commit": null
          },
          "attempts": [
            {
              "started_at": "2026-11-21T01:18:00.000Z",
              "ended_at": null,
              "outcome": "killed",
              "exit_code": null,
              "records": 0,
              "seconds": 0.0,
              "cpu_seconds": 0.0,
              "rss_peak_bytes": 0
            }
          ],
          "settings": {
            "workers": 0,
            "budget_bytes": 0,
            "batch_records": 0,
            "checkpoint_interval_records": 0,
            "rate_limit": null,
            "reader": null,
            "verify": null,
            "durability": ""
          },
          "environment": {
            "kernel": null,
            "cpu": null,
            "cores": 0,
            "memory_bytes": null,
            "cgroup_memory_bytes": null,
            "cgroup_cpus": null,
            "source": null,
            "target": null
          },
          "phases": [],
          "stages": {},
          "peaks": {
            "rss": 0,
            "budget": 0,
            "staging_bytes": 0
          },
          "timeline": [],
          "written": {
            "segments": 4200000
          },
          "digests": {},
          "estimate": null,
          "grade": null,
          "next": {
            "verify": "haul space verify memory/main",
            "rollback": null
          },
          "findings": [
            {"severity":"refused","file":"000001.log","offset":0,"length":1,"reason":"checksum mismatch"},
            {"severity":"refused","file":"000001.log","offset":1,"length":1,"reason":"checksum mismatch"}
          ]
        }
        "#);
    }

    #[test]
    fn any_number_of_findings_gives_one_document() {
        for count in [0, 1, 2, 20_000] {
            let (disk, _, text) = written(count);
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            let findings = parsed["findings"].as_array().unwrap();
            assert_eq!(findings.len() as u64, count);
            assert!(findings.iter().enumerate().all(|(index, finding)| finding["offset"] == index));
            assert_eq!(disk.list(Path::new("/run")).unwrap().len(), 2);
        }
    }

    #[test]
    fn a_report_that_fails_in_its_middle_leaves_the_one_before() {
        let (disk, findings, before) = written(5_000);
        let changed = Report { outcome: "dry run".into(), ..report() };
        let before_operations = disk.operations();
        for operation in 0..4 {
            disk.fail_operation(operation, InjectedFault::ShortWrite);
            write_report(&disk, path(), &changed, &findings).unwrap_err();
            assert_eq!(bytes_of(&disk, path()), before.as_bytes());
        }
        write_report(&disk, path(), &changed, &findings).unwrap();
        let after = bytes_of(&disk, path());
        assert_ne!(after, before.as_bytes());
        for fault in CrashFault::ALL {
            for operations in before_operations..=disk.operations() {
                let found = bytes_of(&disk.crash_image(operations, fault), path());
                let is_old = found == before.as_bytes() && operations < disk.operations();
                assert!(is_old || found == after, "{fault:?} behind {operations}");
            }
        }
    }

    #[test]
    fn a_report_speaks_for_one_end_of_one_run() {
        let (disk, _, _) = written(2);
        let says = |run_id, outcome| report_says(&disk, path(), run_id, outcome).unwrap();
        assert!(says("r1", "published"));
        assert!(!says("r2", "published") && !says("r1", "failed"));
        assert!(!report_says(&disk, Path::new("/run/absent.json"), "r1", "published").unwrap());
        disk.create_file(Path::new("/run/.report.json.tmp")).unwrap();
        assert!(!says("r1", "published"));
    }

    #[test]
    fn bytes_that_do_not_add_up_fail() {
        report().source_bytes.check_sum().unwrap();
        for total in [5_000_022, 5_000_024] {
            SourceBytes { total, ..report().source_bytes }.check_sum().unwrap_err();
        }
    }
}
