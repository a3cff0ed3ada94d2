//! What a migration does, or how it ended: the same words in lists, documents and metrics.

use serde::Serialize;

/// What a migration does, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    /// A process holds its lock.
    Running,
    /// It was asked to stop; the same command continues it.
    Stopped,
    /// Its process ended without a word; the same command continues it.
    Killed,
    /// It ended with an error.
    Failed,
    /// It ended where it was to end, which is not the publication.
    Finished,
    /// Its target is live.
    Published,
    /// Its source is live again.
    RolledBack,
    /// Its state is damaged, or a newer haul has written it.
    Unreadable,
}

impl MigrationState {
    /// All of them, those first that somebody should look at.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Unreadable,
        Self::Killed,
        Self::Failed,
        Self::Stopped,
        Self::Finished,
        Self::Published,
        Self::RolledBack,
    ];

    /// Those that metrics show, in their order: what cannot be read is in no state.
    pub const IN_METRICS: [Self; 7] =
        [Self::Running, Self::Stopped, Self::Killed, Self::Failed, Self::Published, Self::Finished, Self::RolledBack];

    /// Returns its name in documents, addresses and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Published => "published",
            Self::RolledBack => "rolled_back",
            Self::Unreadable => "unreadable",
        }
    }

    /// Returns what people read.
    pub fn text(self) -> &'static str {
        match self {
            Self::Killed => "killed, resumable",
            Self::Stopped => "stopped, resumable",
            Self::RolledBack => "rolled back",
            other => other.name(),
        }
    }

    /// Returns the state of a run that ended, from the outcome that its last event and its report name.
    pub fn of_outcome(outcome: &str) -> Self {
        match outcome {
            "stopped" => Self::Stopped,
            "killed" => Self::Killed,
            "published" => Self::Published,
            "rolled-back" | "rolled back" | "rolled_back" => Self::RolledBack,
            // A report says why: `failed: findings`.
            failed if failed.starts_with("failed") => Self::Failed,
            _ => Self::Finished,
        }
    }

    /// Returns true if the run reached its goal.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Published | Self::Finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_whatever_its_reason() {
        let states = ["failed", "failed: findings", "published", "sealed"].map(MigrationState::of_outcome);
        use MigrationState::{Failed, Finished, Published};
        assert_eq!(states, [Failed, Failed, Published, Finished]);
        assert_eq!(states.map(MigrationState::is_success), [false, false, true, true]);
    }
}
