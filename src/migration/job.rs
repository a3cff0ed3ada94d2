//! The driver of jobs that are not yet a [`Migration`](super::Migration).

use serde_json::json;

use super::{Error, Journal, JournalEntry, Stage};

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
