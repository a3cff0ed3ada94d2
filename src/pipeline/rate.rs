//! The limit on records a second.

use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::event::{Event, Observer, Wait};
use super::stop::{POLL_INTERVAL, StopToken};

/// A token bucket that holds a tenth of a second of records, so that short runs are limited as well.
#[derive(Debug)]
pub struct RateLimit {
    bucket: Option<Bucket>,
    clock: SystemClock,
}

#[derive(Debug)]
struct Bucket {
    records_per_second: NonZeroU32,
    burst_records: u32,
    /// When the bucket will be full again, since the clock's origin. One number stands for level and time of the last
    /// request together, and no thread has to refill anything.
    full_at: Mutex<Duration>,
}

/// What a wait reads and spends.
trait Clock {
    /// Returns the time since the clock's origin.
    fn now(&self) -> Duration;
    /// Lets `time` pass.
    fn sleep(&self, time: Duration);
}

#[derive(Debug)]
struct SystemClock {
    origin: Instant,
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// Returns how many records pass at once before the limit holds any up.
pub fn burst_records(limit: NonZeroU32) -> u32 {
    (limit.get() / 10).max(1)
}

impl RateLimit {
    /// Lets `records_per_second` pass; `None` lets everything pass.
    pub fn new(records_per_second: Option<NonZeroU32>) -> Self {
        let bucket = records_per_second.map(|rate| Bucket {
            records_per_second: rate,
            burst_records: burst_records(rate),
            full_at: Mutex::new(Duration::ZERO),
        });
        Self { bucket, clock: SystemClock { origin: Instant::now() } }
    }

    /// Blocks until `records` may pass; false once `stop` is requested. The observer sees the wait, and each part of the
    /// records that passes.
    pub fn wait(&self, records: u64, stop: &StopToken, observer: &dyn Observer) -> bool {
        self.wait_on(&self.clock, records, stop, observer)
    }

    fn wait_on(&self, clock: &impl Clock, records: u64, stop: &StopToken, observer: &dyn Observer) -> bool {
        let Some(bucket) = &self.bucket else { return !stop.is_requested() };
        let mut records_left = records;
        let mut waiting_since = None;
        let passed = loop {
            if stop.is_requested() {
                break false;
            }
            // The bucket never holds more than a burst: a larger request would wait for ever.
            let chunk = u32::try_from(records_left).unwrap_or(u32::MAX).min(bucket.burst_records);
            if chunk == 0 {
                break true;
            }
            match bucket.missing_time(chunk, clock.now()) {
                None => {
                    records_left -= u64::from(chunk);
                    observer.observe(&Event::BatchAdmitted { records: u64::from(chunk) });
                }
                Some(missing) => {
                    if waiting_since.is_none() {
                        waiting_since = Some(clock.now());
                        observer.observe(&Event::Waiting { reason: Wait::Limit });
                    }
                    clock.sleep(missing.min(POLL_INTERVAL));
                }
            }
        };
        if let Some(since) = waiting_since {
            observer.observe(&Event::waited(Wait::Limit, clock.now().saturating_sub(since)));
        }
        passed
    }
}

impl Bucket {
    /// Takes `records`, at most a burst, out of the bucket, or returns for how long it must fill first.
    fn missing_time(&self, records: u32, now: Duration) -> Option<Duration> {
        let mut full_at = self.full_at.lock();
        let full_after = (*full_at).max(now) + self.time_of(records);
        let missing = full_after.saturating_sub(now + self.time_of(self.burst_records));
        if missing.is_zero() {
            *full_at = full_after;
            return None;
        }
        Some(missing)
    }

    /// Returns how long `records` take at the full rate. Rounded up: a limit is never exceeded.
    fn time_of(&self, records: u32) -> Duration {
        let nanos = u64::from(records) * 1_000_000_000;
        Duration::from_nanos(nanos.div_ceil(u64::from(self.records_per_second.get())))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::pipeline::Silent;

    /// A clock that only sleeping moves.
    struct TestClock<'a> {
        now: Cell<Duration>,
        on_sleep: &'a dyn Fn(Duration),
    }

    impl<'a> TestClock<'a> {
        fn new(on_sleep: &'a dyn Fn(Duration)) -> Self {
            Self { now: Cell::default(), on_sleep }
        }
    }

    impl Clock for TestClock<'_> {
        fn now(&self) -> Duration {
            self.now.get()
        }

        fn sleep(&self, time: Duration) {
            (self.on_sleep)(time);
            self.now.set(self.now.get() + time);
        }
    }

    /// How long `requests` wait together under `rate`.
    fn waited(rate: u32, requests: &[u64]) -> Duration {
        let clock = TestClock::new(&|_| {});
        let limit = RateLimit::new(NonZeroU32::new(rate));
        for &records in requests {
            assert!(limit.wait_on(&clock, records, &StopToken::new(), &Silent));
        }
        clock.now()
    }

    #[test]
    fn a_tenth_of_a_second_passes_at_once_and_the_rest_at_the_rate() {
        assert_eq!(waited(1000, &[100]), Duration::ZERO);
        assert_eq!(waited(1000, &[1100]), Duration::from_secs(1));
        assert_eq!(waited(1000, &[1; 1100]), Duration::from_secs(1));
        assert_eq!(waited(1, &[1, 1, 1]), Duration::from_secs(2));
        assert_eq!(waited(7, &[0, 0]), Duration::ZERO);
    }

    #[test]
    fn a_bucket_fills_while_nothing_passes_but_not_beyond_a_burst() {
        let clock = TestClock::new(&|_| {});
        let limit = RateLimit::new(NonZeroU32::new(1000));
        let passes_at_once = |records| {
            let before = clock.now();
            assert!(limit.wait_on(&clock, records, &StopToken::new(), &Silent));
            clock.now() == before
        };
        assert!(passes_at_once(100));
        clock.sleep(Duration::from_millis(60));
        assert!(passes_at_once(60));
        clock.sleep(Duration::from_secs(3600));
        assert!(passes_at_once(100));
        assert!(!passes_at_once(1));
    }

    #[test]
    fn no_limit_never_waits() {
        let clock = TestClock::new(&|_| panic!("slept"));
        assert!(RateLimit::new(None).wait_on(&clock, u64::MAX, &StopToken::new(), &Silent));
        assert!(RateLimit::new(NonZeroU32::new(u32::MAX)).wait(1, &StopToken::new(), &Silent));
    }

    #[test]
    fn a_stop_ends_a_wait_of_centuries() {
        for rate in [None, NonZeroU32::new(1)] {
            let (limit, stop) = (RateLimit::new(rate), StopToken::new());
            let naps = Cell::new(0);
            let on_sleep = |time| {
                assert!(time <= POLL_INTERVAL);
                naps.set(naps.get() + 1);
                stop.request();
            };
            let passed = limit.wait_on(&TestClock::new(&on_sleep), u64::MAX, &stop, &Silent);
            assert_eq!((passed, naps.get()), (rate.is_none(), u32::from(rate.is_some())));
        }
        let stopped = StopToken::new();
        stopped.request();
        assert!(!RateLimit::new(None).wait(1, &stopped, &Silent));
    }
}
