//! Stops inside of a loop that no engine drives.

use crate::migration::Error;
use crate::pipeline::{Ended, StopToken};

/// Fails with [`Error::Stopped`] if a stop is requested.
pub fn check_stop(stop: &StopToken) -> Result<(), Error> {
    match stop.is_requested() {
        true => Err(Error::Stopped { next: "run the same command again".into() }),
        false => Ok(()),
    }
}

/// Converts the error of a loop that was stopped.
pub fn stopped_inside(result: Result<Ended, Error>) -> Result<Ended, Error> {
    match result {
        Err(Error::Stopped { .. }) => Ok(Ended::Stopped),
        result => result,
    }
}
