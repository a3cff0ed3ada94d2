//! The limit on records a second.

use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::stop::{POLL_INTERVAL, StopToken};

/// A token bucket that holds a tenth of a second of records, so that short runs are limited as well.
#[derive(Debug)]
pub struct RateLimit<C: Clock = DefaultClock> {
    bucket: Option<Bucket<C>>,
}

#[derive(Debug)]
struct Bucket<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    burst_records: NonZeroU32,
    clock: C,
}

impl RateLimit {
    /// Lets `records_per_second` pass; `None` lets everything pass.
    pub fn new(records_per_second: Option<NonZeroU32>) -> Self {
        Self::with_clock(records_per_second, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    fn with_clock(records_per_second: Option<NonZeroU32>, clock: C) -> Self {
        let bucket = records_per_second.map(|rate| {
            let burst_records = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
            let quota = Quota::per_second(rate).allow_burst(burst_records);
            Bucket { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), burst_records, clock }
        });
        Self { bucket }
    }

    /// Blocks until `records` may pass; false once `stop` is requested.
    pub fn wait(&self, records: u64, stop: &StopToken) -> bool {
        self.wait_with(records, stop, thread::sleep)
    }

    fn wait_with(&self, records: u64, stop: &StopToken, mut sleep: impl FnMut(Duration)) -> bool {
        let Some(bucket) = &self.bucket else { return !stop.is_requested() };
        let mut records_left = records;
        while !stop.is_requested() {
            // The bucket never holds more than a burst: a larger request would wait for ever.
            let chunk = u32::try_from(records_left).unwrap_or(u32::MAX).min(bucket.burst_records.get());
            let Some(chunk) = NonZeroU32::new(chunk) else { return true };
            match bucket.missing_time(chunk) {
                None => records_left -= u64::from(chunk.get()),
                Some(missing) => sleep(missing.min(POLL_INTERVAL)),
            }
        }
        false
    }
}

impl<C: Clock> Bucket<C> {
    /// Takes `records` out of the bucket, or says how long it must fill first.
    fn missing_time(&self, records: NonZeroU32) -> Option<Duration> {
        let outcome = self.limiter.check_n(records).expect("no request is larger than a burst");
        outcome.err().map(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// How long `requests` wait together under `rate`, on a clock that only sleeping moves.
    fn waited(rate: u32, requests: &[u64]) -> Duration {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(NonZeroU32::new(rate), clock.clone());
        let mut waited = Duration::ZERO;
        for &records in requests {
            assert!(limit.wait_with(records, &StopToken::new(), |time| {
                clock.advance(time);
                waited += time;
            }));
        }
        waited
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
    fn no_limit_never_waits() {
        assert!(RateLimit::new(None).wait_with(u64::MAX, &StopToken::new(), |_| panic!("slept")));
        assert!(RateLimit::new(NonZeroU32::new(u32::MAX)).wait(1, &StopToken::new()));
    }

    #[test]
    fn a_stop_ends_a_wait_of_centuries() {
        for rate in [None, NonZeroU32::new(1)] {
            let (limit, stop) = (RateLimit::new(rate), StopToken::new());
            let mut naps = 0;
            let passed = limit.wait_with(u64::MAX, &stop, |time| {
                assert!(time <= POLL_INTERVAL);
                naps += 1;
                stop.request();
            });
            assert_eq!((passed, naps), (rate.is_none(), u32::from(rate.is_some())));
        }
        let stopped = StopToken::new();
        stopped.request();
        assert!(!RateLimit::new(None).wait(1, &stopped));
    }
}
