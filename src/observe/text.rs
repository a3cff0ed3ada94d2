//! Progress as text.

use std::time::Duration;

use super::scope::Scope;
use crate::migration::units::{bytes_text, count_text};
use crate::pipeline::Phase;
use crate::pipeline::tally::PhaseTally;

/// Returns the name of the records of a phase.
pub(super) fn noun(phase: Phase, scope: &Scope) -> &'static str {
    if phase == Phase::Backfill { "rows" } else { scope.records_noun }
}

/// Returns one line for a phase that ended: `run      100,000 nodes, 345.2 MiB in 3.2 s, 31,000 nodes/s`.
pub(super) fn ended(tally: &PhaseTally, scope: &Scope) -> String {
    let (phase, noun, took) = (tally.phase, noun(tally.phase, scope), duration_text(tally.took));
    if tally.records == 0 {
        return format!("{phase:<8} {took}");
    }
    let rate = count_text((tally.records as f64 / tally.took.as_secs_f64().max(1e-6)) as u64);
    let mut amount = format!("{} {noun}", count_text(tally.records));
    if tally.source_bytes > 0 {
        amount = format!("{amount}, {}", bytes_text(tally.source_bytes));
    }
    format!("{phase:<8} {amount} in {took}, {rate} {noun}/s")
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

/// Returns a number of seconds as [`duration_text`] does, `unknown` for what is no time.
pub fn seconds_text(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "unknown".to_owned(), duration_text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tally::Waited;

    const SCOPE: Scope = Scope { records_noun: "nodes", source_bytes: Some(4000), budget_bytes: 512 << 20 };

    #[test]
    fn a_phase_that_ended_is_one_line() {
        let mut tally = PhaseTally {
            phase: Phase::Run,
            took: Duration::from_millis(2500),
            records: 100_000,
            source_bytes: 345 << 20,
            waited: Waited::default(),
        };
        insta::assert_snapshot!(ended(&tally, &SCOPE), @"run      100,000 nodes, 345.0 MiB in 2.5 s, 40,000 nodes/s");
        tally = PhaseTally { phase: Phase::Seal, took: Duration::ZERO, records: 0, source_bytes: 0, ..tally };
        insta::assert_snapshot!(ended(&tally, &SCOPE), @"seal     0 ms");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0.04, 9.99, 59.9, 61.0, 7620.0].map(|seconds| duration_text(Duration::from_secs_f64(seconds)));
        assert_eq!(texts, ["40 ms", "9.9 s", "59 s", "1 min 01 s", "2 h 07 min"]);
    }
}
