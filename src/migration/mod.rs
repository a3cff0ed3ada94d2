//! What all migrations share: state of a run, checkpoint, lock, journal, publishing, report, outcomes.

mod error;

pub use error::{Error, exit};
