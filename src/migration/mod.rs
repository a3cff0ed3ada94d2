//! What all migrations share: one life cycle, the state of a run, its lock, journal, report and outcomes.

pub mod checkpoint;
mod cleanup;
pub mod clock;
mod context;
mod error;
pub mod finding;
mod first_findings;
pub mod forecast;
pub mod journal;
pub mod lifecycle;
pub mod outcome;
pub mod plan;
pub mod pointer;
mod preflight;
pub mod probe;
mod redact;
pub mod report;
mod resume_point;
pub mod run;
pub mod session;
mod sort_directory;
mod stage;
mod subset;
#[cfg(test)]
pub(crate) mod test_disk;
mod text;
pub mod units;
mod watch;

pub use checkpoint::CheckpointFile;
pub use cleanup::{
    CleanItem, CleanList, Cleaned, LastRun, LeftBehind, RemovalCost, SCRATCH_MARK, clean_up, remove_scratch, retire,
};
pub use context::Context;
pub use error::{Error, ErrorKind, exit};
pub use finding::{Finding, Findings, FindingsLog, Severity};
pub use first_findings::{FINDINGS_KEPT_MAX, FirstFindings};
pub use journal::{Journal, JournalContents, JournalEntry, now_text};
pub use lifecycle::{Check, Migration, Places, RunPlan, Standing, Step, Summary};
pub use outcome::OutcomeCounts;
pub use plan::{PlannedFile, free_space_check, nearest_directory, plan_digest};
pub use preflight::rehearse;
pub use redact::redacted;
pub use report::{FindingsCount, Report, SourceBytes, counted, is_whole_report, report_says, write_report};
pub use resume_point::ResumePoint;
pub use run::directory::{DIRECTORY_LOCK, EphemeralLock, RunDirectory, owner_text};
pub use run::directory_locks::{DirectoryLocks, StoreLock, check_free, remove_leftovers};
pub use run::entries::is_temporary_of_run;
pub use run::expectation::settings_text;
pub use run::locked::{LockedRun, cannot_be_written};
pub use run::lost_files::LostFile;
pub use run::options::{RunOptions, Start};
pub use run::state::{Durability, Rules, RunHead, RunState};
pub use run::status::{RunStanding, RunStatus};
pub use run::stop::{check_stop, stopped_inside};
pub use run::wait::wait_for_lock;
pub use session::{Finished, MigrationEnd, Session};
pub use sort_directory::SortDirectory;
pub use stage::Stage;
pub use subset::{Sample, Sampled, Sampling, Subset};
pub use text::{escaped, escaped_json, serialize_path, shell_word, unescaped};
pub use watch::AttemptWatch;
