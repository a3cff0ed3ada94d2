//! SIGINT, SIGTERM and SIGHUP: the first asks for a stop, the second ends the process.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::durable::count_from_now_on;
use crate::migration::Error;
use crate::observe::Console;
use crate::pipeline::{NoThread, StopToken};

/// Name of the thread that listens.
const NAME: &str = "haul-signals";
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
        // `nohup` starts a process that ignores the end of its terminal, which must stay so.
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        let mut signals =
            Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup)).context("cannot listen for signals")?;
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
        // Test builds check from here on that no loop works for long without looking.
        if std::env::var_os("HAUL_COUNT_WORK").is_some() {
            count_from_now_on();
        }
        let listener = Builder::new().name(NAME.into()).spawn(listen);
        let listener = listener.map_err(|source| Error::from(NoThread { name: NAME, source }))?;
        Ok(Self { handle, listener: Some(listener) })
    }
}

/// Returns true if the process was started with this signal ignored, as the kernel tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Drop for StopOnSignal {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
