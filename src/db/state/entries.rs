//! Rows of the ledger and of the log.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::db::script::Direction;
use crate::db::version::Version;

/// A migration that is applied, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedRow {
    /// Its place in the order of application.
    #[serde(skip)]
    pub position: i64,
    /// Its version.
    pub version: Version,
    /// Its name at that time.
    pub name: String,
    /// The checksum of its text at that time, 64 hex digits.
    pub checksum: String,
    /// When, as RFC 3339 in UTC.
    pub applied_at: String,
    /// How long it took.
    pub duration_ms: i64,
    /// Who ran it.
    pub applied_by: String,
    /// What it was run with.
    pub haul_version: String,
}

/// What a row of the log says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An attempt began. Without a later row it did not end.
    Started,
    /// A section without a transaction reached a statement. Those before it are done.
    Running,
    /// The migration is applied.
    Applied,
    /// The migration is taken back.
    Reverted,
    /// The attempt was asked to stop: between two pages of a batch, or before `statement` of a section without a
    /// transaction. Of another section nothing stayed.
    Stopped,
    /// The attempt failed. `statement` is where a section without a transaction goes on; else nothing of it stayed.
    Failed,
    /// An operator said how a section without a transaction stands.
    Settled,
    /// The migration was declared applied without being run.
    Baseline,
    /// The checksum in the ledger was changed.
    Repaired,
    /// The row in the ledger was removed without anything being run.
    Forgotten,
    /// A run that held the lock was ended.
    Unlocked,
    /// A backup was made. `name` is its file, `checksum` the BLAKE3-256 of it.
    BackedUp,
}

const OUTCOMES: [(Outcome, &str); 12] = [
    (Outcome::Started, "started"),
    (Outcome::Running, "running"),
    (Outcome::Applied, "applied"),
    (Outcome::Reverted, "reverted"),
    (Outcome::Stopped, "stopped"),
    (Outcome::Failed, "failed"),
    (Outcome::Settled, "settled"),
    (Outcome::Baseline, "baseline"),
    (Outcome::Repaired, "repaired"),
    (Outcome::Forgotten, "forgotten"),
    (Outcome::Unlocked, "unlocked"),
    (Outcome::BackedUp, "backed_up"),
];

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OUTCOMES.iter().find(|(outcome, _)| outcome == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        OUTCOMES.iter().find(|(_, name)| *name == text).map(|(outcome, _)| *outcome).ok_or(())
    }
}

/// A row that is to be added to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The row that began the attempt; `None` for a row that begins one.
    pub attempt: Option<i64>,
    /// The migration's version; empty where none is meant.
    pub version: String,
    /// The migration's label.
    pub name: String,
    /// Which section; `None` where none is meant.
    pub direction: Option<Direction>,
    /// What happened.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// The statement that was reached, from 1.
    pub statement: Option<i64>,
    /// Of the file, or of the statements before `statement`.
    pub checksum: Option<String>,
    /// What went wrong, or what was changed.
    pub error: Option<String>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogRow {
    /// Its place in the order of events.
    pub id: i64,
    /// The row that began the attempt.
    pub attempt: i64,
    /// The migration's version; empty where none is meant.
    pub version: String,
    /// The migration's label.
    pub name: String,
    /// `up`, `down` or `-`.
    pub direction: String,
    /// What happened, as [`Outcome`] names it; a later version of haul may have more names.
    pub outcome: String,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// The statement that was reached, from 1.
    pub statement: Option<i64>,
    /// Of the file, or of the statements before `statement`.
    pub checksum: Option<String>,
    /// What went wrong, or what was changed.
    pub error: Option<String>,
    /// Who did it.
    pub owner: String,
    /// With what.
    pub haul_version: String,
}

impl LogRow {
    /// What happened, if this version of haul knows it.
    pub fn known_outcome(&self) -> Option<Outcome> {
        self.outcome.parse().ok()
    }
}

/// How the log names a section.
pub(super) fn direction_text(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Up) => "up",
        Some(Direction::Down) => "down",
        None => "-",
    }
}
