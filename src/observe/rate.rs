//! How fast something goes on: an exponential average, smoothed twice, of samples taken when the count has changed.

/// Samples this old, in seconds, count for a third of what they did.
const AVERAGE_SECONDS: f64 = 15.0;
/// After a pause this many times as long as the last one, the pause itself counts as well.
const LONG_PAUSES: f64 = 2.0;
/// The shortest pause that is ever long, in seconds.
const LONG_PAUSE_SECONDS: f64 = 1.0;
/// The shortest time between two samples, in seconds.
const SAMPLE_SECONDS_MIN: f64 = 1e-3;

/// A rate of a count that never falls. Times are in seconds since any one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Smoothed {
    at: f64,
    count: f64,
    once: Average,
    twice: Average,
    last: Sample,
}

/// The last change of the count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// How much it was.
    pub(super) count: f64,
    /// How long after the one before.
    pub(super) seconds: f64,
}

/// An exponential average that takes no account of what was before its first value.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Average {
    fn add(&mut self, value: f64, seconds: f64) {
        let kept = (-seconds / AVERAGE_SECONDS).exp();
        self.sum = self.sum * kept + value * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
    }

    fn value(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

impl Smoothed {
    /// Returns the rate of a count that is `count` now.
    pub(super) fn from(now: f64, count: f64) -> Self {
        Self { at: now, count, ..Self::default() }
    }

    /// Takes note of the count as it is now.
    pub(super) fn feed(&mut self, now: f64, count: f64) {
        if count <= self.count {
            return;
        }
        let seconds = (now - self.at).max(SAMPLE_SECONDS_MIN);
        self.last = Sample { count: count - self.count, seconds };
        self.once.add(self.last.count / seconds, seconds);
        self.twice.add(self.once.value().unwrap_or_default(), seconds);
        (self.at, self.count) = (now, count);
    }

    /// Returns how much a second; `None` before the first change.
    pub(super) fn per_second(&self, now: f64) -> Option<f64> {
        let pause = now - self.at;
        let expected = (LONG_PAUSES * self.last.seconds).max(LONG_PAUSE_SECONDS);
        let mut average = self.twice;
        if pause > expected {
            average.add(0.0, pause - self.last.seconds);
        }
        average.value().filter(|rate| *rate > 0.0)
    }

    /// Returns the last change, and how long ago it was.
    pub(super) fn last(&self, now: f64) -> (Sample, f64) {
        (self.last, (now - self.at).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_known_at_once_and_stays() {
        let mut rate = Smoothed::from(0.0, 0.0);
        assert_eq!(rate.per_second(5.0), None);
        for second in 1..100 {
            rate.feed(f64::from(second), f64::from(500 * second));
            assert!((rate.per_second(f64::from(second) + 0.9).unwrap() - 500.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_change_shows_after_a_while() {
        let mut rate = Smoothed::from(0.0, 0.0);
        (1..=60).for_each(|second| rate.feed(f64::from(second), f64::from(100 * second)));
        (61..=120).for_each(|second| rate.feed(f64::from(second), f64::from(6000 + 200 * (second - 60))));
        let now = rate.per_second(120.0).unwrap();
        assert!(now > 180.0 && now < 200.0, "{now}");
    }

    #[test]
    fn a_count_that_stands_slows_down() {
        let mut rate = Smoothed::from(0.0, 0.0);
        (1..=60).for_each(|second| rate.feed(f64::from(second), f64::from(100 * second)));
        let (soon, late) = (rate.per_second(61.5).unwrap(), rate.per_second(120.0).unwrap());
        assert!((soon - 100.0).abs() < 1.0 && late < 5.0, "{soon} {late}");
    }
}
