//! Batches in motion: reader → converters → ordered writer → committer, within one memory budget. Knows no format.

pub mod budget;
mod committer;
pub mod engine;
pub mod event;
mod failure;
pub mod rate;
mod sequence;
pub mod stages;
pub mod stop;

pub use budget::{Admission, Budget, Permit, Waits};
pub use engine::{Control, Ended, Options, run};
pub use event::{Event, Observer, Phase, Silent};
pub use rate::RateLimit;
pub use stages::{Admitted, Commit, Converter, Reader, Writer};
pub use stop::StopToken;
