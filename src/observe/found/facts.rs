//! One migration, read from its run directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Found, ReportHead, id_of, live_file, report_head};
use crate::durable::{RealDisk, read_file};
use crate::migration::{JournalEntry, RunDirectory, RunHead, Stage, checkpoint, clock, journal};
use crate::observe::MigrationState;
use crate::observe::live::Live;
use crate::observe::metrics::RunMetrics;

/// The longest checkpoint that is read. They are this long at most.
const CHECKPOINT_BYTES_MAX: u64 = checkpoint::PAYLOAD_BYTES_MAX + 4096;

/// What a run directory holds.
struct Evidence {
    head: Option<(String, RunHead)>,
    entries: Vec<JournalEntry>,
    report: Option<ReportHead>,
    of_report: RunMetrics,
    live: Option<Box<Live>>,
    problems: Vec<String>,
}

/// Reads the migration in a run directory. Nothing is locked or written, and nothing that is wrong there is an error.
pub fn read(path: &Path) -> Found {
    read_at(path, clock::now_or_nearest())
}

fn read_at(path: &Path, now: Timestamp) -> Found {
    // First, because what is read behind a free lock is the end of a run.
    let lock_holder = RunDirectory::new(path).lock_holder();
    let evidence = Evidence::gather(path, lock_holder.is_some());
    let state = if lock_holder.is_some() { MigrationState::Running } else { evidence.state() };
    let last_success = |entry: &&JournalEntry| is_stage(entry, Stage::Published);
    let entries = &evidence.entries;
    let at = |entry: &JournalEntry| entry.at.clone();
    let mut found = Found {
        id: id_of(path),
        name: name_of(path),
        kind: evidence.kind(path),
        state,
        stage: evidence.head.as_ref().map(|(_, head)| head.stage),
        run: evidence.run_id(),
        records: evidence.head.as_ref().map(|(_, head)| head.records),
        started_at: entries.iter().rfind(|entry| matches!(&*entry.event, "started" | "resumed")).map(at),
        changed_at: entries.last().map(at),
        last_success_at: entries.iter().rev().find(last_success).map(at),
        no_news_since: evidence.live.as_ref().and_then(|live| live_file::no_news_since(live, now)),
        problem: evidence.problem(state),
        progress: evidence.live,
        report: evidence.report,
        path: path.to_path_buf(),
        lock_holder,
        metrics: Arc::new(evidence.of_report),
    };
    found.metrics = Arc::new(metrics_of(&found));
    found
}

/// Returns the metrics of a migration: of the run under way, else of its report as far as that is about the last run.
fn metrics_of(found: &Found) -> RunMetrics {
    let time = |at: &Option<String>| Some(at.as_ref()?.parse::<Timestamp>().ok()?.as_millisecond() as f64 / 1000.0);
    let of_report = found.metrics.as_ref();
    let known = match &found.progress {
        Some(live) => RunMetrics::of_live(live, MigrationState::Running),
        None if found.report.as_ref().map(|report| &report.run_id) == found.run.as_ref() => of_report.clone(),
        None => RunMetrics::default(),
    };
    let is_over = found.state != MigrationState::Running;
    RunMetrics {
        kind: found.kind.clone(),
        migration: found.name.clone(),
        id: found.id.clone(),
        run_id: found.run.clone().unwrap_or_default(),
        state: (found.state != MigrationState::Unreadable).then_some(found.state),
        started_at: known.started_at.or_else(|| time(&found.started_at)),
        heartbeat_at: known.heartbeat_at.or_else(|| time(&found.changed_at)),
        // A run that was killed ended at a time that nobody knows.
        finished_at: known.finished_at.filter(|_| is_over && found.state != MigrationState::Killed),
        last_success_at: time(&found.last_success_at),
        ..known
    }
}

impl Evidence {
    fn gather(path: &Path, is_held: bool) -> Self {
        let mut problems = Vec::new();
        let mut or_problem = |what: String| problems.push(what);
        let head = match checkpoint_head(path) {
            Ok(head) => head,
            Err(why) => {
                or_problem(why);
                None
            }
        };
        let entries = match journal::read(&RealDisk, path) {
            Ok(contents) => contents.entries,
            Err(error) => {
                or_problem(error.to_string());
                Vec::new()
            }
        };
        let (report, of_report) = match report_head::read(&RunDirectory::new(path).report_path()) {
            Ok(report) => report.map_or_else(Default::default, |(report, metrics)| (Some(report), metrics)),
            Err(why) => {
                or_problem(why);
                Default::default()
            }
        };
        let live = if is_held { live_file::read(path).map(Box::new) } else { None };
        Self { head, entries, report, of_report, live, problems }
    }

    /// Returns how a run ended whose lock is free.
    fn state(&self) -> MigrationState {
        let last = self.last_of_run();
        match &self.head {
            None if !self.problems.is_empty() => MigrationState::Unreadable,
            Some((_, head)) if head.stage == Stage::Published => MigrationState::Published,
            Some((_, head)) if head.stage == Stage::RolledBack => MigrationState::RolledBack,
            head => match last.map(|entry| &*entry.event) {
                Some("stopped") => MigrationState::Stopped,
                Some("failed") => MigrationState::Failed,
                Some("paused") => MigrationState::Finished,
                Some("rolled-back") => MigrationState::RolledBack,
                // A run that was not to be published has ended when its report says so.
                _ if self.report_names(head.as_ref().map(|(_, head)| head)) => MigrationState::Finished,
                // Nothing is under way, as after a clean-up.
                _ if head.is_none() => MigrationState::Finished,
                _ => MigrationState::Killed,
            },
        }
    }

    /// Returns the last entry about the run itself. Others tell of what was done to its store: that it was verified.
    fn last_of_run(&self) -> Option<&JournalEntry> {
        const OF_RUN: [&str; 7] = ["started", "resumed", "stage-reached", "stopped", "failed", "paused", "rolled-back"];
        self.entries.iter().rfind(|entry| OF_RUN.contains(&&*entry.event))
    }

    fn report_names(&self, head: Option<&RunHead>) -> bool {
        let (Some(head), Some(report)) = (head, &self.report) else { return false };
        let has_begun_since = self.last_of_run().is_some_and(|entry| !is_stage(entry, head.stage));
        report.run_id == head.run_id && report.outcome == head.stage.to_string() && !has_begun_since
    }

    fn run_id(&self) -> Option<String> {
        let of_checkpoint = self.head.as_ref().map(|(_, head)| head.run_id.clone());
        let of_live = self.live.as_ref().map(|live| live.line.head.run.clone()).filter(|run| !run.is_empty());
        of_live.or(of_checkpoint).or_else(|| self.last_of_run().map(|entry| entry.run_id.clone()))
    }

    fn kind(&self, path: &Path) -> String {
        let of_checkpoint = self.head.as_ref().map(|(kind, _)| kind.clone());
        let of_report = self.report.as_ref().map(|report| report.noun.clone());
        let of_live = self.live.as_ref().map(|live| live.line.head.kind.clone());
        let told = of_checkpoint.or(of_live).or(of_report).filter(|kind| !kind.is_empty());
        told.unwrap_or_else(|| kind_by_place(path).to_owned())
    }

    /// Returns what is wrong: with the state, or why the run failed.
    fn problem(&self, state: MigrationState) -> Option<String> {
        let failure = self.last_of_run().filter(|entry| state == MigrationState::Failed && entry.event == "failed");
        let error = failure.and_then(|entry| entry.detail.get("error")).and_then(|error| error.as_str());
        let all: Vec<_> = error.map(str::to_owned).into_iter().chain(self.problems.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn is_stage(entry: &JournalEntry, stage: Stage) -> bool {
    entry.event == "stage-reached"
        && entry.detail.get("stage").and_then(|found| found.as_str()) == Some(&*stage.to_string())
}

/// Reads what every checkpoint begins with, from the current one or, where a crash has left none, from the one before.
fn checkpoint_head(path: &Path) -> Result<Option<(String, RunHead)>, String> {
    for name in [checkpoint::FILE_NAME, checkpoint::PREVIOUS_FILE_NAME] {
        let file = path.join(name);
        match read_file(&RealDisk, &file, CHECKPOINT_BYTES_MAX) {
            Ok(bytes) => return checkpoint::decode_head(&file, &bytes).map(Some).map_err(|error| error.to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(None)
}

/// Returns the name of the store: of what a run directory lies in, or next to.
fn name_of(path: &Path) -> String {
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(store) = own.strip_suffix(".migration") {
        return store.to_owned();
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let above = absolute.parent().and_then(Path::file_name);
    above.map_or_else(|| own.into_owned(), |name| name.to_string_lossy().into_owned())
}

/// Returns what kind of store lies there, by where its run directory is.
fn kind_by_place(path: &Path) -> &'static str {
    let is_next_to_store = path.extension().is_some_and(|extension| extension == "migration");
    match path.parent() {
        _ if is_next_to_store => "cas",
        Some(above) if above.join("wal").is_dir() => "space",
        _ => "",
    }
}
