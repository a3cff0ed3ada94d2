//! What all migrations share: state of a run, checkpoint, lock, journal, publishing, report, outcomes.

pub mod checkpoint;
mod cleanup;
mod error;
pub mod finding;
mod first_findings;
pub mod journal;
pub mod lifecycle;
mod locked_run;
pub mod outcome;
mod path_text;
pub mod plan;
pub mod pointer;
mod redact;
pub mod report;
mod resume_point;
mod run_dir;
mod sort_directory;
mod subset;
#[cfg(test)]
mod test_disk;
pub mod units;

pub use checkpoint::CheckpointFile;
pub use cleanup::{CleanItem, CleanList, LastRun, Worth, clean_up};
pub use error::{Error, exit};
pub use finding::{Finding, Findings, FindingsLog, Severity};
pub use first_findings::{FINDINGS_KEPT_MAX, FirstFindings};
pub use journal::{Journal, JournalContents, JournalEntry, now_text};
pub use lifecycle::{Job, Stage, Step, advance};
pub use locked_run::{HeldRun, cannot_be_written};
pub use outcome::OutcomeCounts;
pub use path_text::serialize_path;
pub use plan::{PlannedFile, free_space_check, nearest_directory, plan_digest};
pub use redact::redacted;
pub use report::{FindingsCount, Report, SourceBytes, render_text, report_says, write_report};
pub use resume_point::Place;
pub use run_dir::{RunDirectory, owner_text};
pub use sort_directory::SortSpace;
pub use subset::Subset;
