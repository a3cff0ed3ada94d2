//! Stops inside of work that no engine drives.

use crate::migration::Error;
use crate::pipeline::{Ended, StopToken};

/// Fails with [`Error::Stopped`] if a stop is requested.
pub fn check_stop(stop: &StopToken) -> Result<(), Error> {
    if stop.is_requested() { Err(Error::stopped()) } else { Ok(()) }
}

/// Treats a stop inside of an item like one between two items.
pub fn stopped_inside(ended: Result<Ended, Error>) -> Result<Ended, Error> {
    match ended {
        Err(Error::Stopped { .. }) => Ok(Ended::Stopped),
        ended => ended,
    }
}
