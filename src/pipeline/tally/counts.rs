//! Sums up the events of a run.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::phases::{Phases, Waited};
use super::stages::StageTimes;
use super::{LastCheckpoint, Snapshot};
use crate::pipeline::event::{Counted, Event, Observer, Wait};

/// Sums up the events of one run. Cheap enough for every batch.
#[derive(Debug)]
pub struct Tally {
    began: Instant,
    rest: Mutex<Rest>,
    stages: StageTimes,
    budget_in_use_bytes: AtomicU64,
    budget_peak_bytes: AtomicU64,
}

/// What changes once for each batch or less often.
#[derive(Debug, Default)]
struct Rest {
    phases: Phases,
    records: u64,
    source_bytes: u64,
    admitted: Option<u64>,
    waited: Waited,
    waiting_for: Option<(Wait, Instant)>,
    checkpoint: Option<(u64, Instant)>,
    checkpoints: u64,
    counted: Counted,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Returns a tally that begins now.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            rest: Mutex::default(),
            stages: StageTimes::default(),
            budget_in_use_bytes: AtomicU64::new(0),
            budget_peak_bytes: AtomicU64::new(0),
        }
    }

    /// Returns the numbers at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let rest = self.rest.lock();
        let (mut waited, mut phase) = (rest.waited, rest.phases.now());
        if let Some((reason, since)) = rest.waiting_for {
            let time = since.elapsed();
            waited.add(reason, time);
            if let Some(now) = &mut phase {
                now.tally.waited.add(reason, time.min(now.tally.took));
            }
        }
        Snapshot {
            elapsed: self.began.elapsed(),
            phase,
            ended: rest.phases.ended(),
            records: rest.records,
            source_bytes: rest.source_bytes,
            admitted: rest.admitted,
            budget_in_use_bytes: self.budget_in_use_bytes.load(Relaxed),
            budget_peak_bytes: self.budget_peak_bytes.load(Relaxed),
            waited,
            waiting_for: rest.waiting_for.map(|(reason, _)| reason),
            checkpoint: rest.checkpoint.map(|(records, at)| LastCheckpoint { records, age: at.elapsed() }),
            checkpoints: rest.checkpoints,
            counted: rest.counted.clone(),
        }
    }

    /// Returns how long the stages took.
    pub fn stages(&self) -> &StageTimes {
        &self.stages
    }

    fn went_through(&self, records: u64, source_bytes: u64, in_use_bytes: u64, is_migrated: bool) {
        self.budget_in_use_bytes.store(in_use_bytes, Relaxed);
        self.budget_peak_bytes.fetch_max(in_use_bytes, Relaxed);
        let mut rest = self.rest.lock();
        rest.phases.change(|now| {
            now.tally.records += records;
            now.tally.source_bytes += source_bytes;
        });
        if is_migrated {
            rest.records += records;
            rest.source_bytes += source_bytes;
        }
    }

    fn waited(&self, reason: Wait, time: Duration) {
        let mut rest = self.rest.lock();
        rest.waited.add(reason, time);
        rest.waiting_for = None;
        rest.phases.change(|now| now.tally.waited.add(reason, time));
    }
}

impl Observer for Tally {
    fn observe(&self, event: &Event) {
        match event {
            Event::StageTimed { stage, took_us } => self.stages.record(*stage, *took_us),
            Event::BatchWritten { records, source_bytes, budget_in_use_bytes } => {
                self.went_through(*records, *source_bytes, *budget_in_use_bytes, true);
            }
            Event::Progressed { records, source_bytes, budget_in_use_bytes } => {
                self.went_through(*records, *source_bytes, *budget_in_use_bytes, false);
            }
            Event::BatchAdmitted { records } => {
                let mut rest = self.rest.lock();
                rest.admitted = Some(rest.admitted.unwrap_or(0) + records);
            }
            Event::Waiting { reason } => self.rest.lock().waiting_for = Some((*reason, Instant::now())),
            Event::Waited { reason, waited_us } => self.waited(*reason, Duration::from_micros(*waited_us)),
            Event::PhaseStarted { phase, records_expected, bytes_expected } => {
                let mut rest = self.rest.lock();
                rest.admitted = None;
                rest.phases.start(*phase, *records_expected, *bytes_expected);
            }
            Event::ExpectedChanged { records, bytes, is_exact } => self.rest.lock().phases.change(|now| {
                (now.records_expected, now.bytes_expected) = (*records, *bytes);
                now.is_exact = *is_exact;
            }),
            Event::PhaseEnded { phase } => {
                self.budget_in_use_bytes.store(0, Relaxed);
                let mut rest = self.rest.lock();
                rest.admitted = None;
                rest.phases.end(*phase);
            }
            Event::CheckpointWritten { records_total } => {
                let mut rest = self.rest.lock();
                rest.checkpoints += 1;
                rest.checkpoint = Some((*records_total, Instant::now()));
            }
            Event::Counted(counted) => self.rest.lock().counted.clone_from(counted),
            Event::RunStarted(_)
            | Event::RunEnded { .. }
            | Event::Note { .. }
            | Event::TenantStarted { .. }
            | Event::OfTenant { .. }
            | Event::TenantEnded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Phase;

    fn started(phase: Phase, records: u64) -> Event {
        Event::PhaseStarted { phase, records_expected: Some(records), bytes_expected: None }
    }

    fn batch(records: u64) -> Event {
        Event::BatchWritten { records, source_bytes: 10 * records, budget_in_use_bytes: 7 }
    }

    fn progressed(records: u64) -> Event {
        Event::Progressed { records, source_bytes: 0, budget_in_use_bytes: 9 }
    }

    fn phase_of(snapshot: &Snapshot) -> Option<(Phase, u64, u64)> {
        snapshot.phase.map(|now| (now.tally.phase, now.tally.records, now.tally.source_bytes))
    }

    #[test]
    fn batches_add_up_within_their_phase() {
        let tally = Tally::new();
        tally.observe(&started(Phase::Run, 100));
        tally.observe(&batch(5));
        tally.observe(&batch(6));
        tally.observe(&Event::Waiting { reason: Wait::Memory });
        let waiting = tally.snapshot();
        assert_eq!(waiting.waiting_for, Some(Wait::Memory));
        assert!(waiting.waited.memory > Duration::ZERO && waiting.phase.unwrap().tally.waited.memory > Duration::ZERO);
        tally.observe(&Event::Waited { reason: Wait::Memory, waited_us: 3 });
        tally.observe(&Event::CheckpointWritten { records_total: 5 });
        let now = tally.snapshot();
        assert_eq!((phase_of(&now), now.waiting_for), (Some((Phase::Run, 11, 110)), None));
        assert_eq!(now.phase.unwrap().tally.waited.memory, Duration::from_micros(3));
        assert_eq!((now.records, now.budget_in_use_bytes, now.checkpoint.unwrap().records), (11, 7, 5));
        tally.observe(&Event::PhaseEnded { phase: Phase::Run });
        let ended = tally.snapshot();
        assert_eq!((ended.phase, ended.ended.len(), ended.ended[0].records), (None, 1, 11));
        assert_eq!((ended.budget_in_use_bytes, ended.budget_peak_bytes), (0, 7));
    }

    #[test]
    fn a_phase_inside_another_hides_it_until_it_ends() {
        let tally = Tally::new();
        tally.observe(&started(Phase::Seal, 5));
        tally.observe(&progressed(3));
        tally.observe(&started(Phase::Index, 2));
        tally.observe(&progressed(2));
        assert_eq!(phase_of(&tally.snapshot()), Some((Phase::Index, 2, 0)));
        tally.observe(&Event::PhaseEnded { phase: Phase::Index });
        let now = tally.snapshot();
        assert_eq!(phase_of(&now), Some((Phase::Seal, 3, 0)));
        assert_eq!(now.phase.unwrap().records_expected, Some(5));
    }

    #[test]
    fn records_are_counted_once_whatever_reads_them_again() {
        let tally = Tally::new();
        for event in [started(Phase::Run, 5), batch(5), Event::PhaseEnded { phase: Phase::Run }] {
            tally.observe(&event);
        }
        for event in [started(Phase::Verify, 5), progressed(5), Event::PhaseEnded { phase: Phase::Verify }] {
            tally.observe(&event);
        }
        let now = tally.snapshot();
        assert_eq!((now.records, now.ended.iter().map(|phase| phase.records).sum::<u64>()), (5, 10));
    }

    #[test]
    fn an_end_that_is_learned_replaces_what_was_expected() {
        let tally = Tally::new();
        tally.observe(&Event::PhaseStarted { phase: Phase::Run, records_expected: None, bytes_expected: None });
        tally.observe(&Event::ExpectedChanged { records: Some(7), bytes: None, is_exact: false });
        let now = tally.snapshot().phase.unwrap();
        assert_eq!((now.records_expected, now.is_exact), (Some(7), false));
    }
}
