//! A whole run as the history keeps it, with the forecast that was made of it.

use serde::{Deserialize, Serialize};

use super::centre::{Centre, Probed, Relation};
use super::range::scale;
use crate::migration::report::parts::Quantiles;
use crate::pipeline::Phase;

/// Version of the line.
const VERSION: u32 = 1;
/// Shorter runs teach nothing: of theirs, what every run has decides.
const SECONDS_MIN: f64 = 1.0;
/// Of more runs the last ones count.
pub const RUNS_MAX: usize = 50;

/// A run that went from its beginning to its goal in one attempt. It holds no path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// Version of the line.
    pub v: u32,
    /// When it ended, as RFC 3339 in UTC.
    pub at: String,
    /// Which kind of store.
    pub kind: String,
    /// The first 16 hexadecimal digits of the BLAKE3 digest of the target's path.
    pub path: String,
    /// Records.
    pub records: u64,
    /// Their bytes in the source.
    pub source_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// How much of that each phase took.
    pub phases: Vec<(Phase, f64)>,
    /// True if a limit on records a second decided how long it took.
    pub is_limited: bool,
    /// The forecast that was made of it.
    pub forecast: Option<PastForecast>,
}

/// A forecast of a run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastForecast {
    /// From what it was made: `probe` or `history`.
    pub basis: String,
    /// What it said.
    pub predicted: Quantiles,
    /// The most likely time before earlier errors moved it.
    pub centre: f64,
    /// How far it was expected to be off, as a logarithm.
    pub scale: f64,
    /// What it was made from; `None` if from history alone.
    pub probe: Option<Probed>,
    /// The size of the run; see [`Amount::cost_bytes`](crate::migration::probe::Amount::cost_bytes).
    pub cost_bytes: u64,
    /// The run's time by the expected `p50`.
    pub ratio: f64,
    /// True if it lay from `p10` to `p90`.
    pub in_range: bool,
}

impl PastRun {
    /// The version that is written.
    pub const VERSION: u32 = VERSION;

    /// Returns true if its time says something of others.
    fn teaches(&self) -> bool {
        !self.is_limited && self.seconds >= SECONDS_MIN
    }

    /// Returns how it related to its probe. `None`: it had none, or says nothing of others.
    pub fn relation(&self) -> Option<Relation> {
        let forecast = self.forecast.as_ref().filter(|_| self.teaches())?;
        let probe = forecast.probe.filter(|probe| probe.seconds > 0.0 && probe.cost_bytes > 0.0)?;
        let size = (forecast.cost_bytes.max(1) as f64 / probe.cost_bytes).ln();
        Some(Relation { size, time: (self.seconds / probe.seconds).ln() }).filter(|run| run.time.is_finite())
    }

    /// Returns how far its forecast was off, by what was expected of that. `None`: it had none, or says nothing of others.
    pub fn residual(&self) -> Option<f64> {
        let forecast = self.forecast.as_ref().filter(|_| self.teaches())?;
        let residual = (self.seconds / forecast.centre).ln() / forecast.scale;
        residual.is_finite().then_some(residual)
    }
}

/// Returns the relations of the last runs of a kind.
pub fn relations(past: &[PastRun], kind: &str) -> Vec<Relation> {
    last(past.iter().filter(|run| run.kind == kind).filter_map(PastRun::relation))
}

/// Returns the residuals of the last runs of all kinds.
pub fn residuals(past: &[PastRun]) -> Vec<f64> {
    last(past.iter().filter_map(PastRun::residual))
}

/// Returns what runs of a kind say of one of `records` records and `source_bytes` bytes: its most likely time, its phases, and
/// how far that may be off. `None`: there are too few.
pub fn centre_from_history(past: &[PastRun], kind: &str, records: u64, source_bytes: u64) -> Option<Centre> {
    // Both count: of small records the number decides, of large ones the bytes.
    let size = |records: u64, bytes: u64| f64::midpoint((records.max(1) as f64).ln(), (bytes.max(1) as f64).ln());
    let runs = last(past.iter().filter(|run| run.kind == kind && run.teaches()));
    let relations: Vec<_> =
        runs.iter().map(|run| Relation { size: size(run.records, run.source_bytes), time: run.seconds.ln() }).collect();
    let (at_zero, exponent) = super::centre::relation_of(&relations)?;
    let size = size(records, source_bytes);
    let mean = relations.iter().map(|run| run.size).sum::<f64>() / relations.len() as f64;
    let seconds = (at_zero + exponent * size).exp();
    let last = runs.last()?;
    let phases = last.phases.iter().map(|(phase, took)| (*phase, took / last.seconds * seconds)).collect();
    Some(Centre { seconds, phases, scale: scale(0.0, size - mean) })
}

fn last<T>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = all.collect();
    all.drain(..all.len().saturating_sub(RUNS_MAX));
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run that took `seconds` for `records` records of 100 bytes, and was expected to take `centre`.
    pub(crate) fn past(kind: &str, records: u64, seconds: f64, centre: Option<f64>) -> PastRun {
        let forecast = centre.map(|centre| PastForecast {
            basis: "probe".into(),
            predicted: Quantiles { p10: centre / 2.0, p50: centre, p90: centre * 2.0 },
            centre,
            scale: 0.5,
            probe: Some(Probed { seconds: 1.0, cost_bytes: 1_000.0, noise: 0.1 }),
            cost_bytes: records * 100,
            ratio: seconds / centre,
            in_range: seconds >= centre / 2.0 && seconds <= centre * 2.0,
        });
        PastRun {
            v: VERSION,
            at: "2026-11-21T01:18:09.000Z".into(),
            kind: kind.into(),
            path: "0123456789abcdef".into(),
            records,
            source_bytes: records * 100,
            seconds,
            phases: vec![(Phase::Run, seconds * 0.8), (Phase::Verify, seconds * 0.2)],
            is_limited: false,
            forecast,
        }
    }

    #[test]
    fn runs_that_a_limit_decided_teach_nothing() {
        let free = past("space", 1_000, 8.0, Some(4.0));
        assert!((free.residual().unwrap() - 2.0_f64.ln() / 0.5).abs() < 1e-9);
        assert_eq!(free.relation().unwrap(), Relation { size: 100.0_f64.ln(), time: 8.0_f64.ln() });
        let limited = PastRun { is_limited: true, ..free };
        assert_eq!((limited.residual(), limited.relation()), (None, None));
        let short = PastRun { seconds: 0.5, is_limited: false, ..limited };
        assert_eq!((short.residual(), short.relation()), (None, None));
        assert_eq!(past("space", 1_000, 8.0, None).residual(), None);
    }

    #[test]
    fn relations_are_of_a_kind_and_residuals_of_all() {
        let mut all: Vec<_> = (0..60).map(|_| past("cas", 10, 1.0, Some(1.0))).collect();
        all.push(past("space", 10, 1.0, Some(1.0)));
        assert_eq!((relations(&all, "space").len(), relations(&all, "cas").len()), (1, RUNS_MAX));
        assert_eq!(residuals(&all).len(), RUNS_MAX);
    }

    #[test]
    fn without_a_probe_three_runs_of_the_kind_say_how_long_it_takes() {
        let runs = [(1_000, 1.0), (2_000, 2.0), (4_000, 4.0)];
        let past: Vec<_> = runs.map(|(records, seconds)| past("space", records, seconds, None)).into_iter().collect();
        let Centre { seconds, phases, scale } = centre_from_history(&past, "space", 8_000, 800_000).unwrap();
        assert!((seconds - 8.0).abs() < 1e-6, "{seconds}");
        assert!((phases[0].1 - 6.4).abs() < 1e-6 && scale > 0.35);
        assert_eq!(centre_from_history(&past, "cas", 8_000, 1), None);
        assert_eq!(centre_from_history(&past[..2], "space", 8_000, 1), None);
    }
}
