//! The phases of a run: the one under way, those around it, and those that ended.

use std::time::{Duration, Instant};

use crate::pipeline::event::{Phase, Wait};

/// Time that a run has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// For memory.
    pub memory: Duration,
    /// For the limit on records a second.
    pub limit: Duration,
    /// For the disk.
    pub disk: Duration,
}

impl Waited {
    /// Adds the time of one wait.
    pub fn add(&mut self, reason: Wait, time: Duration) {
        match reason {
            Wait::Memory => self.memory += time,
            Wait::Limit => self.limit += time,
            Wait::Disk => self.disk += time,
        }
    }

    /// Returns the time of one reason.
    pub fn of(&self, reason: Wait) -> Duration {
        match reason {
            Wait::Memory => self.memory,
            Wait::Limit => self.limit,
            Wait::Disk => self.disk,
        }
    }

    fn merge(&mut self, other: &Self) {
        for reason in Wait::ALL {
            self.add(reason, other.of(reason));
        }
    }
}

/// What a phase went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseTally {
    /// Which.
    pub phase: Phase,
    /// Records.
    pub records: u64,
    /// Bytes of source.
    pub source_bytes: u64,
    /// How long it took, without the phases inside of it.
    pub took: Duration,
    /// Time in it that the run has waited.
    pub waited: Waited,
}

/// The phase under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseNow {
    /// What it has gone through so far.
    pub tally: PhaseTally,
    /// Records that it will go through, if known.
    pub records_expected: Option<u64>,
    /// Bytes of source that it will go through, if known.
    pub bytes_expected: Option<u64>,
    /// False while what it will go through may still grow.
    pub is_exact: bool,
}

/// The stack of phases, and those that ended.
#[derive(Debug, Default)]
pub(super) struct Phases {
    frames: Vec<Frame>,
    ended: Vec<PhaseTally>,
}

#[derive(Debug)]
struct Frame {
    now: PhaseNow,
    /// When it began, or went on after a phase inside of it.
    since: Instant,
}

impl Phases {
    pub(super) fn start(&mut self, phase: Phase, records_expected: Option<u64>, bytes_expected: Option<u64>) {
        let since = Instant::now();
        if let Some(outer) = self.frames.last_mut() {
            outer.now.tally.took += since.saturating_duration_since(outer.since);
        }
        let tally = PhaseTally { phase, records: 0, source_bytes: 0, took: Duration::ZERO, waited: Waited::default() };
        self.frames.push(Frame { now: PhaseNow { tally, records_expected, bytes_expected, is_exact: true }, since });
    }

    pub(super) fn end(&mut self, phase: Phase) {
        if self.frames.last().is_none_or(|frame| frame.now.tally.phase != phase) {
            return;
        }
        let Some(Frame { now: PhaseNow { mut tally, .. }, since }) = self.frames.pop() else { return };
        tally.took += since.elapsed();
        match self.ended.iter_mut().find(|ended| ended.phase == phase) {
            Some(ended) => {
                ended.records += tally.records;
                ended.source_bytes += tally.source_bytes;
                ended.took += tally.took;
                ended.waited.merge(&tally.waited);
            }
            None => self.ended.push(tally),
        }
        if let Some(outer) = self.frames.last_mut() {
            outer.since = Instant::now();
        }
    }

    /// Changes the phase under way, if there is one.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut PhaseNow)) {
        if let Some(frame) = self.frames.last_mut() {
            change(&mut frame.now);
        }
    }

    /// Returns the phase under way as of this moment.
    pub(super) fn now(&self) -> Option<PhaseNow> {
        let frame = self.frames.last()?;
        let mut now = frame.now;
        now.tally.took += frame.since.elapsed();
        Some(now)
    }

    /// Returns the phases that ended, and the parts so far of those that contain the one under way.
    pub(super) fn ended(&self) -> Vec<PhaseTally> {
        self.ended.clone()
    }
}
