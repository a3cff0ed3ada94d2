//! An attempt at a run as it is watched: what it tells its observer is also added up here, for its report.

use std::time::Instant;

use crate::pipeline::{Control, Event, Observer, StopToken, Tally};

/// Passes the events of an attempt on, and adds them up.
pub struct AttemptWatch<'a> {
    stop: &'a StopToken,
    observer: &'a dyn Observer,
    began: Instant,
    tally: Tally,
}

impl<'a> AttemptWatch<'a> {
    /// Returns the watch of an attempt that begins now.
    pub fn start(control: &Control<'a>) -> Self {
        Self { stop: control.stop, observer: control.observer, began: Instant::now(), tally: Tally::new() }
    }

    /// Returns what the attempt is controlled with.
    pub fn control(&self) -> Control<'_> {
        Control { stop: self.stop, observer: self }
    }
}

impl Observer for AttemptWatch<'_> {
    fn observe(&self, event: &Event) {
        self.tally.observe(event);
        self.observer.observe(event);
    }
}
