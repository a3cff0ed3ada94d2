//! The time limit of a section: a thread that cancels the running statement when the time has passed or the run is
//! asked to stop. A session has one such thread for all of its sections, because waiting for the end of one takes as long
//! as a statement.
//!
//! `statement_timeout` applies to each statement, and a section may have many (docs/source-sql.md, "Time limits").

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use postgres::{CancelToken, NoTls};

use super::tls::Connector;
use crate::pipeline::StopToken;

/// A request to cancel that arrives between two statements has no effect, so it is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);
/// The time between two checks of the stop token.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Cancels statements of a session while a section is armed, from a point in time on.
pub struct Deadline {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    section: Option<Section>,
    /// True while a request to cancel is on its way.
    is_cancelling: bool,
    is_over: bool,
}

/// A section that is armed.
struct Section {
    due: Option<Instant>,
    stop: StopToken,
    /// When the next request to cancel may be made.
    next_request: Instant,
}

impl Section {
    fn is_to_end(&self) -> bool {
        is_past(self.due) || self.stop.is_requested()
    }
}

impl Deadline {
    /// Starts to watch a session. Requests to cancel are encrypted by `tls`. Returns `None` if no thread can be started.
    pub fn of(token: CancelToken, tls: Option<Connector>) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let cancel = move || match &tls {
            Some(tls) => token.cancel_query(tls.make()),
            None => token.cancel_query(NoTls),
        };
        let watch = move || watch(&seen, || cancel().is_ok());
        let watcher = Builder::new().name("haul-deadline".into()).spawn(watch).ok()?;
        Some(Self { shared, watcher: Some(watcher) })
    }

    /// Begins a section: its statements are cancelled when `timeout` has passed or `stop` is requested.
    pub fn arm(&self, timeout: Option<Duration>, stop: &StopToken) {
        let now = Instant::now();
        let due = timeout.and_then(|timeout| now.checked_add(timeout));
        self.shared.state.lock().section = Some(Section { due, stop: stop.clone(), next_request: now });
        // The thread looks soon by itself. Waking it for each section would take longer than small sections do.
        if due.is_some_and(|due| due < now + CHECK_INTERVAL) {
            self.shared.changed.notify_all();
        }
    }

    /// Returns true if a section is armed and its time has passed, whether or not anything was cancelled.
    pub fn is_due(&self) -> bool {
        self.shared.state.lock().section.as_ref().is_some_and(|section| is_past(section.due))
    }

    /// Ends the section. Returns true if one was armed and its time has passed. No request to cancel is on its way after
    /// this.
    pub fn disarm(&self) -> bool {
        let mut state = self.shared.state.lock();
        let section = state.section.take();
        while state.is_cancelling {
            self.shared.changed.wait(&mut state);
        }
        section.is_some_and(|section| is_past(section.due))
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_all();
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked cancels nothing any more.
            let _ = watcher.join();
        }
    }
}

fn is_past(due: Option<Instant>) -> bool {
    due.is_some_and(|due| Instant::now() >= due)
}

fn watch(shared: &Shared, cancel: impl Fn() -> bool) {
    let mut state = shared.state.lock();
    while !state.is_over {
        let now = Instant::now();
        let look = now + CHECK_INTERVAL;
        let until = match &state.section {
            Some(section) if section.is_to_end() => section.next_request,
            Some(section) => section.due.map_or(look, |due| due.min(look)),
            None => look,
        };
        if until > now {
            shared.changed.wait_until(&mut state, until);
            continue;
        }
        if !state.section.as_ref().is_some_and(Section::is_to_end) {
            continue;
        }
        state.is_cancelling = true;
        // If the server cannot be reached, the running statement reports that itself.
        let _ = MutexGuard::unlocked(&mut state, &cancel);
        state.is_cancelling = false;
        if let Some(section) = &mut state.section {
            section.next_request = Instant::now() + REPEAT_INTERVAL;
        }
        shared.changed.notify_all();
    }
}
