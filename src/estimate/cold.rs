//! What no small probe shows: it works on a copy that the system has in memory.

use super::answer::Correction;
use crate::migration::probe::{Amount, Drawn};
use crate::pipeline::Phase;

/// If less of a sample was in memory, its time is that of the disk.
const COLD_BELOW: f64 = 0.5;

/// What does not fit into memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beyond {
    /// The length of the finished store.
    pub(super) target_bytes: u64,
    /// Memory that the system can keep files in; `None` if that is not known.
    pub(super) memory_bytes: Option<u64>,
}

/// Returns what it costs that source and store are not in memory, and adds it to the phases. Reading a source goes on while
/// the rest is done, so only what it takes longer than that counts.
pub(super) fn corrections(
    whole: Amount,
    looked_at: &Drawn,
    beyond: Beyond,
    phases: &mut [(Phase, f64)],
) -> Vec<Correction> {
    let Some(rate) = cold_rate(looked_at) else { return Vec::new() };
    let cold_bytes = whole.source_bytes as f64 * (1.0 - looked_at.cached_share.unwrap_or(1.0));
    let unread_bytes = beyond.memory_bytes.map_or(0, |memory| beyond.target_bytes.saturating_sub(memory));
    let of = |phase: Phase| phases.iter().find(|(other, _)| *other == phase).map(|(_, seconds)| *seconds);
    let found = [
        ("cold_source", Phase::Run, of(Phase::Run).map(|run| cold_bytes / rate - run)),
        ("cold_verify", Phase::Verify, of(Phase::Verify).map(|_| unread_bytes as f64 / rate)),
    ];
    let mut corrections = Vec::new();
    for (name, phase, seconds) in found {
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) else { continue };
        phases.iter_mut().filter(|(other, _)| *other == phase).for_each(|(_, of)| *of += seconds);
        corrections.push(Correction { name, seconds });
    }
    corrections
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

    const WHOLE: Amount = Amount { records: 1_000, source_bytes: 100_000, cost_bytes: 0 };

    fn drawn(cached_share: Option<f64>) -> Drawn {
        let amount = Amount { records: 10, source_bytes: 1_000, cost_bytes: 1_000 };
        Drawn { amount, took: Duration::from_secs(1), cached_share, ..Drawn::default() }
    }

    #[test]
    fn a_source_on_the_disk_takes_as_long_as_the_disk() {
        let mut phases = [(Phase::Scan, 1.0), (Phase::Run, 30.0)];
        let found = corrections(WHOLE, &drawn(Some(0.0)), Beyond::default(), &mut phases);
        assert_eq!(found, [Correction { name: "cold_source", seconds: 70.0 }]);
        assert_eq!(phases, [(Phase::Scan, 1.0), (Phase::Run, 100.0)]);
    }

    #[test]
    fn what_a_verification_cannot_find_in_memory_is_read_from_the_disk() {
        let beyond = Beyond { target_bytes: 90_000, memory_bytes: Some(60_000) };
        let mut phases = [(Phase::Run, 500.0), (Phase::Verify, 2.0)];
        let found = corrections(WHOLE, &drawn(Some(0.0)), beyond, &mut phases);
        assert_eq!(found, [Correction { name: "cold_verify", seconds: 30.0 }]);
        assert_eq!(phases[1], (Phase::Verify, 32.0));
    }

    #[test]
    fn a_source_in_memory_and_one_that_is_fast_enough_change_nothing() {
        for (share, run) in [(Some(1.0), 30.0), (None, 30.0), (Some(0.0), 200.0)] {
            let mut phases = [(Phase::Run, run)];
            assert_eq!(corrections(WHOLE, &drawn(share), Beyond::default(), &mut phases), []);
            assert_eq!(phases, [(Phase::Run, run)]);
        }
    }
}
