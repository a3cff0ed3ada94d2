//! Batches in motion: reader → converters → ordered writer → committer, within one memory budget. Knows no format.

pub mod budget;
pub mod buffer_pool;
mod committer;
pub mod control;
pub mod engine;
pub mod event;
mod failure;
mod merge;
mod pass;
pub mod rate;
mod run_file;
mod sequence;
pub mod sorted_runs;
pub mod stages;
pub mod stop;
pub mod tally;
mod threads;

pub use budget::{Admission, Budget, Permit, Waits};
pub use buffer_pool::{Buffer, BufferPool};
pub use control::{Control, Ended, Expected, Options};
pub use engine::{run, run_placing};
pub use event::{Counted, EngineStage, Event, ForecastFigures, Observer, Phase, RunStart, Silent, Wait};
pub use merge::Merged;
pub use pass::pass;
pub use rate::{RateLimit, burst_records};
pub use run_file::remove_run_files;
pub use sorted_runs::SortedRuns;
pub use stages::{Admitted, Commit, Converter, Placing, Reader, Writer};
pub use stop::StopToken;
pub use tally::Tally;
pub use threads::{NoThread, sort_in_parallel, start_thread, thread_pool};
