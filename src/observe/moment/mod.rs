//! A run at one moment, made from what was added up and from how that has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::eta::{EtaClock, Look, Outlook, Work};
use super::hub::Current;
use super::progress_line::{
    Amount, BudgetNow, CheckpointNow, LineHead, ProgressLine, Rate, RunningState, Total, VERSION,
};
use super::rate::Smoothed;
use crate::durable::system::rss_bytes;
use crate::migration::now_text;
use crate::pipeline::tally::{PhaseNow, Snapshot};
use crate::pipeline::{Phase, Wait};

/// A wait for memory or the disk is shown when it is seen this many times in a row: most of them are over at once.
const WAITS_SEEN: u32 = 3;

/// What is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) line: ProgressLine,
    pub(super) snapshot: Snapshot,
    /// Limit on records a second.
    pub(super) rate_limit: Option<u64>,
    /// How long ago the last checkpoint became durable.
    pub(super) checkpoint_age: Option<Duration>,
}

/// Follows one run.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) current: Arc<Current>,
    eta: EtaClock,
    phase: Option<Phase>,
    records: Smoothed,
    bytes: Smoothed,
    waits_seen: u32,
    checkpoint: Option<(u64, CheckpointNow)>,
    budget_total: u64,
}

impl Follow {
    /// Begins to follow a run that has a budget.
    pub(super) fn new(current: Arc<Current>, budget_bytes: u64) -> Self {
        let of_run = current.start.as_ref().map_or(0, |start| start.budget_bytes);
        Self {
            current,
            eta: EtaClock::default(),
            phase: None,
            records: Smoothed::default(),
            bytes: Smoothed::default(),
            waits_seen: 0,
            checkpoint: None,
            budget_total: if of_run > 0 { of_run } else { budget_bytes },
        }
    }

    /// Returns what is known now. To be asked several times a second.
    pub(super) fn look(&mut self, is_stopping: bool, events_dropped: u64) -> Moment {
        let snapshot = self.current.tally.snapshot();
        let now = snapshot.elapsed.as_secs_f64();
        let amounts = Amounts::of(&self.current, &snapshot);
        self.feed(now, &snapshot);
        let outlook = self.outlook(now, &snapshot, &amounts);
        let line = ProgressLine {
            head: self.head(),
            type_name: "progress".into(),
            phase: self.phase,
            state: self.state(is_stopping, snapshot.waiting_for),
            done: amounts.done,
            before: amounts.before,
            total: amounts.total,
            ratio: amounts.ratio,
            overall_ratio: outlook.overall,
            rate: Rate {
                records_per_second: self.records.per_second(now).unwrap_or(0.0),
                bytes_per_second: self.bytes.per_second(now).unwrap_or(0.0),
            },
            eta: outlook.eta,
            budget: BudgetNow { in_use: snapshot.budget_in_use_bytes, total: self.budget_total },
            rss_bytes: rss_bytes(),
            checkpoint: self.checkpoint(&snapshot),
            outcomes: counts(&snapshot.counted.outcomes),
            events_dropped,
        };
        let rate_limit = self.current.start.as_ref().and_then(|start| start.rate_limit);
        let checkpoint_age = snapshot.checkpoint.map(|checkpoint| checkpoint.age);
        Moment { line, snapshot, rate_limit, checkpoint_age }
    }

    fn head(&self) -> LineHead {
        let (run, kind) = self
            .current
            .start
            .as_ref()
            .map_or_else(Default::default, |start| (start.run_id.clone(), start.kind.to_owned()));
        LineHead { v: VERSION, seq: 0, at: now_text(), run, kind }
    }

    /// Takes the rate of the phase under way.
    fn feed(&mut self, now: f64, snapshot: &Snapshot) {
        let Some(phase) = &snapshot.phase else {
            self.phase = None;
            return;
        };
        if self.phase != Some(phase.tally.phase) {
            self.phase = Some(phase.tally.phase);
            let began = now - phase.tally.took.as_secs_f64();
            (self.records, self.bytes) = (Smoothed::from(began, 0.0), Smoothed::from(began, 0.0));
        }
        self.records.feed(now, snapshot.admitted.unwrap_or(0).max(phase.tally.records) as f64);
        self.bytes.feed(now, phase.tally.source_bytes as f64);
    }

    fn outlook(&mut self, now: f64, snapshot: &Snapshot, amounts: &Amounts) -> Outlook {
        let start = self.current.start.as_ref();
        let ended: Vec<_> = snapshot
            .ended
            .iter()
            .map(|phase| (phase.phase, phase.took.saturating_sub(phase.waited.limit).as_secs_f64()))
            .collect();
        let limit = start.and_then(|start| start.rate_limit).filter(|limit| *limit > 0);
        let limit_leaves = match (limit, snapshot.admitted, amounts.records_total) {
            (Some(limit), Some(admitted), Some(total)) => Some((total - admitted as f64).max(0.0) / limit as f64),
            _ => None,
        };
        let look = Look {
            now,
            work: snapshot.phase.as_ref().map(|phase| work(phase, snapshot.admitted, amounts)),
            ended: &ended,
            is_run: start.is_some(),
            forecast: start.and_then(|start| start.forecast.as_ref()),
            limit_leaves,
            share_before: start.map_or(0.0, |start| share(start.records_before, start.records_planned)),
        };
        self.eta.look(&look)
    }

    fn state(&mut self, is_stopping: bool, waiting_for: Option<Wait>) -> RunningState {
        self.waits_seen = if waiting_for.is_some() { self.waits_seen + 1 } else { 0 };
        match waiting_for {
            _ if is_stopping => RunningState::Stopping,
            Some(Wait::Limit) => RunningState::Limited,
            Some(Wait::Memory) if self.waits_seen >= WAITS_SEEN => RunningState::WaitingMemory,
            Some(Wait::Disk) if self.waits_seen >= WAITS_SEEN => RunningState::WaitingDisk,
            _ => RunningState::Running,
        }
    }

    /// The time of a checkpoint is that of the first look after it, so that it stays the same.
    fn checkpoint(&mut self, snapshot: &Snapshot) -> Option<CheckpointNow> {
        let last = snapshot.checkpoint?;
        if self.checkpoint.as_ref().is_none_or(|(number, _)| *number != snapshot.checkpoints) {
            let before = self.current.start.as_ref().map_or(0, |start| start.records_before);
            let at = jiff::SignedDuration::try_from(last.age).ok();
            let now = crate::migration::clock::now_or_nearest();
            let at = at.and_then(|age| now.checked_sub(age).ok()).unwrap_or(now);
            let now = CheckpointNow { records: before + last.records, at: format!("{at:.3}") };
            self.checkpoint = Some((snapshot.checkpoints, now));
        }
        self.checkpoint.as_ref().map(|(_, now)| now.clone())
    }
}

/// How much of the phase under way is done.
#[derive(Debug, Default)]
struct Amounts {
    done: Amount,
    before: Amount,
    total: Option<Total>,
    ratio: Option<f64>,
    /// Records that this attempt will go through, as far as that is known.
    records_total: Option<f64>,
}

impl Amounts {
    fn of(current: &Current, snapshot: &Snapshot) -> Self {
        let Some(phase) = &snapshot.phase else { return Self::default() };
        let start = current.start.as_ref().filter(|_| phase.tally.phase == Phase::Run);
        let before = start.map_or_else(Amount::default, |start| Amount {
            records: start.records_before,
            bytes: start.source_bytes_before,
        });
        let here = Amount { records: phase.tally.records, bytes: phase.tally.source_bytes };
        let done = Amount { records: before.records + here.records, bytes: before.bytes + here.bytes };
        let bytes = phase.bytes_expected.map(|bytes| before.bytes + bytes);
        let planned = start.and_then(|start| start.records_planned);
        let records_total = match (phase.records_expected, phase.bytes_expected, planned) {
            (Some(records), ..) => Some(records as f64),
            // The plan knows the bytes and guesses the records. The guess matters less the more of them have passed.
            (None, Some(bytes), Some(planned)) if bytes > 0 => {
                let rest = planned.saturating_sub(before.records) as f64;
                let left = 1.0 - (here.bytes as f64 / bytes as f64).clamp(0.0, 1.0);
                Some(rest * left + here.records as f64)
            }
            (None, _, Some(planned)) => Some(planned.saturating_sub(before.records) as f64),
            _ => None,
        };
        let records =
            records_total.map(|records| before.records + records.round() as u64).map(|all| all.max(done.records));
        let exact = phase.is_exact && (phase.records_expected.is_some() || records.is_none());
        let total = (records.is_some() || bytes.is_some()).then_some(Total { records, bytes, exact });
        let ratio = match (bytes.filter(|_| phase.records_expected.is_none()), records) {
            (Some(bytes), _) if bytes > 0 => Some(done.bytes as f64 / bytes as f64),
            (_, Some(records)) if records > 0 => Some(done.records as f64 / records as f64),
            _ => None,
        };
        Self { done, before, total, ratio: ratio.map(|ratio| ratio.clamp(0.0, 1.0)), records_total }
    }
}

/// Returns the work of the phase: in records where they are known or limited, else in bytes.
fn work(phase: &PhaseNow, admitted: Option<u64>, amounts: &Amounts) -> Work {
    let (done, total) = match (admitted, phase.records_expected, phase.bytes_expected) {
        (Some(admitted), ..) => (admitted as f64, amounts.records_total),
        (None, None, Some(bytes)) if bytes > 0 => (phase.tally.source_bytes as f64, Some(bytes as f64)),
        _ => (phase.tally.records as f64, amounts.records_total),
    };
    let (took, held) = (phase.tally.took.as_secs_f64(), phase.tally.waited.limit.as_secs_f64());
    Work { phase: phase.tally.phase, done, total, took, held }
}

fn share(part: u64, whole: Option<u64>) -> f64 {
    whole.filter(|whole| *whole > 0).map_or(0.0, |whole| (part as f64 / whole as f64).clamp(0.0, 1.0))
}

/// Returns counts by name.
pub(super) fn counts(counted: &[(std::borrow::Cow<'static, str>, u64)]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in counted {
        *sums.entry(name.clone().into_owned()).or_default() += count;
    }
    sums
}

#[cfg(test)]
mod tests;
