//! The state of a run in numbers, summed up from its events.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::pipeline::{Event, Observer, Phase};

/// Sums up events. Cheap enough for every batch.
#[derive(Debug)]
pub struct Figures {
    began: Instant,
    phases: Mutex<Vec<Frame>>,
    records: AtomicU64,
    source_bytes: AtomicU64,
    budget_in_use_bytes: AtomicU64,
    waited_us: AtomicU64,
    /// Records at the last checkpoint, and when it was written after `began`; 0 ms means never.
    checkpoint_records: AtomicU64,
    checkpoint_ms: AtomicU64,
}

/// A phase in progress. A phase can contain another one.
#[derive(Debug, Clone, Copy)]
struct Frame {
    phase: Phase,
    records_expected: Option<u64>,
    bytes_expected: Option<u64>,
    started: Instant,
    /// What it had counted when another phase began inside it.
    records: u64,
    source_bytes: u64,
}

/// The numbers at one moment. Counts are those of the current phase, in this run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The phase; the innermost if one contains another.
    pub phase: Option<Phase>,
    /// Time since it began.
    pub elapsed: Duration,
    /// Records that the phase will process, if known.
    pub records_expected: Option<u64>,
    /// Bytes that the phase will process, if known.
    pub bytes_expected: Option<u64>,
    /// Records so far.
    pub records: u64,
    /// Bytes of source so far.
    pub source_bytes: u64,
    /// Bytes of the budget in use.
    pub budget_in_use_bytes: u64,
    /// Time that the reader waited for memory.
    pub waited: Duration,
    /// The last checkpoint: records before it, and its age.
    pub checkpoint: Option<(u64, Duration)>,
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

impl Figures {
    /// Returns figures that are all zero.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            phases: Mutex::default(),
            records: AtomicU64::new(0),
            source_bytes: AtomicU64::new(0),
            budget_in_use_bytes: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
            checkpoint_records: AtomicU64::new(0),
            checkpoint_ms: AtomicU64::new(0),
        }
    }

    /// Returns the numbers at this moment.
    pub fn snapshot(&self) -> Snapshot {
        // Relaxed loads may mix two moments. The next frame is a fraction of a second away, and every batch would pay for
        // more.
        let frame = self.phases.lock().last().copied();
        let checkpoint_ms = self.checkpoint_ms.load(Relaxed);
        let age = || self.began.elapsed().saturating_sub(Duration::from_millis(checkpoint_ms));
        Snapshot {
            phase: frame.map(|frame| frame.phase),
            elapsed: frame.map_or(Duration::ZERO, |frame| frame.started.elapsed()),
            records_expected: frame.and_then(|frame| frame.records_expected),
            bytes_expected: frame.and_then(|frame| frame.bytes_expected),
            records: self.records.load(Relaxed),
            source_bytes: self.source_bytes.load(Relaxed),
            budget_in_use_bytes: self.budget_in_use_bytes.load(Relaxed),
            waited: Duration::from_micros(self.waited_us.load(Relaxed)),
            checkpoint: (checkpoint_ms > 0).then(|| (self.checkpoint_records.load(Relaxed), age())),
        }
    }

    fn start(&self, phase: Phase, records_expected: Option<u64>, bytes_expected: Option<u64>) {
        let mut phases = self.phases.lock();
        if let Some(outer) = phases.last_mut() {
            (outer.records, outer.source_bytes) = (self.records.load(Relaxed), self.source_bytes.load(Relaxed));
        }
        self.reset();
        let started = Instant::now();
        phases.push(Frame { phase, records_expected, bytes_expected, started, records: 0, source_bytes: 0 });
    }

    fn end(&self, phase: Phase) {
        let mut phases = self.phases.lock();
        if phases.last().is_some_and(|frame| frame.phase == phase) {
            phases.pop();
            self.reset();
            if let Some(outer) = phases.last() {
                self.records.store(outer.records, Relaxed);
                self.source_bytes.store(outer.source_bytes, Relaxed);
            }
        }
    }

    fn reset(&self) {
        for count in
            [&self.records, &self.source_bytes, &self.budget_in_use_bytes, &self.waited_us, &self.checkpoint_ms]
        {
            count.store(0, Relaxed);
        }
    }
}

impl Observer for Figures {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseStarted { phase, records_expected, bytes_expected } => {
                self.start(*phase, *records_expected, *bytes_expected);
            }
            Event::PhaseEnded { phase } => self.end(*phase),
            Event::BatchWritten { records, source_bytes, budget_in_use_bytes } => {
                self.records.fetch_add(*records, Relaxed);
                self.source_bytes.fetch_add(*source_bytes, Relaxed);
                self.budget_in_use_bytes.store(*budget_in_use_bytes, Relaxed);
            }
            Event::BackpressureWaited { waited_us } => {
                self.waited_us.fetch_add(*waited_us, Relaxed);
            }
            Event::CheckpointWritten { records_total } => {
                let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
                self.checkpoint_records.store(*records_total, Relaxed);
                self.checkpoint_ms.store(ms, Relaxed);
            }
            Event::Note { .. } | Event::TenantStarted { .. } | Event::OfTenant { .. } | Event::TenantEnded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(phase: Phase, records: u64) -> Event {
        Event::PhaseStarted { phase, records_expected: Some(records), bytes_expected: None }
    }

    fn batch(records: u64) -> Event {
        Event::BatchWritten { records, source_bytes: 10 * records, budget_in_use_bytes: 7 }
    }

    #[test]
    fn batches_add_up_within_their_phase() {
        let figures = Figures::new();
        assert_eq!(figures.snapshot(), Snapshot::default());
        figures.observe(&started(Phase::Run, 100));
        figures.observe(&batch(5));
        figures.observe(&batch(6));
        figures.observe(&Event::BackpressureWaited { waited_us: 3 });
        figures.observe(&Event::CheckpointWritten { records_total: 5 });
        let now = figures.snapshot();
        assert_eq!((now.phase, now.records, now.source_bytes), (Some(Phase::Run), 11, 110));
        assert_eq!((now.records_expected, now.budget_in_use_bytes, now.waited.as_micros()), (Some(100), 7, 3));
        assert_eq!(now.checkpoint.map(|(records, _)| records), Some(5));
        figures.observe(&Event::PhaseEnded { phase: Phase::Run });
        assert_eq!(figures.snapshot(), Snapshot::default());
    }

    #[test]
    fn a_phase_inside_another_hides_it_until_it_ends() {
        let figures = Figures::new();
        figures.observe(&started(Phase::Seal, 5));
        figures.observe(&batch(3));
        figures.observe(&started(Phase::Index, 2));
        figures.observe(&batch(2));
        assert_eq!((figures.snapshot().phase, figures.snapshot().records), (Some(Phase::Index), 2));
        figures.observe(&Event::PhaseEnded { phase: Phase::Index });
        let now = figures.snapshot();
        assert_eq!((now.phase, now.records, now.records_expected), (Some(Phase::Seal), 3, Some(5)));
    }
}
