//! Batches in motion: reader → converters → ordered writer → committer, within one memory budget. Knows no format.

pub mod budget;
pub mod buffer_pool;
mod committer;
pub mod engine;
pub mod event;
mod failure;
mod merge;
pub mod rate;
mod run_file;
mod sequence;
pub mod sorted_runs;
pub mod stages;
pub mod stop;

pub use budget::{Admission, Budget, Permit, Waits};
pub use engine::{Control, Ended, Options, run};
pub use event::{Event, Observer, Phase, Silent};
pub use merge::Merged;
pub use rate::RateLimit;
pub use run_file::remove_run_files;
pub use sorted_runs::SortedRuns;
pub use stages::{Admitted, Commit, Converter, NothingToCommit, Reader, Writer};
pub use stop::StopToken;
