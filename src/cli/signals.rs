//! SIGINT and SIGTERM: the first asks for a stop, the second ends the process.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::observe::Console;
use crate::pipeline::StopToken;

/// Added to the number of the signal that ended a process, by convention of shells.
const SIGNAL_EXIT_BASE: i32 = 128;

/// Turns signals into a request to stop until it is dropped.
pub struct StopOnSignal {
    handle: Handle,
    listener: Option<JoinHandle<()>>,
}

impl StopOnSignal {
    /// Starts to listen.
    pub fn install(stop: StopToken, console: Arc<Console>) -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
        let handle = signals.handle();
        let listen = move || {
            for signal in signals.forever() {
                if stop.is_requested() {
                    // Without unwinding: the run may be stuck in the very code that would unwind, and its state on disk
                    // is as safe as after a kill.
                    signal_hook::low_level::exit(SIGNAL_EXIT_BASE + signal);
                }
                stop.request();
                console.line("stopping at the next batch; again to end at once");
            }
        };
        let listener = Builder::new().name("haul-signals".into()).spawn(listen).context("cannot listen for signals")?;
        Ok(Self { handle, listener: Some(listener) })
    }
}

impl Drop for StopOnSignal {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
