//! What all migrations share: state of a run, checkpoint, lock, journal, publishing, report, outcomes.

pub mod checkpoint;
mod clean_up;
mod error;
pub mod finding;
mod first_findings;
mod held_run;
pub mod journal;
pub mod lifecycle;
pub mod outcome;
mod path_text;
mod place;
pub mod plan;
pub mod pointer;
mod redact;
pub mod report;
mod run_dir;
mod sort_space;
mod subset;
#[cfg(test)]
mod test_disk;
pub mod units;

pub use checkpoint::CheckpointFile;
pub use clean_up::{CleanItem, CleanList, LastRun, Worth, clean_up};
pub use error::{Error, exit};
pub use finding::{Finding, Findings, FindingsLog, Severity};
pub use first_findings::{FINDINGS_KEPT_MAX, FirstFindings};
pub use held_run::{HeldRun, cannot_be_written};
pub use journal::{Journal, JournalContents, JournalEntry, now_text};
pub use lifecycle::{Job, Stage, Step, advance};
pub use outcome::OutcomeCounts;
pub use path_text::serialize_path;
pub use place::Place;
pub use plan::{PlannedFile, free_space_check, nearest_directory, plan_digest};
pub use redact::redacted;
pub use report::{FindingsCount, Report, SourceBytes, render_text, report_says, write_report};
pub use run_dir::{RunDirectory, owner_text};
pub use sort_space::SortSpace;
pub use subset::Subset;
