//! The runs of this process: the one under way, and those that ended before it.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::history::last_success;
use super::run::{RunMetrics, Scraped, seconds};
use crate::durable::{Disk, read_file};
use crate::migration::report;
use crate::observe::MigrationState;
use crate::observe::{Latest, Seen};

/// Runs that ended and are still shown. A command that goes through more of them shows the last.
const ENDED_MAX: usize = 1000;

/// A report with more findings than fit into this is not read.
const REPORT_READ_BYTES_MAX: u64 = 16 << 20;

/// Makes metrics from what the hub shows.
pub struct Recorder {
    disk: Arc<dyn Disk>,
    latest: Latest,
    seen: Mutex<Runs>,
}

/// What was seen so far.
#[derive(Default)]
struct Runs {
    ended: Vec<RunMetrics>,
    /// The run under way, with when an earlier one of its directory was last published.
    now: Option<(String, Option<f64>)>,
}

impl Runs {
    /// Returns true if the end of this run was seen before.
    fn is_over(&self, latest: &Seen) -> bool {
        let run_id = &latest.live.line.head.run;
        let last = self.ended.last().filter(|_| latest.ended.is_some() && !run_id.is_empty());
        last.is_some_and(|last| last.run_id == *run_id)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// Returns a recorder of the runs that the hub puts into `latest`.
    pub fn new(disk: Arc<dyn Disk>, latest: Latest) -> Self {
        Self { disk, latest, seen: Mutex::default() }
    }

    /// Returns what is shown now; `None` before the first run.
    pub fn scraped(&self) -> Option<Scraped> {
        let latest = self.latest.lock().clone();
        let mut seen = self.seen.lock();
        if let Some(latest) = latest.filter(|latest| !seen.is_over(latest)) {
            let run = self.run(&mut seen, &latest);
            // The same store may be run again, as a repetition after a stop does.
            seen.ended.retain(|ended| (&ended.kind, &ended.migration) != (&run.kind, &run.migration));
            if latest.ended.is_none() {
                return Some(seen.ended.iter().cloned().chain([run]).collect());
            }
            let surplus = (seen.ended.len() + 1).saturating_sub(ENDED_MAX);
            seen.ended.drain(..surplus);
            seen.ended.push(run);
        }
        (!seen.ended.is_empty()).then(|| seen.ended.iter().cloned().collect())
    }

    fn run(&self, seen: &mut Runs, latest: &Seen) -> RunMetrics {
        let run_id = &latest.live.line.head.run;
        if seen.now.as_ref().is_none_or(|(id, _)| id != run_id) {
            let before = latest.directory.as_deref().and_then(|directory| last_success(&*self.disk, directory));
            seen.now = Some((run_id.clone(), before));
        }
        let run = RunMetrics::of_live(&latest.live, MigrationState::Running);
        let run = RunMetrics { last_success_at: seen.now.as_ref().and_then(|(_, before)| *before), ..run };
        match &latest.ended {
            None => run,
            Some(ended) => {
                let at = ended.at.parse().ok();
                let state = MigrationState::of_outcome(&ended.outcome);
                let run =
                    RunMetrics { heartbeat_at: seconds(&ended.at), ..self.as_reported(latest, &ended.outcome, run) };
                match at {
                    Some(at) => run.ended(state, at),
                    None => RunMetrics { state: Some(state), ..run },
                }
            }
        }
    }

    /// Returns the run with the counts of its report, if it has one: some of them are known at its end only.
    fn as_reported(&self, latest: &Seen, outcome: &str, run: RunMetrics) -> RunMetrics {
        let read =
            |directory: &Path| read_file(&*self.disk, &directory.join(report::FILE_NAME), REPORT_READ_BYTES_MAX).ok();
        let bytes = latest.directory.as_deref().and_then(read);
        let report = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        match report.filter(|report| report["run_id"] == *run.run_id && report["outcome"] == outcome) {
            Some(report) => {
                let RunMetrics { records, target_bytes, findings, .. } = RunMetrics::of_report(&report);
                RunMetrics { records, target_bytes, findings, ..run }
            }
            None => run,
        }
    }
}
