//! What is between the converters and the writer: nothing, or a stage that places several batches at once.

use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, never};

use super::load::Load;
use crate::pipeline::budget::Budget;
use crate::pipeline::control::Options;
use crate::pipeline::failure::{Failure, guarded};
use crate::pipeline::stages::Placing;
use crate::pipeline::threads::{NoThread, start_thread};

/// Bytes of a set beyond which it takes no further batch, whatever the budget has: larger ones were no faster, and a stop
/// waits for them.
const SET_BYTES_MAX: u64 = 64 << 20;
/// How long the first batch of a set waits for others.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often to look whether the reader waits for what a set holds.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Batches that were placed together, in order.
pub(super) type Placed<T, E> = Result<Vec<Load<T>>, Failure<E>>;

/// Takes batches in order and hands them on in the same order.
pub(super) trait Between<I, O, E> {
    /// Takes a batch, and returns it if the writer can have it at once.
    fn push(&mut self, load: Load<I>) -> Option<Load<O>>;
    /// Returns true while no further batch is wanted: a set is being placed then, and ends.
    fn is_full(&self) -> bool {
        false
    }
    /// Begins to place what is collected, if it is time.
    fn advance(&mut self) {}
    /// Hands over what was placed; silent while nothing is.
    fn placed(&self) -> Receiver<Placed<O, E>> {
        never()
    }
    /// Tells that it is time to place what is collected; silent while that depends on something else.
    fn timer(&self) -> Receiver<Instant> {
        never()
    }
    /// Takes note that a set was handed over.
    fn settle(&mut self) {}
    /// Waits for the next set, `None` if nothing is collected.
    fn finish_one(&mut self) -> Option<Placed<O, E>> {
        None
    }
}

/// Nothing is between.
pub(super) struct Nothing;

impl<T, E> Between<T, T, E> for Nothing {
    fn push(&mut self, load: Load<T>) -> Option<Load<T>> {
        Some(load)
    }
}

/// Collects one set of batches while a thread places the one before.
pub(super) struct Gathering<I, O, E> {
    sets: Sender<Vec<Load<I>>>,
    placed: Receiver<Placed<O, E>>,
    is_placing: bool,
    waiting: Vec<Load<I>>,
    waiting_bytes: u64,
    /// When the first of those that wait came.
    since: Option<Instant>,
    set_bytes_max: u64,
    budget: Arc<Budget>,
}

impl<'scope, I: Send + 'scope, O: Send + 'scope, E: Send + 'scope> Gathering<I, O, E> {
    pub(super) fn start<P>(
        scope: &'scope Scope<'scope, '_>,
        placing: &'scope P,
        options: &Options,
    ) -> Result<Self, NoThread>
    where
        P: Placing<Input = I, Output = O, Error = E>,
    {
        let (set_sender, sets) = bounded(1);
        let (placed_sender, placed) = bounded(1);
        start_thread(scope, "haul-place", move || place_all(placing, &sets, &placed_sender))?;
        // While a set is placed, the next one has to find room with what is being converted.
        let set_bytes_max = (options.budget.limit_bytes() / 5 * 2).min(SET_BYTES_MAX);
        Ok(Self {
            sets: set_sender,
            placed,
            is_placing: false,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: None,
            set_bytes_max,
            budget: Arc::clone(&options.budget),
        })
    }
}

impl<I, O, E> Gathering<I, O, E> {
    /// Returns since when batches wait that nothing but more batches could keep from being placed.
    fn waiting_since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.is_placing)
    }

    fn begin(&mut self) {
        let set = std::mem::take(&mut self.waiting);
        (self.waiting_bytes, self.since) = (0, None);
        self.is_placing = true;
        // Nobody listens only after a failure, and that is what waits to be taken.
        let _ = self.sets.send(set);
    }
}

impl<I, O, E> Between<I, O, E> for Gathering<I, O, E> {
    fn push(&mut self, load: Load<I>) -> Option<Load<O>> {
        self.waiting_bytes += load.permit.bytes();
        self.since.get_or_insert_with(Instant::now);
        self.waiting.push(load);
        None
    }

    fn is_full(&self) -> bool {
        self.is_placing && self.waiting_bytes >= self.set_bytes_max
    }

    fn advance(&mut self) {
        let Some(since) = self.waiting_since() else { return };
        let is_due = self.waiting_bytes >= self.set_bytes_max || since.elapsed() >= PATIENCE;
        // A reader that waits for memory sends no more of them.
        if is_due || self.budget.is_waited_for() {
            self.begin();
        }
    }

    fn placed(&self) -> Receiver<Placed<O, E>> {
        if self.is_placing { self.placed.clone() } else { never() }
    }

    fn timer(&self) -> Receiver<Instant> {
        self.waiting_since().map_or_else(never, |_| after(LOOK_INTERVAL))
    }

    fn settle(&mut self) {
        self.is_placing = false;
    }

    fn finish_one(&mut self) -> Option<Placed<O, E>> {
        if !self.is_placing {
            if self.waiting.is_empty() {
                return None;
            }
            self.begin();
        }
        let set = self.placed.recv().expect("a thread that places answers");
        self.settle();
        Some(set)
    }
}

/// The thread that places.
fn place_all<P: Placing>(
    placing: &P,
    sets: &Receiver<Vec<Load<P::Input>>>,
    placed: &Sender<Placed<P::Output, P::Error>>,
) {
    for set in sets {
        let outcome = guarded(|| place_set(placing, set));
        let failed = outcome.is_err();
        if placed.send(outcome).is_err() || failed {
            return;
        }
    }
}

fn place_set<P: Placing>(placing: &P, set: Vec<Load<P::Input>>) -> Result<Vec<Load<P::Output>>, P::Error> {
    let (mut batches, mut rest) = (Vec::with_capacity(set.len()), Vec::with_capacity(set.len()));
    for load in set {
        let (content, without) = load.take();
        batches.push(content);
        rest.push(without);
    }
    let started = Instant::now();
    let outputs = placing.place(batches)?;
    assert_eq!(outputs.len(), rest.len(), "every batch is placed");
    let share = started.elapsed() / u32::try_from(rest.len()).unwrap_or(u32::MAX).max(1);
    Ok(rest.into_iter().zip(outputs).map(|(rest, output)| rest.placed(output, share)).collect())
}
