//! The most likely time of a whole run, from the times of its parts (docs/estimate.md).

use serde::{Deserialize, Serialize};

use crate::pipeline::Phase;

/// Graded runs that are needed before they say how a run relates to its probe.
const RUNS_MIN: usize = 3;
/// Between these lies how much longer a run takes with its size, as an exponent.
const EXPONENTS: (f64, f64) = (0.5, 1.2);
/// A time is never taken for shorter, in seconds.
const SECONDS_MIN: f64 = 1e-3;

/// One part of a source, migrated by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ProbeRun {
    /// Its size; see [`Amount::cost_bytes`](crate::migration::probe::Amount::cost_bytes).
    pub cost_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// How much of that each phase took.
    pub phases: Vec<(Phase, f64)>,
}

/// Parts of two sizes, each migrated twice.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ProbeTimes {
    /// The smaller ones.
    pub small: [ProbeRun; 2],
    /// The larger ones.
    pub large: [ProbeRun; 2],
}

/// What the probes come to: what the machine is like now.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Probed {
    /// Geometric mean of their times.
    pub seconds: f64,
    /// Geometric mean of their sizes.
    pub cost_bytes: f64,
    /// How far apart two probes of the same size are: the standard deviation of the logarithm of one.
    pub noise: f64,
}

/// The most likely time of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Centre {
    /// Seconds.
    pub seconds: f64,
    /// How much of that each phase takes.
    pub phases: Vec<(Phase, f64)>,
    /// How far it may be off, as a logarithm.
    pub scale: f64,
}

/// How a run related to its probe: both logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relation {
    /// Of how many times larger the run was.
    pub size: f64,
    /// Of how many times longer it took.
    pub time: f64,
}

impl ProbeTimes {
    /// Returns what they come to.
    pub fn probed(&self) -> Probed {
        let all = || self.small.iter().chain(&self.large);
        let mean = |of: &dyn Fn(&ProbeRun) -> f64| (all().map(|run| of(run).ln()).sum::<f64>() / 4.0).exp();
        let apart = [&self.small, &self.large].map(|[a, b]| (positive(a.seconds) / positive(b.seconds)).ln().powi(2));
        Probed {
            seconds: mean(&|run| positive(run.seconds)),
            cost_bytes: mean(&|run| run.cost_bytes.max(1) as f64),
            noise: (apart.iter().sum::<f64>() / 4.0).sqrt(),
        }
    }

    /// Returns the most likely time of `cost_bytes`: of the whole, and of each phase.
    pub fn centre(&self, cost_bytes: u64, before: &[Relation]) -> (f64, Vec<(Phase, f64)>) {
        let phases = self.phases(cost_bytes);
        let seconds = match relation_of(before) {
            Some((at_same_size, exponent)) => {
                let probed = self.probed();
                let size = (cost_bytes.max(1) as f64 / probed.cost_bytes).ln();
                probed.seconds * (at_same_size + exponent * size).exp()
            }
            None => self.scaled(cost_bytes, |run| run.seconds),
        };
        (positive(seconds), phases)
    }

    fn phases(&self, cost_bytes: u64) -> Vec<(Phase, f64)> {
        let of = |run: &ProbeRun, phase: Phase| {
            run.phases.iter().filter(|(other, _)| *other == phase).map(|(_, seconds)| seconds).sum::<f64>()
        };
        let mut phases: Vec<(Phase, f64)> = Vec::new();
        for (phase, _) in self.large.iter().chain(&self.small).flat_map(|run| &run.phases) {
            if phases.iter().all(|(other, _)| other != phase) {
                phases.push((*phase, self.scaled(cost_bytes, |run| of(run, *phase))));
            }
        }
        phases
    }

    /// Returns the geometric mean of two lines: through both sizes, and through the larger one and the origin. The first is
    /// right on average and varies, the second is steady and too high, because the fixed part of the time grows with it.
    fn scaled(&self, cost_bytes: u64, of: impl Fn(&ProbeRun) -> f64) -> f64 {
        let mean = |runs: &[ProbeRun; 2]| (positive(of(&runs[0])) * positive(of(&runs[1]))).sqrt();
        let size = |runs: &[ProbeRun; 2]| (runs[0].cost_bytes + runs[1].cost_bytes) as f64 / 2.0;
        let ((small, large), (from, to)) =
            ((size(&self.small), size(&self.large)), (mean(&self.small), mean(&self.large)));
        let whole = cost_bytes as f64;
        // The larger probe was the whole source.
        if whole <= large || large <= small {
            return to;
        }
        let by_origin = to * whole / large;
        let by_both = to + (to - from) / (large - small) * (whole - large);
        (by_both.clamp(to, by_origin.max(to)) * by_origin).sqrt()
    }
}

fn positive(seconds: f64) -> f64 {
    seconds.max(SECONDS_MIN)
}

/// Returns the straight line through what is known of earlier runs: the time at the same size, and the exponent.
pub fn relation_of(before: &[Relation]) -> Option<(f64, f64)> {
    if before.len() < RUNS_MIN {
        return None;
    }
    let runs = before.len() as f64;
    let (size, time) = before.iter().fold((0.0, 0.0), |sum, run| (sum.0 + run.size / runs, sum.1 + run.time / runs));
    let (together, alone) = before.iter().fold((0.0, 0.0), |sum, run| {
        let apart = run.size - size;
        (sum.0 + apart * (run.time - time), sum.1 + apart * apart)
    });
    // Runs of one size say nothing of others: twice as much takes twice as long.
    let exponent = if alone > 1e-3 { (together / alone).clamp(EXPONENTS.0, EXPONENTS.1) } else { 1.0 };
    Some((time - exponent * size, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cost_bytes: u64, seconds: f64) -> ProbeRun {
        let phases = vec![(Phase::Run, seconds * 0.75), (Phase::Verify, seconds * 0.25)];
        ProbeRun { cost_bytes, seconds, phases }
    }

    fn times(small: [f64; 2], large: [f64; 2]) -> ProbeTimes {
        ProbeTimes { small: small.map(|seconds| run(1_000, seconds)), large: large.map(|seconds| run(4_000, seconds)) }
    }

    #[test]
    fn without_history_it_lies_between_the_two_lines() {
        // 1 s, and 1 s for each 1,000.
        let probes = times([2.0, 2.0], [5.0, 5.0]);
        let (seconds, phases) = probes.centre(100_000, &[]);
        assert!((seconds - (101.0_f64 * 125.0).sqrt()).abs() < 1e-6, "{seconds}");
        assert_eq!(phases.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(), [Phase::Run, Phase::Verify]);
        let sum: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
        assert!((sum - seconds).abs() < 1e-6);
    }

    #[test]
    fn what_the_larger_probe_covers_takes_as_long_as_it_did() {
        let probes = times([2.0, 2.0], [5.0, 5.0]);
        assert_eq!((probes.centre(4_000, &[]).0, probes.centre(3_000, &[]).0), (5.0, 5.0));
        // Where the larger one was faster, more does not take less.
        assert!(times([6.0, 6.0], [5.0, 5.0]).centre(100_000, &[]).0 >= 5.0);
        // An empty source, and times of nothing.
        let nothing = ProbeTimes::default();
        assert!(nothing.centre(0, &[]).0 > 0.0 && nothing.probed().noise == 0.0);
    }

    #[test]
    fn earlier_runs_say_how_a_run_relates_to_its_probe() {
        let probes = times([2.0, 2.0], [8.0, 8.0]);
        let probed = probes.probed();
        assert!((probed.seconds - 4.0).abs() < 1e-9 && (probed.cost_bytes - 2_000.0).abs() < 1e-6);
        // Each took 1.5 times what its size says.
        let before: Vec<_> =
            [1.0, 2.0, 3.0].map(|size: f64| Relation { size, time: size + 1.5_f64.ln() }).into_iter().collect();
        assert!((probes.centre(200_000, &before).0 - 600.0).abs() < 1e-6);
        // Two runs are too few to go by.
        assert_eq!(probes.centre(200_000, &before[..2]).0, probes.centre(200_000, &[]).0);
    }

    #[test]
    fn the_exponent_stays_within_reason() {
        let steep = |by: f64| [0.0, 1.0, 2.0].map(|size| Relation { size, time: size * by });
        assert_eq!(relation_of(&steep(3.0)).unwrap().1, 1.2);
        assert_eq!(relation_of(&steep(0.1)).unwrap().1, 0.5);
        let (at_same_size, exponent) = relation_of(&[Relation { size: 2.0, time: 2.5 }; 5]).unwrap();
        assert!((at_same_size - 0.5).abs() < 1e-9 && exponent == 1.0);
    }

    #[test]
    fn noise_is_how_far_two_of_a_size_lie_apart() {
        assert_eq!(times([1.0, 1.0], [4.0, 4.0]).probed().noise, 0.0);
        let e = std::f64::consts::E;
        assert!((times([1.0, e], [4.0, 4.0 * e]).probed().noise - 0.5_f64.sqrt()).abs() < 1e-9);
    }
}
