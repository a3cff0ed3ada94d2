//! What waits to be written to standard error.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::numbered::Objects;

/// How long all lines together wait to be written, and how long a reader may take nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    /// There is something to write.
    pub(super) filled: Condvar,
    /// Something was written.
    pub(super) emptied: Condvar,
}

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Queue {
    /// Each ends with a line break, but for a question.
    pub(super) lines: VecDeque<String>,
    /// What is to be on the screen below the lines, if that has changed.
    pub(super) frame: Option<Vec<String>>,
    pub(super) accepted: u64,
    pub(super) written: u64,
    /// A frame is being written.
    pub(super) is_drawing: bool,
    /// Where lines go at once if the system gives no thread that writes them.
    pub(super) direct: Option<Direct>,
    /// Nobody will ever read it.
    pub(super) is_gone: bool,
    /// Since when the piece that is being written waits for its reader.
    pub(super) asked: Option<Instant>,
    /// How long all lines together are still waited for.
    pub(super) patience: Duration,
    /// Runs that are watched now.
    pub(super) runs: usize,
    pub(super) objects: Objects,
}

impl Queue {
    /// Returns how long lines are waited for from `now` on. A reader who has taken nothing for that long gets no more time:
    /// a run that nobody reads takes no longer than one that is read.
    pub(super) fn patience_at(&self, now: Instant) -> Duration {
        let waited = self.asked.map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked));
        self.patience.min(PATIENCE.saturating_sub(waited))
    }
}

/// A way to standard error without a thread.
#[derive(Clone)]
pub(super) struct Direct(pub(super) Arc<Mutex<dyn Write + Send>>);

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Direct")
    }
}
