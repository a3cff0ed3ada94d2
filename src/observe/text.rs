//! Progress as text.

use std::time::Duration;

use super::figures::Snapshot;
use super::scope::Scope;
use super::speed::Speed;
use crate::migration::units::{bytes_text, count_text};
use crate::pipeline::Phase;

/// How much of its work a phase has done, in records or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Done before this run.
    pub before: u64,
    /// Done in this run.
    pub now: u64,
    /// All of the work.
    pub total: u64,
}

impl Done {
    /// Counts records if their number is known, else bytes of the source. Returns `None` if neither is known.
    pub(super) fn of(snapshot: &Snapshot, scope: &Scope) -> Option<Self> {
        match (snapshot.records_expected, snapshot.bytes_expected) {
            (Some(total), _) => Some(Self { before: 0, now: snapshot.records.min(total), total }),
            (None, Some(expected)) => {
                let total = scope.source_bytes.filter(|_| snapshot.phase == Some(Phase::Run)).unwrap_or(expected);
                let total = total.max(expected);
                Some(Self { before: total - expected, now: snapshot.source_bytes.min(expected), total })
            }
            (None, None) => None,
        }
    }

    pub(super) fn percent(&self) -> u64 {
        let done = u128::from(self.before + self.now);
        u64::try_from(done * 100 / u128::from(self.total.max(1))).unwrap_or(100)
    }

    pub(super) fn left(&self) -> u64 {
        self.total - self.before - self.now
    }
}

/// Returns the name of the records of a phase.
fn noun(snapshot: &Snapshot, scope: &Scope) -> &'static str {
    if snapshot.phase == Some(Phase::Backfill) { "rows" } else { scope.records_noun }
}

/// Returns counts, rate and time left: ` 45%  45,000 nodes  31,000 nodes/s  ETA 4 s`.
pub(super) fn figures(snapshot: &Snapshot, scope: &Scope, records: &Speed, work: &Speed) -> String {
    let noun = noun(snapshot, scope);
    let mut parts = Vec::new();
    let done = Done::of(snapshot, scope);
    if let Some(done) = done {
        parts.push(format!("{:>3}%", done.percent()));
    }
    parts.push(match snapshot.records_expected {
        Some(expected) => format!("{}/{} {noun}", count_text(snapshot.records), count_text(expected)),
        None => format!("{} {noun}", count_text(snapshot.records)),
    });
    parts.push(format!("{} {noun}/s", count_text(records.per_second() as u64)));
    if let Some(left) = done.and_then(|done| work.time_left(done.left())) {
        parts.push(format!("ETA {}", duration_text(left)));
    }
    parts.join("  ")
}

/// Returns memory and checkpoint, if there is a budget: `memory 12.0 MiB of 512.0 MiB  last checkpoint at 40,000 nodes, 2 s ago`.
pub(super) fn status(snapshot: &Snapshot, scope: &Scope) -> String {
    if scope.budget_bytes == 0 {
        return String::new();
    }
    let memory = format!("memory {} of {}", bytes_text(snapshot.budget_in_use_bytes), bytes_text(scope.budget_bytes));
    match snapshot.checkpoint {
        Some((records, age)) => {
            let (records, age) = (count_text(records), duration_text(age));
            format!("{memory}  last checkpoint at {records} {}, {age} ago", scope.records_noun)
        }
        None => memory,
    }
}

/// Returns one line for a phase that ended: `run      100,000 nodes, 345.2 MiB in 3.2 s, 31,000 nodes/s`.
pub(super) fn ended(snapshot: &Snapshot, scope: &Scope) -> Option<String> {
    let phase = snapshot.phase?;
    let noun = noun(snapshot, scope);
    let took = duration_text(snapshot.elapsed);
    if snapshot.records == 0 {
        return Some(format!("{phase:<8} {took}"));
    }
    let rate = count_text((snapshot.records as f64 / snapshot.elapsed.as_secs_f64().max(1e-6)) as u64);
    let mut amount = format!("{} {noun}", count_text(snapshot.records));
    if snapshot.source_bytes > 0 {
        amount = format!("{amount}, {}", bytes_text(snapshot.source_bytes));
    }
    Some(format!("{phase:<8} {amount} in {took}, {rate} {noun}/s"))
}

/// Returns a duration as `40 ms`, `1.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=9 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope { records_noun: "nodes", source_bytes: Some(4000), budget_bytes: 512 << 20 };

    fn speed(per_second: u64) -> Speed {
        let mut speed = Speed::default();
        speed.sample(Duration::ZERO, 0);
        speed.sample(Duration::from_secs(1), per_second);
        speed
    }

    #[test]
    fn a_resumed_run_counts_its_own_work_but_shows_all_of_it() {
        let snapshot = Snapshot {
            phase: Some(Phase::Run),
            bytes_expected: Some(3000),
            records: 50,
            source_bytes: 1000,
            ..Snapshot::default()
        };
        let done = Done::of(&snapshot, &SCOPE).unwrap();
        assert_eq!(done, Done { before: 1000, now: 1000, total: 4000 });
        insta::assert_snapshot!(figures(&snapshot, &SCOPE, &speed(50), &speed(500)), @" 50%  50 nodes  50 nodes/s  ETA 4.0 s");
    }

    #[test]
    fn known_records_are_counted_rather_than_bytes() {
        let snapshot = Snapshot {
            phase: Some(Phase::Verify),
            records: 45_000,
            records_expected: Some(100_000),
            bytes_expected: Some(7),
            ..Snapshot::default()
        };
        insta::assert_snapshot!(figures(&snapshot, &SCOPE, &speed(1), &speed(0)), @" 45%  45,000/100,000 nodes  1 nodes/s");
        let nothing = Snapshot { records_expected: None, bytes_expected: None, ..snapshot };
        insta::assert_snapshot!(figures(&nothing, &SCOPE, &speed(1), &speed(1)), @"45,000 nodes  1 nodes/s");
    }

    #[test]
    fn the_status_shows_memory_and_checkpoint() {
        let mut snapshot = Snapshot { budget_in_use_bytes: 12 << 20, ..Snapshot::default() };
        insta::assert_snapshot!(status(&snapshot, &SCOPE), @"memory 12.0 MiB of 512.0 MiB");
        snapshot.checkpoint = Some((40_000, Duration::from_secs(125)));
        insta::assert_snapshot!(status(&snapshot, &SCOPE), @"memory 12.0 MiB of 512.0 MiB  last checkpoint at 40,000 nodes, 2 min 05 s ago");
    }

    #[test]
    fn a_phase_that_ended_is_one_line() {
        let snapshot = Snapshot {
            phase: Some(Phase::Run),
            elapsed: Duration::from_millis(2500),
            records: 100_000,
            source_bytes: 345 << 20,
            ..Snapshot::default()
        };
        insta::assert_snapshot!(ended(&snapshot, &SCOPE).unwrap(), @"run      100,000 nodes, 345.0 MiB in 2.5 s, 40,000 nodes/s");
        let empty = Snapshot { phase: Some(Phase::Seal), ..Snapshot::default() };
        insta::assert_snapshot!(ended(&empty, &SCOPE).unwrap(), @"seal     0 ms");
        assert_eq!(ended(&Snapshot::default(), &SCOPE), None);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0.04, 9.99, 59.9, 61.0, 7620.0].map(|seconds| duration_text(Duration::from_secs_f64(seconds)));
        assert_eq!(texts, ["40 ms", "9.9 s", "59 s", "1 min 01 s", "2 h 07 min"]);
    }
}
