//! The days after an upgrade in which it is watched and can be rolled back without more ado.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::durable::Disk;
use crate::migration::{Error, RunDirectory, journal};

/// When the window began and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// When the databases were switched.
    pub began_at: Timestamp,
    /// When the window closes.
    pub ends_at: Timestamp,
}

impl Window {
    /// Returns the window of so many days from the switch on.
    pub fn of(published_at: Timestamp, days: u32) -> Self {
        let length = SignedDuration::from_hours(24 * i64::from(days));
        Self { began_at: published_at, ends_at: published_at.checked_add(length).unwrap_or(Timestamp::MAX) }
    }

    /// Returns true if the window has closed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }
}

/// Returns when a run has switched the databases, as its journal tells; `None` if it has not.
pub fn published_at(disk: &dyn Disk, directory: &RunDirectory, run_id: &str) -> Result<Option<Timestamp>, Error> {
    let entries = journal::read(disk, directory.path())?.entries;
    let is_switch = |entry: &&journal::JournalEntry| {
        entry.run_id == run_id && entry.event == "stage-reached" && entry.detail["stage"] == "published"
    };
    Ok(entries.iter().rev().find(is_switch).and_then(|entry| entry.at.parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::durable::{RealDisk, create_directory_durable};
    use crate::migration::{Journal, JournalEntry};

    #[test]
    fn the_window_begins_with_the_switch_of_the_run() {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(directory.path().join("migration"));
        create_directory_durable(&RealDisk, run.path()).unwrap();
        let log = Journal::open(std::sync::Arc::new(RealDisk), run.path()).unwrap();
        for (run_id, stage) in [("r1", "published"), ("r2", "sealed")] {
            log.append(&JournalEntry::now(run_id, "stage-reached", json!({ "stage": stage }))).unwrap();
        }
        assert!(published_at(&RealDisk, &run, "r1").unwrap().is_some());
        assert_eq!(published_at(&RealDisk, &run, "r2").unwrap(), None);
    }

    #[test]
    fn it_closes_after_its_days() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = Window::of(at("2026-01-01T00:00:00Z"), 7);
        assert!(!window.is_over(at("2026-01-07T23:59:59Z")) && window.is_over(at("2026-01-08T00:00:00Z")));
    }
}
