//! The memory budget of a run: byte permits that go round from the reader to the writer and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::event::{Event, Observer, Silent, Wait};
use super::stop::{POLL_INTERVAL, StopToken};

/// A number of bytes that the batches in flight may hold together.
///
/// A request is granted when nothing is in use, so a batch larger than the budget travels alone; otherwise when what is
/// in use has fallen to the backpressure threshold and the request still fits below the limit.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    threshold_bytes: u64,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    in_use_bytes: u64,
    peak_bytes: u64,
    waits: Waits,
    /// Requests that wait now.
    waiting: usize,
}

/// How often, and how long in all, requests had to wait for bytes to come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Requests that could not be granted at once.
    pub count: u64,
    /// The time that they waited, added up.
    pub waited: Duration,
}

impl Budget {
    /// A budget of `limit_bytes`. Reading pauses when the bytes in use exceed `backpressure_threshold` (a share of the
    /// limit, 0 to 1) and continues when they have fallen to it.
    pub fn new(limit_bytes: u64, backpressure_threshold: f64) -> Arc<Self> {
        // A float-to-integer cast saturates and takes NaN for 0: any threshold is a usable one.
        let threshold_bytes = (limit_bytes as f64 * backpressure_threshold) as u64;
        Arc::new(Self {
            limit_bytes,
            threshold_bytes: threshold_bytes.min(limit_bytes),
            state: Mutex::default(),
            released: Condvar::new(),
        })
    }

    /// Bytes that permits hold now.
    pub fn in_use_bytes(&self) -> u64 {
        self.state.lock().in_use_bytes
    }

    /// The most that permits ever held at once.
    pub fn peak_bytes(&self) -> u64 {
        self.state.lock().peak_bytes
    }

    /// What the permits may hold together.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// How often and how long requests waited so far.
    pub fn waits(&self) -> Waits {
        self.state.lock().waits
    }

    /// Returns true if a request waits for bytes to come back.
    pub(super) fn is_waited_for(&self) -> bool {
        self.state.lock().waiting > 0
    }

    fn admits(&self, in_use_bytes: u64, bytes: u64) -> bool {
        let fits = || in_use_bytes.checked_add(bytes).is_some_and(|sum| sum <= self.limit_bytes);
        in_use_bytes == 0 || (in_use_bytes <= self.threshold_bytes && fits())
    }

    /// Blocks until `bytes` are granted; false, with nothing taken, once `stop` is requested. The observer sees the wait.
    fn take(&self, bytes: u64, stop: &StopToken, observer: &dyn Observer) -> bool {
        if stop.is_requested() {
            return false;
        }
        let mut state = self.state.lock();
        let mut granted = self.admits(state.in_use_bytes, bytes);
        if !granted {
            let started = Instant::now();
            state.waits.count += 1;
            state.waiting += 1;
            observer.observe(&Event::Waiting { reason: Wait::Memory });
            while !granted && !stop.is_requested() {
                self.released.wait_for(&mut state, POLL_INTERVAL);
                granted = self.admits(state.in_use_bytes, bytes);
            }
            let waited = started.elapsed();
            state.waiting -= 1;
            state.waits.waited += waited;
            observer.observe(&Event::waited(Wait::Memory, waited));
        }
        if granted {
            state.in_use_bytes += bytes;
            state.peak_bytes = state.peak_bytes.max(state.in_use_bytes);
        }
        granted
    }

    fn give_back(&self, bytes: u64) {
        let mut state = self.state.lock();
        debug_assert!(state.in_use_bytes >= bytes, "permits give back what they took");
        state.in_use_bytes -= bytes;
        drop(state);
        self.released.notify_all();
    }
}

/// Access to a [`Budget`] for one run: its owner asks for bytes until the run stops.
#[derive(Clone)]
pub struct Admission<'a> {
    budget: Arc<Budget>,
    stop: StopToken,
    refused: Arc<AtomicBool>,
    observer: &'a dyn Observer,
}

impl Admission<'static> {
    /// Asks `budget` for bytes until `stop` is requested.
    pub fn new(budget: Arc<Budget>, stop: StopToken) -> Self {
        Self { budget, stop, refused: Arc::default(), observer: &Silent }
    }
}

impl Admission<'_> {
    /// Returns the same, whose waits this observer sees.
    pub(super) fn watched(self, observer: &dyn Observer) -> Admission<'_> {
        let Self { budget, stop, refused, .. } = self;
        Admission { budget, stop, refused, observer }
    }

    /// Blocks until `bytes` may be used; `None` once a stop is requested.
    ///
    /// Hold no permit of your own while you ask for another: what you hold is not coming back, and a request larger
    /// than the rest would wait for ever.
    pub fn acquire(&self, bytes: u64) -> Option<Permit> {
        if self.budget.take(bytes, &self.stop, self.observer) {
            return Some(Permit { budget: Arc::clone(&self.budget), bytes });
        }
        self.refused.store(true, Ordering::Release);
        None
    }

    /// The request to stop that ends it.
    pub fn stop(&self) -> &StopToken {
        &self.stop
    }

    /// The budget that it asks.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// True once a request was answered with `None`.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// Bytes of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Permit {
    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget that it belongs to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Gives back all but `bytes`. A permit never grows: a larger number changes nothing.
    pub fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.budget.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use super::*;

    fn admission(limit_bytes: u64, threshold: f64) -> Admission<'static> {
        Admission::new(Budget::new(limit_bytes, threshold), StopToken::new())
    }

    #[test]
    fn permits_add_up_and_come_back() {
        let admission = admission(100, 1.0);
        let mut first = admission.acquire(60).expect("granted");
        let second = admission.acquire(40).expect("granted");
        assert_eq!(admission.budget().in_use_bytes(), 100);
        first.shrink_to(10);
        first.shrink_to(90);
        assert_eq!((first.bytes(), admission.budget().in_use_bytes()), (10, 50));
        drop((first, second));
        assert_eq!((admission.budget().in_use_bytes(), admission.budget().peak_bytes()), (0, 100));
        assert_eq!(admission.budget().waits(), Waits::default());
    }

    #[test]
    fn the_rule_of_admission() {
        let budget = Budget::new(100, 0.5);
        assert!(budget.admits(0, 1000), "alone, whatever its size");
        assert!(budget.admits(50, 50), "at the threshold and within the limit");
        assert!(!budget.admits(51, 1), "above the threshold");
        assert!(!budget.admits(10, 91), "above the limit");
        assert!(!budget.admits(1, u64::MAX), "no overflow");
        for threshold in [f64::NAN, -1.0, 0.0] {
            assert!(!Budget::new(100, threshold).admits(1, 1) && Budget::new(100, threshold).admits(0, 1));
        }
        assert!(Budget::new(100, f64::INFINITY).admits(99, 1));
        assert!(Budget::new(0, 1.0).admits(0, 7) && !Budget::new(0, 1.0).admits(7, 1));
    }

    #[test]
    fn a_stop_ends_a_wait_and_every_later_request() {
        let stop = StopToken::new();
        let admission = Admission::new(Budget::new(10, 1.0), stop.clone());
        let held = admission.acquire(10).expect("granted");
        thread::scope(|scope| {
            let waiter = scope.spawn(|| admission.acquire(1));
            while admission.budget().waits().count == 0 {
                thread::yield_now();
            }
            assert!(!admission.was_refused());
            stop.request();
            assert!(waiter.join().expect("no panic").is_none());
        });
        assert!(admission.was_refused());
        drop(held);
        assert!(admission.acquire(1).is_none());
        assert_eq!(admission.budget().in_use_bytes(), 0);
    }

    /// Threads that acquire, hold a few permits and release the oldest first, as the engine does as a whole.
    #[test]
    fn many_threads_never_exceed_the_limit() {
        let admission = admission(1000, 0.8);
        thread::scope(|scope| {
            for seed in 0..8_u64 {
                let admission = admission.clone();
                scope.spawn(move || {
                    let mut random = seed * 7919 + 1;
                    for _ in 0..500 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let bytes = match random >> 60 {
                            0 => 5000,
                            _ => (random >> 33) % 400 + 1,
                        };
                        let permit = admission.acquire(bytes).expect("nobody stops");
                        let in_use_bytes = admission.budget().in_use_bytes();
                        let others_bytes = in_use_bytes - permit.bytes();
                        assert!(in_use_bytes <= 1000 || bytes > 1000 && others_bytes == 0, "{in_use_bytes} in use");
                    }
                });
            }
        });
        assert_eq!(admission.budget().in_use_bytes(), 0);
        assert!(admission.budget().peak_bytes() <= 5000);
    }

    /// One thread acquires in order, another releases in the same order: the shape of a run.
    #[test]
    fn ordered_release_never_deadlocks() {
        let admission = admission(64, 0.25);
        let (sender, receiver) = crossbeam_channel::unbounded::<Permit>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut window = VecDeque::new();
                for permit in receiver {
                    window.push_back(permit);
                    drop(window.pop_front());
                }
            });
            for size in 0..2000_u64 {
                sender.send(admission.acquire(size % 200).expect("nobody stops")).expect("receiver lives");
            }
            drop(sender);
        });
        assert_eq!(admission.budget().in_use_bytes(), 0);
    }
}
