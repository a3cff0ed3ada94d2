//! An attempt at a run as it is watched: what it tells its observer is also added up here, for its report and its row in
//! the checkpoint.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::now_text;
use super::report::about::seconds;
use super::report::timeline::Timeline;
use super::run::attempts::{AttemptNow, Attempts};
use crate::durable::system;
use crate::pipeline::{Control, Event, Observer, StopToken, Tally};

/// Passes the events of an attempt on, and adds them up.
pub struct AttemptWatch<'a> {
    stop: &'a StopToken,
    observer: &'a dyn Observer,
    began: Instant,
    started_at: String,
    cpu_before: Option<Duration>,
    attempts: Mutex<Attempts>,
    pub(in crate::migration) tally: Tally,
    pub(super) timeline: Timeline,
}

impl<'a> AttemptWatch<'a> {
    /// Returns the watch of an attempt that begins now.
    pub fn start(control: &Control<'a>) -> Self {
        Self {
            stop: control.stop,
            observer: control.observer,
            began: Instant::now(),
            started_at: now_text(),
            cpu_before: system::cpu_time(),
            attempts: Mutex::default(),
            tally: Tally::new(),
            timeline: Timeline::start(),
        }
    }

    /// Returns what the attempt is controlled with.
    pub fn control(&self) -> Control<'_> {
        Control { stop: self.stop, observer: self }
    }

    /// Returns how long the attempt has taken until now.
    pub(in crate::migration) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the earlier attempts with a row for this one, which finds `records_total` records done.
    pub(super) fn begin(
        &self,
        mut earlier: Attempts,
        records_total: u64,
        last_checkpoint: Option<jiff::Timestamp>,
    ) -> Attempts {
        earlier.begin(self.started_at.clone(), records_total, last_checkpoint);
        self.attempts.lock().clone_from(&earlier);
        earlier
    }

    /// Returns the attempts with this one as it is now. `end` is how it has ended, and its exit code.
    pub(super) fn attempts(&self, records_total: u64, end: Option<(String, u8)>) -> Attempts {
        let cpu = system::cpu_time().zip(self.cpu_before).map(|(now, before)| now.saturating_sub(before));
        let now = AttemptNow {
            records_total,
            seconds: seconds(self.began.elapsed()),
            cpu_seconds: cpu.map_or(0.0, seconds),
            rss_peak_bytes: system::rss_peak_bytes().unwrap_or(0),
            end: end.map(|(outcome, exit_code)| (now_text(), outcome, exit_code)),
        };
        let mut attempts = self.attempts.lock();
        attempts.update(&now);
        attempts.clone()
    }
}

impl Observer for AttemptWatch<'_> {
    fn observe(&self, event: &Event) {
        self.tally.observe(event);
        self.timeline.observe(event);
        self.observer.observe(event);
    }
}
