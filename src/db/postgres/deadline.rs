//! The time limit of a section: a thread that cancels the running statement when the time has passed or the run is
//! asked to stop.
//!
//! `statement_timeout` applies to each statement, and a section may have many (docs/source-sql.md, "Time limits").

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use postgres::CancelToken;

use super::tls::Connector;
use crate::pipeline::StopToken;

/// A request to cancel that arrives between two statements has no effect, so it is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);
/// The time between two checks of the stop token.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Cancels statements from a point in time on, until it is dropped.
pub struct Deadline {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
    due: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    is_over: Mutex<bool>,
    changed: Condvar,
}

impl Deadline {
    /// Starts to watch a session: its statements are cancelled when `timeout` has passed or `stop` is requested.
    /// Returns `None` if no thread can be started.
    pub fn arm(token: CancelToken, tls: &Connector, timeout: Option<Duration>, stop: &StopToken) -> Option<Self> {
        let due = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let shared = Arc::new(Shared::default());
        let (seen, stop, tls) = (shared.clone(), stop.clone(), tls.clone());
        let watch = move || watch(&seen, due, &stop, || token.cancel_query(tls.make()).is_ok());
        let watcher = Builder::new().name("haul-deadline".into()).spawn(watch).ok()?;
        Some(Self { shared, watcher: Some(watcher), due })
    }

    /// Returns true if the time has passed, whether or not anything was cancelled.
    pub fn is_due(&self) -> bool {
        is_past(self.due)
    }

    /// Stops watching. Returns true if the time has passed. No request to cancel is on its way after this.
    pub fn disarm(mut self) -> bool {
        self.end();
        self.is_due()
    }

    fn end(&mut self) {
        *self.shared.is_over.lock() = true;
        self.shared.changed.notify_all();
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked cancels nothing any more.
            let _ = watcher.join();
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_past(due: Option<Instant>) -> bool {
    due.is_some_and(|due| Instant::now() >= due)
}

fn watch(shared: &Shared, due: Option<Instant>, stop: &StopToken, cancel: impl Fn() -> bool) {
    let mut is_over = shared.is_over.lock();
    while !*is_over {
        if !is_past(due) && !stop.is_requested() {
            let look = Instant::now() + CHECK_INTERVAL;
            shared.changed.wait_until(&mut is_over, due.map_or(look, |due| due.min(look)));
            continue;
        }
        // If the server cannot be reached, the running statement reports that itself.
        let _ = parking_lot::MutexGuard::unlocked(&mut is_over, &cancel);
        if !*is_over {
            shared.changed.wait_for(&mut is_over, REPEAT_INTERVAL);
        }
    }
}
