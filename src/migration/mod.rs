
pub mod checkpoint;
mod error;
mod files;
pub mod finding;
pub mod journal;
#[cfg(test)]
mod memory_disk;
pub mod outcome;
mod run_dir;
pub mod units;

pub use checkpoint::CheckpointFile;
pub use error::{Error, exit};
pub use finding::{Finding, Findings, FindingsLog, Severity};
pub use journal::{Journal, JournalContents, JournalEntry};
pub use outcome::{Counts, Outcome, RefusalReason, SkipReason};
pub use run_dir::RunDirectory;
