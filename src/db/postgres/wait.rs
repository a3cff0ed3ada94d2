//! Waits for a server that is about to start, or to become a primary.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use super::address::Address;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::migration::Error;
use crate::pipeline::{NoThread, StopToken};

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Name of the thread that connects.
const NAME: &str = "haul-connects";

/// Waits until a server of the address answers as it is wanted, at the longest until `deadline`. What time does not heal is
/// left to the connection that follows.
///
/// # Errors
/// That of the last attempt; [`Error::Stopped`] if a stop was requested.
pub fn wait_for_server(address: &Address, deadline: Instant, to_write: bool, stop: &StopToken) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let Err(error) = answer(address, to_write, stop)? else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        if error.kind != EngineErrorKind::Disconnected {
            return Ok(());
        }
        if left.is_zero() {
            let message = format!("{}, after a wait of {} s", error.message, started.elapsed().as_secs());
            return Err(EngineError { message, ..error }.at(address.place()));
        }
        sleep(POLL_INTERVAL.min(left));
    }
}

/// Tries to connect. A host that answers nothing keeps an attempt for long, so this one is left behind at a stop.
fn answer(address: &Address, to_write: bool, stop: &StopToken) -> Result<Result<(), EngineError>, Error> {
    let (sender, receiver) = sync_channel(1);
    let address = address.clone();
    let connect = move || {
        // Nobody waits for it after a stop.
        let _ = sender.send(address.answers(to_write));
    };
    Builder::new().name(NAME.into()).spawn(connect).map_err(|source| NoThread { name: NAME, source })?;
    loop {
        if stop.is_requested() {
            return Err(Error::stopped());
        }
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) => {}
            // The thread has ended without an answer, which the connection that follows shows.
            Err(RecvTimeoutError::Disconnected) => return Ok(Ok(())),
        }
    }
}
