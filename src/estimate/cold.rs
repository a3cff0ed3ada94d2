//! What no small probe shows: it works on a copy that the system has in memory.

use super::answer::Correction;
use crate::migration::probe::{Amount, Drawn};
use crate::pipeline::Phase;

/// If less of a sample was in memory, its time is that of the disk.
const COLD_BELOW: f64 = 0.5;

/// Returns what a source costs that is not in memory, and adds it to its phase: reading goes on while the rest is done, so
/// only what it takes longer than that counts.
pub(super) fn corrections(whole: Amount, looked_at: &Drawn, phases: &mut [(Phase, f64)]) -> Vec<Correction> {
    let Some(rate) = cold_rate(looked_at) else { return Vec::new() };
    let cold_bytes = whole.source_bytes as f64 * (1.0 - looked_at.cached_share.unwrap_or(1.0));
    let Some((_, run)) = phases.iter_mut().find(|(phase, _)| *phase == Phase::Run) else { return Vec::new() };
    let seconds = cold_bytes / rate - *run;
    if seconds <= 0.0 {
        return Vec::new();
    }
    *run += seconds;
    vec![Correction { name: "cold_source", seconds }]
}

/// Returns how many bytes a second the disk gives, if the sample shows that.
fn cold_rate(looked_at: &Drawn) -> Option<f64> {
    let cached = looked_at.cached_share.filter(|share| *share < COLD_BELOW)?;
    let (bytes, seconds) = (looked_at.amount.source_bytes as f64 * (1.0 - cached), looked_at.took.as_secs_f64());
    (bytes > 0.0 && seconds > 0.0).then(|| bytes / seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn drawn(cached_share: Option<f64>) -> Drawn {
        let amount = Amount { records: 10, source_bytes: 1_000, cost_bytes: 1_000 };
        Drawn { amount, took: Duration::from_secs(1), cached_share, ..Drawn::default() }
    }

    #[test]
    fn a_source_on_the_disk_takes_as_long_as_the_disk() {
        let whole = Amount { source_bytes: 100_000, ..Amount::default() };
        let mut phases = [(Phase::Scan, 1.0), (Phase::Run, 30.0)];
        let found = corrections(whole, &drawn(Some(0.0)), &mut phases);
        assert_eq!(found, [Correction { name: "cold_source", seconds: 70.0 }]);
        assert_eq!(phases, [(Phase::Scan, 1.0), (Phase::Run, 100.0)]);
    }

    #[test]
    fn a_source_in_memory_and_one_that_is_fast_enough_change_nothing() {
        let whole = Amount { source_bytes: 100_000, ..Amount::default() };
        for (share, run) in [(Some(1.0), 30.0), (None, 30.0), (Some(0.0), 200.0)] {
            let mut phases = [(Phase::Run, run)];
            assert_eq!(corrections(whole, &drawn(share), &mut phases), []);
            assert_eq!(phases, [(Phase::Run, run)]);
        }
    }
}
