//! Whether a run ends in time, and with how many workers.

use serde::Serialize;

use crate::migration::report::parts::Quantiles;
use crate::pipeline::Phase;

/// How long a run takes with a number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WithWorkers {
    /// Threads that convert.
    pub workers: u64,
    /// How long it takes, in seconds.
    #[serde(flatten)]
    pub seconds: Quantiles,
}

/// What a deadline asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deadline {
    /// Seconds that are given.
    pub seconds: f64,
    /// True if nine runs in ten end in time as they are asked for.
    pub fits: bool,
    /// The fewest workers, at most one a processor, with which nine runs in ten end in time; `None` if no number is enough.
    pub workers_needed: Option<u64>,
    /// The phases that more workers do not shorten, with their seconds.
    pub not_divided: Vec<(Phase, f64)>,
}

/// Returns the numbers of workers that are worth a line: 1, 2, 4 and so on, the processors, and those that were asked for.
pub(super) fn numbers_of_workers(processors: u64, asked_for: u64) -> Vec<u64> {
    let doubled = std::iter::successors(Some(1), |workers: &u64| workers.checked_mul(2));
    let mut numbers: Vec<_> = doubled.take_while(|workers| *workers < processors).collect();
    numbers.extend([processors, asked_for]);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Returns what a deadline asks for. `table` has the numbers of workers in ascending order.
pub(super) fn deadline(
    seconds: f64,
    asked_for: u64,
    processors: u64,
    table: &[WithWorkers],
    phases: &[(Phase, f64)],
) -> Deadline {
    let is_in_time = |row: &&WithWorkers| row.seconds.p90 <= seconds;
    let fits = table.iter().find(|row| row.workers == asked_for).is_some_and(|row| is_in_time(&row));
    let workers_needed = table.iter().filter(|row| row.workers <= processors).find(is_in_time).map(|row| row.workers);
    let not_divided = phases.iter().filter(|(phase, _)| *phase != Phase::Run).copied().collect();
    Deadline { seconds, fits, workers_needed, not_divided }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<WithWorkers> {
        let row = |workers, p90| WithWorkers { workers, seconds: Quantiles { p10: 1.0, p50: p90 / 2.0, p90 } };
        vec![row(1, 100.0), row(2, 60.0), row(4, 40.0), row(16, 30.0)]
    }

    #[test]
    fn the_fewest_workers_that_are_enough_are_named() {
        let phases = [(Phase::Scan, 5.0), (Phase::Run, 50.0), (Phase::Verify, 5.0)];
        let of = |seconds| deadline(seconds, 2, 4, &table(), &phases);
        assert!(of(60.0).fits && of(60.0).workers_needed == Some(2));
        assert!(!of(50.0).fits && of(50.0).workers_needed == Some(4));
        // Sixteen would do, but there are four processors.
        assert_eq!(of(35.0).workers_needed, None);
        assert_eq!(of(35.0).not_divided, [(Phase::Scan, 5.0), (Phase::Verify, 5.0)]);
    }

    #[test]
    fn each_number_has_one_line() {
        assert_eq!(numbers_of_workers(6, 3), [1, 2, 3, 4, 6]);
        assert_eq!(numbers_of_workers(1, 1), [1]);
        assert_eq!(numbers_of_workers(2, 8), [1, 2, 8]);
    }
}
