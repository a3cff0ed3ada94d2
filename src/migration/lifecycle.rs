//! One life for every migration: the stages it goes through, and the driver that takes it from one to the next.

use serde::Serialize;
use serde_json::json;

use super::{Error, Journal, JournalEntry};

/// How far a migration has come. The order is the order of its life; rolling back ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bincode::Encode, bincode::Decode, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Records are being moved.
    Running,
    /// All records are staged; indexes and digests are to be made.
    Moved,
    /// The target is complete, under its own name, not published.
    Sealed,
    /// The target was read again and found right.
    Verified,
    /// The target is live.
    Published,
    /// The source is live again; the target is still there.
    RolledBack,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Moved => "moved",
            Self::Sealed => "sealed",
            Self::Verified => "verified",
            Self::Published => "published",
            Self::RolledBack => "rolled-back",
        })
    }
}

/// How a step ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next stage is reached, durably.
    Done,
    /// A stop was requested; what is done so far is kept.
    Stopped,
}

/// A migration that a store's room carries out.
pub trait Job {
    /// The stage that is reached, durably.
    fn stage(&self) -> Stage;
    /// Carries out the step to the next stage. When it returns [`Step::Done`], [`Job::stage`] is later than before and
    /// durable. Run again after a crash at any point, it completes.
    fn step(&mut self) -> Result<Step, Error>;
}

/// Takes a job to a stage, or until a stop. Every stage reached is in the journal, and so is every failure.
pub fn advance(job: &mut dyn Job, goal: Stage, journal: &Journal, run_id: &str) -> Result<Step, Error> {
    while job.stage() < goal {
        let from = job.stage();
        let note = |event: &str, detail| journal.append(&JournalEntry::now(run_id, event, detail));
        match job.step() {
            Ok(Step::Done) => {
                assert!(job.stage() > from, "a step that is done has reached a later stage");
                note("stage-reached", json!({ "stage": job.stage() }))?;
            }
            Ok(Step::Stopped) => {
                note("stopped", json!({ "stage": from }))?;
                return Ok(Step::Stopped);
            }
            Err(error) => {
                // The failure itself matters more than a journal that cannot take it, as on a full disk.
                let _ = note("failed", json!({ "stage": from, "error": error.to_string() }));
                return Err(error);
            }
        }
    }
    Ok(Step::Done)
}
