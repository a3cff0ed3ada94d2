//! What the observer, the thread that shows the run, and others that show it share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use parking_lot::{Mutex, RwLock};

use super::current::Current;
use crate::migration::now_text;
use crate::observe::live::Live;
use crate::observe::message::{EndedRun, Message};
use crate::observe::scope::Scope;
use crate::observe::view::ViewKind;
use crate::pipeline::{Event, Observer, StopToken};

/// The run as it was last looked at, for what shows it elsewhere; `None` before the first run.
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

/// What the observer and the thread share.
#[derive(Debug)]
pub(in crate::observe) struct Shared {
    pub(super) current: RwLock<Arc<Current>>,
    pub(super) told: Sender<Message>,
    pub(super) dropped: AtomicU64,
    pub(super) takes_all: bool,
    /// The directories of all runs.
    pub(super) directories: Mutex<BTreeSet<PathBuf>>,
}

impl Shared {
    pub(in crate::observe) fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    /// Events that were only added up.
    pub(in crate::observe) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn observe(&self, event: &Event) {
        let told = match event {
            Event::RunStarted(start) => {
                self.directories.lock().extend(start.directory.clone());
                let current = Arc::new(Current::new(Some((**start).clone())));
                *self.current.write() = current.clone();
                Some(Message::RunStarted(current))
            }
            Event::RunEnded { outcome, exit_code } => {
                // What comes after it is no part of the run.
                let current = std::mem::replace(&mut *self.current.write(), Arc::new(Current::new(None)));
                current.end_live_file();
                let ended = EndedRun { outcome: outcome.clone(), exit_code: *exit_code, at: now_text() };
                Some(Message::RunEnded(current, ended))
            }
            Event::PhaseEnded { phase } => {
                let current = self.current.read();
                let now = current.tally.snapshot().phase.filter(|now| now.tally.phase == *phase);
                current.tally.observe(event);
                now.map(|now| Message::PhaseEnded(now.tally))
            }
            _ => {
                self.current.read().tally.observe(event);
                Message::of(event)
            }
        };
        if self.takes_all {
            self.tell(Message::Event(Box::new(event.clone())));
        }
        if let Some(told) = told {
            self.tell(told);
        }
    }

    fn tell(&self, told: Message) {
        if let Err(TrySendError::Full(_)) = self.told.try_send(told) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}
