//! When a run has last reached its goal, as the journal of its directory says. So a new process knows it as well.

use std::path::Path;

use super::run::seconds;
use crate::durable::Disk;
use crate::migration::{JournalEntry, Stage, journal};

/// Returns when a run of this directory was last published, in seconds since 1970. `None` if that never was, or if the
/// journal cannot be read.
pub fn last_success(disk: &dyn Disk, directory: &Path) -> Option<f64> {
    let entries = journal::read(disk, directory).ok()?.entries;
    let is_success =
        |entry: &&JournalEntry| entry.event == "stage-reached" && entry.detail["stage"] == Stage::Published.to_string();
    entries.iter().rev().find(is_success).and_then(|entry| seconds(&entry.at))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::durable::SimulatedDisk;
    use crate::migration::Journal;

    #[test]
    fn the_last_publication_counts() {
        let directory = Path::new("/run");
        let disk = SimulatedDisk::with_directories(&[directory]);
        assert_eq!(last_success(&disk, directory), None);
        let journal = Journal::open(Arc::new(disk.clone()), directory).unwrap();
        let note = |at: &str, event: &str, stage: &str| {
            let entry = JournalEntry { at: at.into(), ..JournalEntry::now("r", event, json!({ "stage": stage })) };
            journal.append(&entry).unwrap();
        };
        note("2026-01-01T00:00:00Z", "stage-reached", "published");
        note("2026-01-02T00:00:00Z", "stage-reached", "published");
        note("2026-01-03T00:00:00Z", "stage-reached", "sealed");
        note("2026-01-04T00:00:00Z", "started", "published");
        assert_eq!(last_success(&disk, directory), Some(1_767_312_000.0));
    }
}
