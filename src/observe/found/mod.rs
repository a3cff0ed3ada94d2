//! Migrations as they lie on disk: found by a walk, and read without a lock and without any store's code.
//!
//! Whatever is found is shown. A state that is damaged, or that a newer haul has written, is a migration with a problem,
//! and no error of who looks.

mod facts;
mod live_file;
mod report_head;
mod walk;
mod watcher;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use facts::read;
pub use report_head::ReportHead;
pub use walk::{Walked, walk};
pub use watcher::Watcher;

use super::live::Live;
use super::metrics::RunMetrics;
use super::progress_line::ProgressLine;
use super::state::MigrationState;
use crate::migration::Stage;

/// Digits of an id.
pub const ID_DIGITS: usize = 16;

/// A migration that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// 16 hexadecimal digits of BLAKE3 of the path of its run directory.
    pub id: String,
    /// Name of the store.
    pub name: String,
    /// The run directory.
    #[serde(serialize_with = "crate::migration::serialize_path")]
    pub path: PathBuf,
    /// Which store: `space`, `cas`, `manifest`, `upgrade`; empty if nothing tells.
    pub kind: String,
    /// What it does, or how it ended.
    pub state: MigrationState,
    /// How far it has come, as the checkpoint says.
    pub stage: Option<Stage>,
    /// What is wrong with its state, and the last error of a run that failed.
    pub problem: Option<String>,
    /// Id of the run.
    pub run: Option<String>,
    /// Records that are durably done.
    pub records: Option<u64>,
    /// Who holds the lock.
    pub lock_holder: Option<String>,
    /// When the last attempt began, as RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// When its last change of state was, as RFC 3339 in UTC.
    pub changed_at: Option<String>,
    /// When a run was last published here, as RFC 3339 in UTC.
    pub last_success_at: Option<String>,
    /// Since when a run that holds the lock has said nothing; `None` if there is news.
    pub no_news_since: Option<String>,
    /// The run at this moment; `None` if it is not running, or says nothing.
    #[serde(serialize_with = "line_of")]
    pub progress: Option<Box<Live>>,
    /// The report of the last run that ended.
    pub report: Option<ReportHead>,
    /// The same for Prometheus.
    #[serde(skip)]
    pub metrics: Arc<RunMetrics>,
}

/// A program reads the `progress` object, as from `--progress json`.
fn line_of<S: serde::Serializer>(live: &Option<Box<Live>>, serializer: S) -> Result<S::Ok, S::Error> {
    live.as_ref().map(|live| &live.line).serialize(serializer)
}

impl Found {
    /// Returns the last progress line, if it is running.
    pub fn line(&self) -> Option<&ProgressLine> {
        self.progress.as_ref().map(|live| &live.line)
    }

    /// Returns the records that are done: of a running migration those of its phase.
    pub fn records_done(&self) -> Option<u64> {
        self.line().map(|line| line.done.records).or(self.records)
    }

    /// Returns the records by outcome, of the run under way or of the report.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        match (&self.progress, &self.report) {
            (Some(live), _) => live.line.outcomes.clone(),
            (None, Some(report)) => report.counts.clone(),
            (None, None) => BTreeMap::new(),
        }
    }
}

/// Returns the id of the migration in a run directory.
pub fn id_of(run_directory: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let digest = blake3::hash(run_directory.as_os_str().as_bytes());
    digest.to_hex().as_str()[..ID_DIGITS].to_owned()
}
