//! When a phase that goes on for long says so in a log.

use std::time::{Duration, Instant};

/// After these seconds of a phase a line is due, then every minute. Somebody who sits at a terminal gets one sooner.
const DUE_SECONDS: [u64; 3] = [1, 10, 30];
const THEN_SECONDS: u64 = 60;

/// The times at which lines are due.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// One time for all, if chosen.
    interval: Option<Duration>,
    first: usize,
    began: Instant,
    count: usize,
}

impl Heartbeat {
    pub(super) fn new(interval: Option<Duration>, is_terminal: bool) -> Self {
        Self { interval, first: usize::from(!is_terminal), began: Instant::now(), count: 0 }
    }

    /// Begins with a phase.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.began, self.count) = (now, 0);
    }

    /// Returns true if a line is due, once for each.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.began) >= self.next();
        if is_due {
            self.count += 1;
        }
        is_due
    }

    fn next(&self) -> Duration {
        if let Some(interval) = self.interval {
            return interval * u32::try_from(self.count + 1).unwrap_or(u32::MAX);
        }
        let at = self.first + self.count;
        let minutes = at.saturating_sub(DUE_SECONDS.len() - 1) as u64;
        Duration::from_secs(DUE_SECONDS.get(at).copied().unwrap_or(THEN_SECONDS * minutes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(interval: Option<u64>, is_terminal: bool) -> Vec<u64> {
        let mut heartbeat = Heartbeat::new(interval.map(Duration::from_secs), is_terminal);
        let began = Instant::now();
        heartbeat.restart(began);
        (0..200).filter(|second| heartbeat.is_due(began + Duration::from_secs(*second))).collect()
    }

    #[test]
    fn lines_come_less_often_the_longer_it_takes() {
        assert_eq!(due(None, false), [10, 30, 60, 120, 180]);
        assert_eq!(due(None, true), [1, 10, 30, 60, 120, 180]);
        assert_eq!(due(Some(45), true), [45, 90, 135, 180]);
    }
}
