//! Standard error. One thread of the process writes all of it, so that nobody else waits for a terminal or a pipe.
//!
//! While a run is watched, what does not fit into the queue is dropped. Otherwise a line waits until it is written, but all
//! of them together no longer than [`PATIENCE`]: after that standard error counts as stuck, and the process goes on to its
//! end without it.

mod numbered;
mod queue;
mod screen;
mod shape;
mod writer;

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use self::numbered::Objects;
use self::queue::{Direct, PATIENCE, Queue, Shared};
pub use self::shape::Shape;
use self::writer::{StandardError, write, write_queued};
use crate::migration::escaped;

/// Lines that wait to be written, at most.
const LINES_MAX: usize = 1024;
/// Lines that wait, at most, where another of the same kind will follow soon.
const REPEATED_LINES_MAX: usize = LINES_MAX / 2;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It is said once.
    Once,
    /// Another one will say as much.
    Repeated,
}

/// A way to standard error.
#[derive(Debug, Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

/// Keeps lines from waiting while a run is watched.
#[derive(Debug)]
pub struct Watched(Console);

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Console {
    /// Returns the console of this process.
    pub fn new() -> Self {
        static PROCESS: OnceLock<Console> = OnceLock::new();
        PROCESS.get_or_init(|| Self::to(StandardError)).clone()
    }

    /// Returns a console that writes to `out`.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let queue = Queue {
            lines: VecDeque::new(),
            frame: None,
            accepted: 0,
            written: 0,
            is_drawing: false,
            direct: None,
            is_gone: false,
            asked: None,
            patience: PATIENCE,
            runs: 0,
            objects: Objects::default(),
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), filled: Condvar::new(), emptied: Condvar::new() });
        let out = Arc::new(Mutex::new(out));
        let (writer, writer_out) = (shared.clone(), out.clone());
        let spawned = std::thread::Builder::new().name("haul-console".into()).spawn(move || {
            write_queued(&writer, &mut *writer_out.lock());
        });
        // A process that may have no thread will soon fail, and has to say why.
        shared.queue.lock().direct = spawned.is_err().then(|| Direct(out));
        Self { shared }
    }

    /// Returns true if standard error is a terminal.
    pub fn is_terminal() -> bool {
        stderr().is_terminal()
    }

    /// Sets what lines look like from now on.
    pub fn set_shape(&self, shape: Shape) {
        self.shared.queue.lock().objects.shape = shape;
    }

    /// Returns what lines look like.
    pub fn shape(&self) -> Shape {
        self.shared.queue.lock().objects.shape
    }

    /// Says whose run the next objects are about.
    pub fn set_run(&self, run: &str, kind: &str) {
        self.shared.queue.lock().objects.set_run(run, kind);
    }

    /// Writes one line, which stays one whatever is in it. Where objects are wanted, it is one.
    pub fn line(&self, text: &str) {
        self.put(Weight::Once, |objects| match objects.shape {
            Shape::Text => format!("{}\n", escaped(text)),
            Shape::Progress => objects.text("note", text),
            Shape::Events => objects.event_note(text),
        });
    }

    /// Says what went wrong and what to do next.
    pub fn error(&self, message: &str, next: Option<&str>) {
        match self.shape() {
            Shape::Progress => self.put(Weight::Once, |objects| objects.error(message, next)),
            _ => {
                self.line(&format!("error: {message}"));
                if let Some(next) = next {
                    self.line(&format!("next: {next}"));
                }
            }
        }
    }

    /// Writes text as it is, of any number of lines. Where objects are wanted, it is one.
    pub fn text(&self, text: &str) {
        match self.shape() {
            Shape::Text => self.put(Weight::Once, |_| text.to_owned()),
            _ => self.error(text.trim_end(), None),
        }
    }

    /// Writes an object, made from what each begins with.
    pub fn object<T: serde::Serialize>(&self, weight: Weight, make: impl FnOnce(super::progress_line::LineHead) -> T) {
        self.put(weight, |objects| objects.object(make));
    }

    /// Writes an object that has no head; false if it was dropped.
    pub fn event(&self, event: &impl serde::Serialize) -> bool {
        self.put_if_room(Weight::Once, |_| numbered::line_of(event))
    }

    /// Shows these rows below all lines, in place of those that were there. If others still wait, they are never shown.
    pub fn draw(&self, rows: Vec<String>) {
        let mut queue = self.shared.queue.lock();
        if !queue.is_gone && queue.direct.is_none() {
            queue.frame = Some(rows);
            self.shared.filled.notify_one();
        }
    }

    /// Begins the watch of a run: until the returned value drops, nobody waits for lines.
    pub fn watched(&self) -> Watched {
        self.shared.queue.lock().runs += 1;
        Watched(self.clone())
    }

    /// Waits until everything is written, as long as there is patience.
    pub fn flush(&self) {
        let mut queue = self.shared.queue.lock();
        let last = queue.accepted;
        self.wait_for(&mut queue, last);
    }

    fn put(&self, weight: Weight, make: impl FnOnce(&mut Objects) -> String) {
        self.put_if_room(weight, make);
    }

    fn put_if_room(&self, weight: Weight, make: impl FnOnce(&mut Objects) -> String) -> bool {
        let mut queue = self.shared.queue.lock();
        let most = if weight == Weight::Once { LINES_MAX } else { REPEATED_LINES_MAX };
        if queue.is_gone || queue.lines.len() >= most {
            return false;
        }
        let line = make(&mut queue.objects);
        if let Some(Direct(out)) = queue.direct.clone() {
            queue.is_gone = !write(&mut *out.lock(), line.as_bytes());
            return !queue.is_gone;
        }
        queue.lines.push_back(line);
        queue.accepted += 1;
        self.shared.filled.notify_one();
        if queue.runs == 0 {
            let last = queue.accepted;
            self.wait_for(&mut queue, last);
        }
        true
    }

    /// Waits until the line of this number is written, and nothing is half drawn.
    fn wait_for(&self, queue: &mut parking_lot::MutexGuard<'_, Queue>, line: u64) {
        let is_waited_for =
            |queue: &Queue| !queue.is_gone && (queue.written < line || queue.is_drawing || queue.frame.is_some());
        while is_waited_for(queue) {
            let since = Instant::now();
            let patience = queue.patience_at(since);
            if patience.is_zero() {
                return;
            }
            self.shared.emptied.wait_for(queue, patience);
            queue.patience = queue.patience.saturating_sub(since.elapsed());
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.shared.queue.lock().runs -= 1;
    }
}

#[cfg(test)]
mod tests;
