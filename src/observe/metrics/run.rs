//! What is known of a run, as metrics need it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::observe::MigrationState;
use crate::observe::live::{Live, StageSummary};
use crate::pipeline::ForecastFigures;

/// Everything that one scrape shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scraped {
    /// The runs. Their order does not matter.
    pub runs: Vec<Arc<RunMetrics>>,
}

impl FromIterator<RunMetrics> for Scraped {
    fn from_iter<T: IntoIterator<Item = RunMetrics>>(runs: T) -> Self {
        Self { runs: runs.into_iter().map(Arc::new).collect() }
    }
}

/// What is known of a run. What is not known is `None` or empty, and no metric shows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunMetrics {
    /// Which store: `space`, `cas`, `manifest`, `db`, `upgrade`.
    pub kind: String,
    /// Name of the store.
    pub migration: String,
    /// Tells runs apart whose stores have the same name: a few hexadecimal digits of the digest of a path.
    pub id: String,
    /// Id of the run.
    pub run_id: String,
    /// Version of the haul that has written the state.
    pub version: String,
    /// What it does, or how it ended.
    pub state: Option<MigrationState>,
    /// Share of the whole run that is done, 0 to 1.
    pub progress_ratio: Option<f64>,
    /// The phase under way, with the share of it that is done.
    pub phase: Option<(String, Option<f64>)>,
    /// Records by outcome, with those of earlier attempts.
    pub records: BTreeMap<String, u64>,
    /// Records of the whole migration.
    pub records_expected: Option<u64>,
    /// Bytes of source that this attempt has read.
    pub source_bytes: Option<u64>,
    /// Bytes of the target, by what they are.
    pub target_bytes: BTreeMap<String, u64>,
    /// How long the stages took, by stage.
    pub stages: BTreeMap<String, StageSummary>,
    /// Memory that batches in flight hold.
    pub memory_usage_bytes: Option<u64>,
    /// Memory that they may hold.
    pub memory_budget_bytes: Option<u64>,
    /// Resident memory of the process.
    pub resident_bytes: Option<u64>,
    /// Seconds that the run has waited, by reason.
    pub waiting_seconds: BTreeMap<String, f64>,
    /// Checkpoints that this attempt has written.
    pub checkpoints: Option<u64>,
    /// When the last checkpoint was written. All times are seconds since 1970.
    pub checkpoint_at: Option<f64>,
    /// When this attempt began.
    pub started_at: Option<f64>,
    /// When the run has last said something.
    pub heartbeat_at: Option<f64>,
    /// When it ended.
    pub finished_at: Option<f64>,
    /// When a run of this store has last reached its goal.
    pub last_success_at: Option<f64>,
    /// Seconds until the whole run ends.
    pub eta_seconds: Option<f64>,
    /// How long it was expected to take.
    pub estimate: Option<ForecastFigures>,
    /// Seconds that this attempt took, or has taken so far.
    pub duration_seconds: Option<f64>,
    /// Findings by severity.
    pub findings: BTreeMap<String, u64>,
    /// Events that were only added up.
    pub events_dropped: Option<u64>,
}

impl RunMetrics {
    /// Returns what the live state of a run says. Whether the run is still there, the caller knows.
    pub fn of_live(live: &Live, state: MigrationState) -> Self {
        let line = &live.line;
        let (started_at, heartbeat_at) = (seconds(&live.started_at), seconds(&line.head.at));
        Self {
            kind: line.head.kind.clone(),
            migration: store_name(&line.head.kind, &live.target),
            id: String::new(),
            run_id: line.head.run.clone(),
            version: live.haul.clone(),
            state: Some(state),
            progress_ratio: line.overall_ratio,
            phase: line.phase.map(|phase| (phase.to_string(), line.ratio)),
            records: line.outcomes.clone(),
            records_expected: live.records_planned,
            source_bytes: Some(live.source_bytes),
            target_bytes: live.written_bytes.clone(),
            stages: live.stages.clone(),
            memory_usage_bytes: (line.budget.total > 0).then_some(line.budget.in_use),
            memory_budget_bytes: (line.budget.total > 0).then_some(line.budget.total),
            resident_bytes: line.rss_bytes,
            waiting_seconds: live.waiting_seconds.clone(),
            checkpoints: Some(live.checkpoints),
            checkpoint_at: line.checkpoint.as_ref().and_then(|checkpoint| seconds(&checkpoint.at)),
            started_at,
            heartbeat_at,
            finished_at: None,
            last_success_at: None,
            eta_seconds: line.eta.as_ref().map(|eta| eta.p50),
            estimate: live.forecast.clone(),
            // A clock that was set back in the run says nothing.
            duration_seconds: started_at.zip(heartbeat_at).map(|(start, now)| now - start).filter(|&took| took >= 0.0),
            findings: live.findings.clone(),
            events_dropped: Some(line.events_dropped),
        }
    }

    /// Returns the same run after its end: nothing is under way any more.
    #[must_use]
    pub fn ended(self, state: MigrationState, at: Timestamp) -> Self {
        let at = seconds_of(at);
        let reached = state.is_success();
        Self {
            state: Some(state),
            progress_ratio: if reached { Some(1.0) } else { self.progress_ratio },
            phase: None,
            memory_usage_bytes: self.memory_usage_bytes.map(|_| 0),
            heartbeat_at: Some(at),
            finished_at: Some(at),
            last_success_at: if reached { Some(at) } else { self.last_success_at },
            eta_seconds: None,
            duration_seconds: self.started_at.map(|start| at - start).filter(|&took| took >= 0.0),
            ..self
        }
    }

    /// Returns how many batches lie before each stage: those that the stage before it is through with and it is not.
    pub fn queues(&self) -> Vec<(&'static str, u64)> {
        let is_under_way = self.state == Some(MigrationState::Running);
        let done = |stage| self.stages.get(stage).map(|summary: &StageSummary| summary.count);
        let between = |first, second: &'static str| {
            let waiting = done(first)?.checked_sub(done(second).unwrap_or(0))?;
            is_under_way.then_some((second, waiting))
        };
        // Phases that only read have no writer, so nothing waits for one.
        let has_writer = self.phase.as_ref().is_some_and(|(phase, _)| phase == "run");
        let write = has_writer.then(|| between("convert", "write")).flatten();
        between("read", "convert").into_iter().chain(write).collect()
    }
}

/// Returns the name of a store: the last part of the path of its target. The target of a space is a directory in it, that
/// of a database may be a URL.
pub fn store_name(kind: &str, target: &str) -> String {
    if kind == "db" {
        let path = target.split('?').next().unwrap_or(target);
        return path.rsplit(['/', ':']).find(|part| !part.is_empty()).unwrap_or(target).to_owned();
    }
    // `.` has a name only with what is in front of it.
    let whole = std::path::absolute(target).unwrap_or_else(|_| PathBuf::from(target));
    let path = if kind == "space" && is_generation(&whole) { whole.parent().unwrap_or(&whole) } else { &whole };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| target.to_owned())
}

/// Returns true for the directory of one store of a space: `dual-000001`.
fn is_generation(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let digits = name.and_then(|name| name.strip_prefix("dual-"));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns a time as seconds since 1970; `None` if the text is no time.
pub fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().map(seconds_of)
}

fn seconds_of(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
