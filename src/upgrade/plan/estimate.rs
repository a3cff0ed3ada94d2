//! How long the phases may take, from how long their work took on the private copies.

use std::time::Duration;

use super::model::PhaseEstimate;

/// What was measured while the plan was made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    /// How many databases there are.
    pub files: u32,
    /// Copying them.
    pub copy: Duration,
    /// Taking their baselines.
    pub baseline: Duration,
    /// The groups of statements.
    pub schema: Duration,
    /// The backfills.
    pub backfill: Duration,
}

/// What a file costs in a phase whatever its length: it waits for the disk a few times.
const PER_FILE: Duration = Duration::from_millis(20);
/// What a switch costs: records that are made durable one after the other.
const SWITCH: Duration = Duration::from_millis(120);
/// What the timed queries of the verification cost at least.
const QUERIES: Duration = Duration::from_millis(150);
/// Nine runs in ten take at most so many times as long as half of them: other work on the same disk.
const SLOW: u32 = 3;

/// Returns the estimate of each phase. Waiting for writers, commands of the operator and soak times are no part of it.
pub(super) fn estimate(measured: &Measured) -> Vec<PhaseEstimate> {
    let disk = PER_FILE * measured.files;
    // A backup and a working copy of each file are written, and the backup is read for its digests. Where the databases were
    // written to since the plan, it is made again, which takes as long as it took.
    let freeze = measured.copy * 2 + measured.baseline * 3 / 4 + disk * 2;
    let phases = [
        ("freeze", freeze),
        ("schema", measured.schema + disk * 2),
        ("backfill", measured.backfill * 5 / 4 + disk * 3),
        ("verify", measured.baseline * 3 / 2 + disk + QUERIES),
        ("cutover", SWITCH + disk / 2),
    ];
    phases.into_iter().map(|(phase, half)| range(phase, half)).collect()
}

fn range(phase: &str, half: Duration) -> PhaseEstimate {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    PhaseEstimate { phase: phase.into(), p10_ms: ms(half / 2), p50_ms: ms(half), p90_ms: ms(half * SLOW) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_grow_with_what_was_measured_and_are_ranges() {
        let second = Duration::from_secs(1);
        let small = Measured { files: 1, ..Measured::default() };
        let large = Measured { files: 3, copy: second, baseline: second, schema: second, backfill: second * 5 };
        let (small, large) = (estimate(&small), estimate(&large));
        let names: Vec<_> = small.iter().map(|phase| phase.phase.as_str()).collect();
        assert_eq!(names, ["freeze", "schema", "backfill", "verify", "cutover"]);
        for (small, large) in small.iter().zip(&large) {
            assert!(small.p50_ms > 0 && small.p50_ms < large.p50_ms);
            assert!(large.p10_ms < large.p50_ms && large.p50_ms < large.p90_ms);
        }
        assert!(large[2].p50_ms >= 5000);
    }
}
