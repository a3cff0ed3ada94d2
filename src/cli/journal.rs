//! The journal of a run as people read it.

use crate::migration::JournalEntry;

/// `2026-11-21T01:18:00.000Z stage-reached published`
pub fn journal_text(entry: &JournalEntry) -> String {
    let stage = entry.detail.get("stage").and_then(|stage| stage.as_str()).unwrap_or_default();
    format!("{} {} {stage}", entry.at, entry.event).trim_end().to_owned()
}
