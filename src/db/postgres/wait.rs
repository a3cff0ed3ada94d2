//! Waits for a server that is about to start, or to become a primary.

use std::thread;
use std::time::{Duration, Instant};

use super::address::Address;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::migration::Error;

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until a server of the address answers as it is wanted, at the longest until `deadline`. What time does not heal is
/// left to the connection that follows.
pub fn wait_for_server(address: &Address, deadline: Instant, to_write: bool) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let Err(error) = address.answers(to_write) else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if error.kind != EngineErrorKind::Disconnected {
            return Ok(());
        }
        if left.is_zero() {
            let message = format!("{}, after a wait of {} s", error.message, started.elapsed().as_secs());
            return Err(EngineError { message, ..error }.at(address.place()));
        }
        thread::sleep(POLL_INTERVAL.min(left));
    }
}
