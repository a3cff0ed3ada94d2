//! Rows of the ledger and of the log.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::db::script::Direction;
use crate::db::version::Version;
use crate::migration::now_text;

/// A row of the ledger: an applied migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedRow {
    /// The position in the order of application.
    #[serde(skip)]
    pub position: i64,
    /// The version.
    pub version: Version,
    /// The label at the time of application.
    pub name: String,
    /// The checksum of the text at that time, 64 hex digits.
    pub checksum: String,
    /// The time of application, RFC 3339 in UTC.
    pub applied_at: String,
    /// The duration.
    pub duration_ms: i64,
    /// The user, process and host that applied it.
    pub applied_by: String,
    /// The version of haul that applied it.
    pub haul_version: String,
}

/// The event that a log row records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An attempt started. Without a later row, it did not end.
    Started,
    /// A section without a transaction reached a statement. The statements before it are done.
    Running,
    /// The migration was applied.
    Applied,
    /// The migration was rolled back.
    Reverted,
    /// The attempt was asked to stop: between two pages of a batch, or before `statement` of a section without a
    /// transaction. Any other section was rolled back.
    Stopped,
    /// The attempt failed. A section without a transaction continues at `statement`; any other section was rolled back.
    Failed,
    /// An operator recorded the state of a section without a transaction.
    Settled,
    /// The migration was marked as applied without running.
    Baseline,
    /// The checksum in the ledger was replaced.
    Repaired,
    /// The ledger row was removed without running anything.
    Forgotten,
    /// A hook failed. `name` is the migration it was about, or when it ran.
    HookFailed,
    /// A run that held the lock was ended.
    Unlocked,
    /// A backup was made. `name` is its file, `checksum` its BLAKE3-256 digest.
    BackedUp,
    /// A backup was removed. `name` is its file.
    BackupRemoved,
    /// Old rows of the log were removed.
    LogCleaned,
    /// A squashed file took the place of applied migrations in the ledger.
    Squashed,
    /// What the server said during an attempt, a line for each notice in `error`. The direction is `-`.
    Noticed,
}

const OUTCOMES: [(Outcome, &str); 17] = [
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
    (Outcome::HookFailed, "hook_failed"),
    (Outcome::Unlocked, "unlocked"),
    (Outcome::BackedUp, "backed_up"),
    (Outcome::BackupRemoved, "backup_removed"),
    (Outcome::LogCleaned, "log_cleaned"),
    (Outcome::Squashed, "squashed"),
    (Outcome::Noticed, "noticed"),
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

/// A row to append to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The row that started the attempt; `None` for a row that starts one.
    pub attempt: Option<i64>,
    /// The version of the migration; empty if the event is about none.
    pub version: String,
    /// The label of the migration.
    pub name: String,
    /// The section; `None` if the event is about none.
    pub direction: Option<Direction>,
    /// The event.
    pub outcome: Outcome,
    /// The start.
    pub started_at: String,
    /// The end.
    pub finished_at: Option<String>,
    /// The duration.
    pub duration_ms: Option<i64>,
    /// The statement that was reached, from 1.
    pub statement: Option<i64>,
    /// The checksum of the file, or of the statements before `statement`.
    pub checksum: Option<String>,
    /// The error, notices, or a description of the change.
    pub error: Option<String>,
}

impl LogEntry {
    /// Returns the row of an event that is about no migration, which began at `started_at` and ends now.
    pub fn of_database(outcome: Outcome, started_at: String) -> Self {
        Self {
            attempt: None,
            version: String::new(),
            name: String::new(),
            direction: None,
            outcome,
            started_at,
            finished_at: Some(now_text()),
            duration_ms: None,
            statement: None,
            checksum: None,
            error: None,
        }
    }
}

/// A row of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogRow {
    /// The position in the order of events.
    pub id: i64,
    /// The row that started the attempt.
    pub attempt: i64,
    /// The version of the migration; empty if the event is about none.
    pub version: String,
    /// The label of the migration.
    pub name: String,
    /// `up`, `down` or `-`.
    pub direction: String,
    /// The event, by its name in [`Outcome`]; later versions of haul may add names.
    pub outcome: String,
    /// The start.
    pub started_at: String,
    /// The end.
    pub finished_at: Option<String>,
    /// The duration.
    pub duration_ms: Option<i64>,
    /// The statement that was reached, from 1.
    pub statement: Option<i64>,
    /// The checksum of the file, or of the statements before `statement`.
    pub checksum: Option<String>,
    /// The error, or a description of the change.
    pub error: Option<String>,
    /// The user, process and host that wrote the row.
    pub owner: String,
    /// The version of haul that wrote the row.
    pub haul_version: String,
}

impl LogRow {
    /// Returns the event, if this version of haul knows it.
    pub fn known_outcome(&self) -> Option<Outcome> {
        self.outcome.parse().ok()
    }
}

/// Returns the name of a section in the log.
pub(super) fn direction_text(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Up) => "up",
        Some(Direction::Down) => "down",
        None => "-",
    }
}
