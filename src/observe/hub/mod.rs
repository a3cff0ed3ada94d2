//! The observer of a run. It adds up what it hears and passes on what is rare, without ever waiting; one thread makes
//! everything from that which shows the run: bar, lines, objects, `live.json`.
//!
//! Others that show a run, such as metrics, read [`Latest`], which the same thread renews once a second and at the end of
//! each run. The caller of the work keeps it over several runs.

mod current;
mod shared;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::{Mutex, RwLock};

pub(super) use self::current::Current;
pub(super) use self::shared::Shared;
pub use self::shared::{HubOptions, Latest, Seen, Subject};
use super::console::{Console, Watched};
use super::message::Message;
use super::view::ViewKind;
use super::watcher::Watcher;
use crate::pipeline::{Event, Observer};

/// Name of the thread that shows the run.
const NAME: &str = "haul-watch";
/// What waits to be shown, at most.
const MESSAGES_MAX: usize = 1024;
/// How long the end of the work waits for what is not shown yet.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The one observer of a run. It is gone from the screen when this drops.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    console: Console,
    /// Closed by the thread when it has shown everything.
    shown: Receiver<()>,
    watched: Option<Watched>,
}

/// The hubs of this process that are at work, for signals.
static AT_WORK: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Writes one line about what this process does now, and nothing else.
pub fn say_status(console: &Console) {
    let hub = AT_WORK.lock().last().cloned();
    match hub {
        // The queue is full only if many have asked before.
        Some(shared) => drop(shared.told.try_send(Message::Status)),
        None => console.line("nothing is running"),
    }
}

impl Hub {
    /// Begins to watch.
    pub fn start(console: Console, options: HubOptions) -> Self {
        let (told, heard) = bounded(MESSAGES_MAX);
        let takes_all = options.view == ViewKind::Events;
        let shared = Arc::new(Shared {
            current: RwLock::new(Arc::new(Current::new(None))),
            told,
            dropped: AtomicU64::new(0),
            takes_all,
            directories: Mutex::default(),
        });
        let (done, shown) = bounded(1);
        let mut watcher = Watcher::new(shared.clone(), console.clone(), options);
        // Without the thread the run is not shown, and goes on.
        let _ = Builder::new().name(NAME.into()).spawn(move || {
            watcher.watch(&heard);
            drop(done);
        });
        AT_WORK.lock().push(shared.clone());
        let watched = Some(console.watched());
        Self { shared, console, shown, watched }
    }

    /// Ends the watch, and returns the directories of the runs that it has seen.
    pub fn end(self) -> BTreeSet<PathBuf> {
        let shared = self.shared.clone();
        drop(self);
        std::mem::take(&mut *shared.directories.lock())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        AT_WORK.lock().retain(|shared| !Arc::ptr_eq(shared, &self.shared));
        // The thread takes no time over anything, so there is room soon. It is left behind if it hangs on a disk.
        if self.shared.told.send_timeout(Message::Finish, END_PATIENCE).is_ok() {
            let _ = self.shown.recv_timeout(END_PATIENCE);
        }
        self.shared.current().end_live_file();
        drop(self.watched.take());
        self.console.flush();
    }
}

impl Observer for Hub {
    fn observe(&self, event: &Event) {
        self.shared.observe(event);
    }
}

#[cfg(test)]
mod tests;
