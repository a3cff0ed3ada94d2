//! The wait for a server, which a signal ends.

use std::time::Instant;

use crate::cli::signals::StopOnSignal;
use crate::db::Target;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Waits until the server answers, and with `to_write` until it may be written to, at the longest until `deadline`.
pub fn wait_for_server(target: &Target, deadline: Instant, to_write: bool) -> Result<(), Error> {
    let stop = StopToken::new();
    let _signals = StopOnSignal::install(stop.clone())?;
    target.wait_for_server(deadline, to_write, &stop)
}
