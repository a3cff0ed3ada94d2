//! What metrics say of runs, known and unknown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::samples::Value;
use super::*;
use crate::observe::MigrationState;
use crate::observe::live::{BUCKET_SECONDS, Live, StageSummary};
use crate::observe::progress_line::{
    Amount, BudgetNow, CheckpointNow, Eta, LineHead, ProgressLine, Rate, RunningState, Total,
};
use crate::pipeline::{ForecastFigures, Phase};

/// A run of which everything is known.
fn live(kind: &str, target: &str) -> Live {
    let stage = StageSummary {
        count: 10,
        sum_seconds: 0.5,
        buckets: (0..17).map(|at| at.min(9)).collect(),
        ..StageSummary::default()
    };
    let map = |entries: &[(&str, u64)]| -> BTreeMap<String, u64> {
        entries.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    Live {
        line: ProgressLine {
            head: LineHead {
                v: 1,
                seq: 3,
                at: "2026-01-02T03:04:15.500Z".into(),
                run: "run-1".into(),
                kind: kind.into(),
            },
            type_name: "progress".into(),
            phase: Some(Phase::Run),
            state: RunningState::Running,
            done: Amount { records: 500, bytes: 5000 },
            before: Amount::default(),
            total: Some(Total { records: Some(1000), bytes: None, exact: true }),
            ratio: Some(0.5),
            overall_ratio: Some(0.25),
            rate: Rate::default(),
            eta: Some(Eta { p10: 1.0, p50: 2.5, p90: 4.0, basis: "measured".into() }),
            budget: BudgetNow { in_use: 11, total: 22 },
            rss_bytes: Some(33),
            checkpoint: Some(CheckpointNow { records: 400, at: "2026-01-02T03:04:10Z".into() }),
            outcomes: map(&[("migrated", 490), ("refused_corrupt", 10)]),
            events_dropped: 0,
        },
        haul: "1.2.3".into(),
        pid: 1,
        boot_id: None,
        process_start: None,
        started_at: "2026-01-02T03:04:05Z".into(),
        source: "/in".into(),
        target: target.into(),
        forecast: Some(ForecastFigures { p10: 7.0, p50: 8.0, p90: 9.0, ..ForecastFigures::default() }),
        records_planned: Some(1000),
        waiting_seconds: [("memory".to_owned(), 0.5)].into(),
        stages: ["read", "convert", "write", "commit", "sync"].map(|name| (name.to_owned(), stage.clone())).into(),
        written_bytes: map(&[("blocks", 44)]),
        findings: map(&[("refused", 10)]),
        checkpoints: 4,
        source_bytes: 5000,
    }
}

fn classic(runs: Vec<RunMetrics>) -> String {
    text(&runs.into_iter().collect(), DEFAULT_PREFIX, Format::Classic)
}

fn running(kind: &str, target: &str) -> RunMetrics {
    RunMetrics::of_live(&live(kind, target), MigrationState::Running)
}

/// Everything but the comments.
fn samples_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn names_in(text: &str) -> BTreeSet<String> {
    let type_lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    type_lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_run_of_which_everything_is_known_has_every_family() {
    let mut run = running("space", "/data/personal/dual-000001");
    (run.finished_at, run.last_success_at) = (Some(1.0), Some(1.0));
    let text = classic(vec![run]);
    let all: BTreeSet<_> = FAMILIES.iter().map(|family| family.full_name(DEFAULT_PREFIX)).collect();
    assert_eq!(names_in(&text), all);
    for line in [
        r#"haul_migration_info{kind="space",migration="personal",run_id="run-1",version="1.2.3"} 1"#,
        r#"haul_migration_state{kind="space",migration="personal",state="running"} 1"#,
        r#"haul_migration_state{kind="space",migration="personal",state="published"} 0"#,
        r#"haul_migration_phase_progress_ratio{kind="space",migration="personal",phase="run"} 0.5"#,
        r#"haul_migration_records_total{kind="space",migration="personal",outcome="refused_corrupt"} 10"#,
        r#"haul_migration_batch_duration_seconds_bucket{kind="space",migration="personal",stage="read",le="0.002"} 1"#,
        r#"haul_migration_batch_duration_seconds_bucket{kind="space",migration="personal",stage="read",le="64"} 9"#,
        r#"haul_migration_batch_duration_seconds_bucket{kind="space",migration="personal",stage="read",le="+Inf"} 10"#,
        r#"haul_migration_sync_duration_seconds_sum{kind="space",migration="personal"} 0.5"#,
        r#"haul_migration_started_timestamp_seconds{kind="space",migration="personal"} 1767323045.0"#,
        r#"haul_migration_estimate_seconds{kind="space",migration="personal",percentile="90"} 9.0"#,
        r#"haul_migration_duration_seconds{kind="space",migration="personal"} 10.5"#,
        r#"process_resident_memory_bytes{kind="space",migration="personal"} 33"#,
        r#"engram_migration_nodes_migrated_total{space="personal"} 490"#,
        r#"engram_migration_batch_duration_seconds_count{space="personal"} 10"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let text = classic(vec![RunMetrics { kind: "db".into(), migration: "x".into(), ..RunMetrics::default() }]);
    assert_eq!(names_in(&text), ["haul_build_info".to_owned()].into());
    let ended = running("cas", "/v2").ended(MigrationState::Published, Timestamp::UNIX_EPOCH);
    let text = classic(vec![ended]);
    let known = names_in(&text);
    for gone in ["eta_seconds", "phase_progress_ratio", "queue_batches", "duration_seconds"] {
        assert!(!known.contains(&format!("haul_migration_{gone}")), "{gone}");
    }
    assert!(!text.contains("engram_"), "{text}");
    assert!(text.contains(r#"haul_migration_finished_timestamp_seconds{kind="cas",migration="v2"} 0.0"#), "{text}");
}

#[test]
fn numbers_that_are_none_are_left_out() {
    let mut run = running("cas", "/v2");
    (run.eta_seconds, run.progress_ratio) = (Some(f64::NAN), Some(f64::INFINITY));
    let text = classic(vec![run]);
    assert!(!text.contains("eta_seconds") && !text.contains("haul_migration_progress_ratio"), "{text}");
}

#[test]
fn every_value_fits_the_type_of_its_family() {
    let mut run = running("space", "/s");
    run.finished_at = Some(1.0);
    for family in &FAMILIES {
        for sample in (family.samples)(&run) {
            assert_eq!(sample.labels.len(), family.labels.len(), "{}", family.name);
            let fits = match sample.value {
                Value::Whole(_) | Value::Number(_) => {
                    matches!(family.family_type, FamilyType::Counter | FamilyType::Gauge)
                }
                Value::Info => family.family_type == FamilyType::Info,
                Value::Times(_) => family.family_type == FamilyType::Histogram,
            };
            assert!(fits, "{}", family.name);
        }
    }
}

#[test]
fn hostile_names_stay_in_their_label() {
    let name = "a\"} 1\nforged{x=\"\\\u{202e}\u{1b}[31m\r<b>";
    let mut run = running("space", "/s");
    (run.migration, run.run_id) = (name.into(), name.into());
    run.records.insert(name.into(), 1);
    let text = classic(vec![run]);
    assert!(!text.contains(['\u{202e}', '\u{1b}', '\r']), "{text}");
    let forged = text.lines().filter(|line| line.starts_with("forged")).count();
    assert_eq!(forged, 0, "{text}");
    let label = r#"migration="a\"} 1\\u{a}forged{x=\"\\\\u{202e}\\u{1b}[31m\\u{d}<b>""#;
    assert!(text.contains(label), "{text}");
    let long = RunMetrics { migration: "ü".repeat(5000), ..running("cas", "/v2") };
    assert!(classic(vec![long]).lines().all(|line| line.len() < 4096));
}

#[test]
fn no_two_samples_are_the_same() {
    let with_id = |id: &str| RunMetrics { id: id.into(), ..running("space", "/s") };
    let odd = RunMetrics { migration: "s@b".into(), ..running("space", "/s") };
    let runs = vec![with_id("a"), with_id("b"), with_id("b"), odd.clone(), odd, running("cas", "/s")];
    let text = classic(runs);
    let keys: Vec<_> =
        samples_of(&text).into_iter().filter_map(|line| line.rsplit_once(' ')).map(|(key, _)| key).collect();
    let distinct: BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{text}");
    for name in ["s@a", "s@b", "s@b#2"] {
        assert!(text.contains(&format!("migration=\"{name}\"")), "{text}");
    }
    assert!(text.contains(r#"kind="cas",migration="s""#), "a name of another kind stays short");
}

#[test]
fn buckets_that_another_process_has_written_never_fall() {
    for buckets in [vec![], vec![5; 3], vec![9, 1, 7], vec![u64::MAX; 40], (0..17).rev().collect()] {
        let mut run = running("cas", "/v2");
        let odd = StageSummary { count: 6, sum_seconds: 1.0, buckets, ..StageSummary::default() };
        run.stages = [("read".to_owned(), odd)].into();
        let text = classic(vec![run]);
        let of_buckets = samples_of(&text).into_iter().filter(|line| line.contains("_bucket{"));
        let counts: Vec<u64> = of_buckets
            .map(|line| line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count"))
            .collect();
        assert_eq!(counts.len(), BUCKET_SECONDS.len() + 1);
        assert!(counts.is_sorted() && counts.last() == Some(&6), "{counts:?}");
    }
}

#[test]
fn batches_wait_between_two_stages_of_a_run() {
    let mut run = running("cas", "/v2");
    run.stages.get_mut("read").unwrap().count = 15;
    run.stages.get_mut("write").unwrap().count = 8;
    assert_eq!(run.queues(), [("convert", 5), ("write", 2)]);
    run.phase = Some(("verify".into(), None));
    assert_eq!(run.queues(), [("convert", 5)]);
    run.state = Some(MigrationState::Killed);
    assert_eq!(run.queues(), []);
}

#[test]
fn a_clock_that_was_set_back_gives_no_duration() {
    let mut at = live("cas", "/v2");
    at.line.head.at = "2020-01-01T00:00:00Z".into();
    assert_eq!(RunMetrics::of_live(&at, MigrationState::Running).duration_seconds, None);
    at.line.head.at = "no time".into();
    assert_eq!(RunMetrics::of_live(&at, MigrationState::Running).heartbeat_at, None);
}

#[test]
fn a_store_is_named_by_the_end_of_its_path() {
    for (kind, target, name) in [
        ("space", "/data/default/dual-000012", "default"),
        ("space", "/data/dual-x", "dual-x"),
        ("cas", "v2/", "v2"),
        ("cas", "/data/dual-000001", "dual-000001"),
        ("manifest", "a/./b/.", "b"),
        ("manifest", "/", "/"),
        ("db", "sqlite:app/x.db", "x.db"),
        ("db", "postgres://me@host:5432/app?sslmode=require", "app"),
        ("db", "", ""),
    ] {
        assert_eq!(super::run::store_name(kind, target), name, "{target}");
    }
    let here = super::run::store_name("manifest", ".");
    assert!(!here.is_empty() && here != ".", "{here}");
}

#[test]
fn open_metrics_end_and_have_every_bucket() {
    let scraped: Scraped = [running("space", "/s")].into_iter().collect();
    let text = text(&scraped, "my", Format::OpenMetrics);
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE my info\n"), "{text}");
    assert!(text.contains("# TYPE my_records counter\n") && text.contains("my_records_total{"), "{text}");
    assert!(text.contains(r#"{le="+Inf",kind="space",migration="s",stage="read"} 10"#), "{text}");
    assert!(!text.contains("haul_migration"), "{text}");
}

#[test]
fn clients_get_what_they_accept() {
    for accept in ["", "*/*", "text/plain", "text/html,application/xhtml+xml", "application/openmetrics-text;q=0"] {
        assert_eq!(Format::accepted(accept), Format::Classic, "{accept}");
    }
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for accept in [prometheus, "Application/OpenMetrics-Text", "text/plain, application/openmetrics-text; q=0.1"] {
        assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
    }
}
