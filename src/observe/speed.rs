//! The speed of a run over the last seconds, and the time left.

use std::collections::VecDeque;
use std::time::Duration;

/// The time over which the speed is measured.
const WINDOW: Duration = Duration::from_secs(8);
/// Longer estimates are not shown.
const LEFT_MAX: Duration = Duration::from_secs(100 * 24 * 3600);

/// The speed over the last seconds of one phase. Only this run counts, not an earlier one that it resumes.
#[derive(Debug, Default)]
pub struct Speed {
    samples: VecDeque<(Duration, u64)>,
}

impl Speed {
    /// Records how much is done after `elapsed`.
    pub fn sample(&mut self, elapsed: Duration, done: u64) {
        if self.samples.back().is_some_and(|last| last.0 > elapsed || last.1 > done) {
            self.samples.clear();
        }
        self.samples.push_back((elapsed, done));
        // Two samples always stay, so that slow phases still have a speed.
        while self.samples.len() > 2 && elapsed.saturating_sub(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// Returns the units a second; 0 before two samples differ in time.
    pub fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let seconds = last.0.saturating_sub(first.0).as_secs_f64();
        if seconds > 0.0 { (last.1 - first.1) as f64 / seconds } else { 0.0 }
    }

    /// Returns the time until `left` more units are done, if there is any progress.
    pub fn time_left(&self, left: u64) -> Option<Duration> {
        let seconds = left as f64 / self.per_second();
        Duration::try_from_secs_f64(seconds).ok().filter(|left| *left <= LEFT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let mut speed = Speed::default();
        assert_eq!((speed.per_second(), speed.time_left(10)), (0.0, None));
        speed.sample(at(0), 0);
        assert_eq!((speed.per_second(), speed.time_left(10)), (0.0, None));
        speed.sample(at(500), 100);
        assert_eq!((speed.per_second(), speed.time_left(100)), (200.0, Some(at(500))));
        for second in 1..=60 {
            speed.sample(at(1000 * second), 100 + 1000 * second);
        }
        assert_eq!(speed.per_second(), 1000.0);
        assert!(speed.samples.len() <= 10);
    }

    #[test]
    fn a_speed_of_zero_gives_no_time_left() {
        let mut speed = Speed::default();
        speed.sample(at(0), 5);
        speed.sample(at(1000), 5);
        assert_eq!((speed.per_second(), speed.time_left(1)), (0.0, None));
    }

    #[test]
    fn a_new_phase_forgets_earlier_samples() {
        let mut speed = Speed::default();
        speed.sample(at(1000), 5);
        speed.sample(at(2000), 10);
        speed.sample(at(10), 0);
        assert_eq!(speed.per_second(), 0.0);
        speed.sample(at(1010), 3);
        assert_eq!(speed.per_second(), 3.0);
    }
}
