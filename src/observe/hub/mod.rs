//! The observer of a run. It adds up what it is told and passes on what is rare, without ever waiting; one thread makes
//! everything from that which shows the run: bar, lines, objects, `live.json`.
//!
//! Others that show a run, such as metrics, read [`Latest`], which the same thread renews once a second and at the end of
//! each run. Whoever runs the work keeps it over several runs.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::{Mutex, RwLock};

use super::console::{Console, Watched};
use super::live::{self, Live};
use super::scope::Scope;
use super::told::{EndedRun, Told};
use super::view::ViewKind;
use super::watcher::Watcher;
use crate::durable::VolatileFile;
use crate::migration::now_text;
use crate::pipeline::{Event, Observer, RunStart, StopToken, Tally};

/// Name of the thread that shows the run.
const NAME: &str = "haul-watch";
/// What waits to be shown, at most.
const TOLD_MAX: usize = 1024;
/// How long the end of the work waits for what is not shown yet, and the end of a run for a last `live.json`.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// The file of a run directory whose owner and permissions `live.json` gets.
const LIKE: &str = "lock";

/// The run as it was last looked at, for whoever shows it elsewhere; `None` before the first run.
pub type Latest = Arc<Mutex<Option<Arc<Seen>>>>;

/// A run as it was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its numbers.
    pub live: Live,
    /// How it ended; `None` while it goes on.
    pub ended: Option<EndedRun>,
    /// The directory of its state, if it has one.
    pub directory: Option<PathBuf>,
}

/// How a run is shown.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// What the run is about.
    pub scope: Scope,
    /// How it is shown.
    pub view: ViewKind,
    /// The time between two lines of progress; `None` for what fits the view.
    pub interval: Option<Duration>,
    /// Asks the run to stop.
    pub stop: StopToken,
    /// Where the run is put for others.
    pub latest: Latest,
    /// What the command works on, if others are to see it although it begins no run.
    pub subject: Option<Subject>,
}

/// What a command works on that begins no run of its own: it verifies a store, rolls one back, or changes a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Which kind of store.
    pub kind: &'static str,
    /// Where it is.
    pub target: String,
}

/// The one observer of a run. It is gone from the screen when this drops.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    console: Console,
    /// Closed by the thread when it has shown everything.
    shown: Receiver<()>,
    watched: Option<Watched>,
}

/// What the observer and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    current: RwLock<Arc<Current>>,
    told: Sender<Told>,
    dropped: AtomicU64,
    takes_all: bool,
}

/// One run, or what a command does that is none.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) start: Option<RunStart>,
    pub(super) started_at: String,
    pub(super) tally: Tally,
    live_file: Mutex<Option<VolatileFile>>,
    has_ended: AtomicBool,
}

/// The hubs of this process that are at work, for signals.
static AT_WORK: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Writes one line about what this process does now, and nothing else.
pub fn say_status(console: &Console) {
    let hub = AT_WORK.lock().last().cloned();
    match hub {
        // What cannot be told was asked before, many times.
        Some(shared) => drop(shared.told.try_send(Told::Status)),
        None => console.line("nothing is running"),
    }
}

impl Hub {
    /// Begins to watch.
    pub fn start(console: Console, options: HubOptions) -> Self {
        let (told, heard) = bounded(TOLD_MAX);
        let takes_all = options.view == ViewKind::Events;
        let shared = Arc::new(Shared {
            current: RwLock::new(Arc::new(Current::new(None))),
            told,
            dropped: AtomicU64::new(0),
            takes_all,
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
}

impl Drop for Hub {
    fn drop(&mut self) {
        AT_WORK.lock().retain(|shared| !Arc::ptr_eq(shared, &self.shared));
        // The thread takes no time over anything, so there is room soon. It is left behind if it hangs on a disk.
        if self.shared.told.send_timeout(Told::Finish, END_PATIENCE).is_ok() {
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

impl Shared {
    pub(super) fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    /// Events that were only added up.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn observe(&self, event: &Event) {
        let told = match event {
            Event::RunStarted(start) => {
                let current = Arc::new(Current::new(Some((**start).clone())));
                *self.current.write() = current.clone();
                Some(Told::RunStarted(current))
            }
            Event::RunEnded { outcome, exit_code } => {
                // What comes after it is no part of the run.
                let current = std::mem::replace(&mut *self.current.write(), Arc::new(Current::new(None)));
                current.end_live_file();
                let ended = EndedRun { outcome: outcome.clone(), exit_code: *exit_code, at: now_text() };
                Some(Told::RunEnded(current, ended))
            }
            Event::PhaseEnded { phase } => {
                let current = self.current.read();
                let now = current.tally.snapshot().phase.filter(|now| now.tally.phase == *phase);
                current.tally.observe(event);
                now.map(|now| Told::PhaseEnded(now.tally))
            }
            _ => {
                self.current.read().tally.observe(event);
                Told::of(event)
            }
        };
        if self.takes_all {
            self.tell(Told::Event(Box::new(event.clone())));
        }
        if let Some(told) = told {
            self.tell(told);
        }
    }

    fn tell(&self, told: Told) {
        if let Err(TrySendError::Full(_)) = self.told.try_send(told) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Current {
    fn new(start: Option<RunStart>) -> Self {
        let directory = start.as_ref().and_then(|start| start.directory.as_deref());
        // What other processes see of the run is a hint: without it they see the lock.
        let live_file = directory.and_then(|path| VolatileFile::new(path, live::FILE_NAME, LIKE).ok());
        Self {
            start,
            started_at: now_text(),
            tally: Tally::new(),
            live_file: Mutex::new(live_file),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// Writes `live.json`, unless the run has ended. Returns why it cannot be written, once.
    pub(super) fn write_live(&self, live: &Live) -> Option<String> {
        let mut file = self.live_file.lock();
        if self.has_ended() {
            return None;
        }
        let bytes = serde_json::to_vec(live).expect("its keys are texts");
        let error = file.as_ref()?.replace(&bytes).err()?;
        *file = None;
        // Somebody has removed the directory, which the run itself will notice.
        (error.kind() != ErrorKind::NotFound)
            .then(|| format!("cannot write {}: {error}; other processes see less of this run", live::FILE_NAME))
    }

    /// Removes `live.json`, which is never written after that.
    fn end_live_file(&self) {
        self.has_ended.store(true, Relaxed);
        // Whoever holds it hangs on a disk.
        if let Some(mut file) = self.live_file.try_lock_for(END_PATIENCE)
            && let Some(file) = file.take()
        {
            let _ = file.remove();
        }
    }
}

/// Returns what is watched of a run that has no directory.
#[cfg(test)]
pub(super) fn current_for_tests(start: Option<RunStart>) -> Arc<Current> {
    Arc::new(Current::new(start))
}

#[cfg(test)]
mod tests;
