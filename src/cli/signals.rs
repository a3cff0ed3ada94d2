//! Signals, for every command from its first moment on. SIGINT, SIGTERM and SIGHUP: the first asks for a stop, the second ends
//! the process. While nobody listens for a stop, the first one does. SIGUSR1 asks for a line about what is done.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::Builder;

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, exit};

use crate::durable::count_from_now_on;
use crate::migration::Error;
use crate::observe::{Console, say_status};
use crate::pipeline::{NoThread, StopToken};

/// Name of the thread that listens.
const NAME: &str = "haul-signals";
/// Added to the number of the signal that ended a process, by convention of shells.
const SIGNAL_EXIT_BASE: i32 = 128;

/// Turns signals into a request to stop until it is dropped.
pub struct StopOnSignal {
    /// Who was asked before.
    earlier: Option<StopToken>,
}

/// Who is asked to stop. The one listener of this process listens to its end, because a signal that was once listened for
/// has no effect of its own any more.
static ASKED: Mutex<Option<StopToken>> = Mutex::new(None);
static IS_LISTENING: AtomicBool = AtomicBool::new(false);

/// Starts to listen. If that fails, the first command that must be able to stop says so.
pub fn listen_from_now_on() {
    let _ = start();
}

impl StopOnSignal {
    /// Has the stop requested from now on.
    pub fn install(stop: StopToken) -> Result<Self, Error> {
        // Test builds check from here on that no loop works for long without looking.
        if std::env::var_os("HAUL_COUNT_WORK").is_some() {
            count_from_now_on();
        }
        start()?;
        Ok(Self { earlier: ASKED.lock().replace(stop) })
    }
}

impl Drop for StopOnSignal {
    fn drop(&mut self) {
        *ASKED.lock() = self.earlier.take();
    }
}

/// Starts the listener, once.
fn start() -> Result<(), Error> {
    if IS_LISTENING.load(Relaxed) {
        return Ok(());
    }
    // `nohup` starts a process that ignores the end of its terminal, which must stay so.
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let no_thread = |source| Error::from(NoThread { name: NAME, source });
    let signals = Signals::new([SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hangup));
    let mut signals = signals.map_err(|error| Error::Program {
        what: format!("cannot listen for signals: {error}"),
        next: "raise the limit of open files (ulimit -n), then run the same command again".into(),
        temporary: false,
    })?;
    let listen = move || signals.forever().for_each(receive);
    Builder::new().name(NAME.into()).spawn(listen).map_err(no_thread)?;
    IS_LISTENING.store(true, Relaxed);
    Ok(())
}

fn receive(signal: i32) {
    if signal == SIGUSR1 {
        return say_status(&Console::new());
    }
    let asked = ASKED.lock().clone();
    match asked {
        None => {
            // It returns for signals that end no process, and there are none of these here.
            let _ = emulate_default_handler(signal);
        }
        // Without unwinding: the run may be stuck in the very code that would unwind, and its state on disk is as safe as
        // after a kill.
        Some(stop) if stop.is_requested() => exit(SIGNAL_EXIT_BASE + signal),
        Some(stop) => {
            stop.request();
            Console::new().line("stopping at the next batch; again to end at once");
        }
    }
}

/// Returns true if the process was started with this signal ignored, as the kernel tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
