//! What a run of the engine is given from outside: how it is carried out, and how it is watched and stopped.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use super::budget::Budget;
use super::event::{Event, Observer, Phase};
use super::stop::StopToken;

/// How a run is carried out. Nothing in here changes a byte of the output.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that convert.
    pub parallel_workers: NonZeroUsize,
    /// Memory that the batches in flight share.
    pub budget: Arc<Budget>,
    /// Records a second, if limited.
    pub rate_limit: Option<NonZeroU32>,
    /// Records that a crash may cost. A commit falls due after half as many, so that it is durable before the other half
    /// is written, unless the disk is slower than that: the writer never waits for it.
    pub checkpoint_interval_records: u64,
    /// Shortest time between two commits.
    pub checkpoint_interval_ms_min: u64,
    /// A commit falls due this long after the last one, however few records are written since.
    pub checkpoint_interval_ms_max: u64,
}

/// Connects a run with its caller while it works.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Asks the run to stop at the next batch.
    pub stop: &'a StopToken,
    /// Receives the events of the run.
    pub observer: &'a dyn Observer,
}

/// What a phase will go through, as far as it is known when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Records.
    pub records: Option<u64>,
    /// Bytes of source.
    pub bytes: Option<u64>,
}

impl Expected {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { records: None, bytes: None };

    /// Both are known.
    pub fn both(records: u64, bytes: u64) -> Self {
        Self { records: Some(records), bytes: Some(bytes) }
    }

    /// Only the number of records is known.
    pub fn records(records: u64) -> Self {
        Self { records: Some(records), bytes: None }
    }
}

/// How a run without an error ended. In both cases all that was written is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The reader reached the end of the source.
    Complete,
    /// A stop was requested before.
    Stopped,
}

impl Control<'_> {
    /// Does `work` as one phase: the observer sees it start and end, even where it ends with an error.
    pub fn phase<T>(&self, phase: Phase, expected: Expected, work: impl FnOnce() -> T) -> T {
        let Expected { records: records_expected, bytes: bytes_expected } = expected;
        self.observer.observe(&Event::PhaseStarted { phase, records_expected, bytes_expected });
        let result = work();
        self.observer.observe(&Event::PhaseEnded { phase });
        result
    }

    /// Tells the observer of progress outside of the engine.
    pub fn progress(&self, records: u64, source_bytes: u64) {
        self.observer.observe(&Event::Progressed { records, source_bytes, budget_in_use_bytes: 0 });
    }

    /// Tells the observer that more is known about what this phase will go through.
    pub fn expect(&self, Expected { records, bytes }: Expected, is_exact: bool) {
        self.observer.observe(&Event::ExpectedChanged { records, bytes, is_exact });
    }

    /// Tells the observer something that a person should read.
    pub fn note(&self, text: impl Into<String>) {
        self.observer.observe(&Event::Note { text: text.into() });
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Recorded(Mutex<Vec<Event>>);

    impl Observer for Recorded {
        fn observe(&self, event: &Event) {
            self.0.lock().push(event.clone());
        }
    }

    #[test]
    fn a_phase_that_fails_ends_too() {
        let (stop, observer) = (StopToken::new(), Recorded::default());
        let control = Control { stop: &stop, observer: &observer };
        let result: Result<(), &str> = control.phase(Phase::Seal, Expected::records(7), || {
            control.progress(7, 0);
            Err("broken")
        });
        assert_eq!(result, Err("broken"));
        let phase = Phase::Seal;
        assert_eq!(
            *observer.0.lock(),
            [
                Event::PhaseStarted { phase, records_expected: Some(7), bytes_expected: None },
                Event::Progressed { records: 7, source_bytes: 0, budget_in_use_bytes: 0 },
                Event::PhaseEnded { phase },
            ]
        );
    }
}
