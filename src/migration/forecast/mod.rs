//! How long a migration will take, as a range, and how good such forecasts were (docs/estimate.md).

pub mod centre;
pub mod graded;
mod history;
pub mod range;
mod stored;

pub use history::History;
pub use stored::{ESTIMATE_NAME, StoredForecast};

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use self::centre::{Centre, ProbeTimes, Probed};
use self::graded::{PastForecast, PastRun, centre_from_history, relations, residuals};
use super::report::parts::{Grade, Quantiles};
use crate::pipeline::{ForecastFigures, Phase, burst_records};

/// A forecast that can be graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// What it says.
    pub figures: ForecastFigures,
    /// The most likely time before earlier errors moved it, in seconds.
    pub centre: f64,
    /// How far it is expected to be off, as a logarithm.
    pub scale: f64,
    /// What it was made from; `None` if from history alone.
    pub probe: Option<Probed>,
    /// The size of the run; see [`Amount::cost_bytes`](super::probe::Amount::cost_bytes).
    pub cost_bytes: u64,
    /// Seconds that a limit on records a second leaves at least; `None` without a limit.
    pub floor: Option<f64>,
}

impl Forecast {
    /// Returns the forecast that probes make of a run of this size. `correct` changes the most likely time for what no small
    /// probe shows.
    pub fn of_probes(
        past: &[PastRun],
        kind: &str,
        probes: &ProbeTimes,
        cost_bytes: u64,
        correct: impl FnOnce(&mut Vec<(Phase, f64)>) -> f64,
    ) -> Self {
        let (mut seconds, mut phases) = probes.centre(cost_bytes, &relations(past, kind));
        seconds += correct(&mut phases);
        let probed = probes.probed();
        let size = (cost_bytes.max(1) as f64 / probed.cost_bytes).ln();
        let scale = range::scale(probed.noise, size);
        Self::new(past, "probe", Centre { seconds, phases, scale }, Some(probed), cost_bytes)
    }

    /// Returns the forecast that earlier runs make of one of this size; `None` if there are too few.
    pub fn of_history(past: &[PastRun], kind: &str, records: u64, source_bytes: u64) -> Option<Self> {
        let centre = centre_from_history(past, kind, records, source_bytes)?;
        Some(Self::new(past, "history", centre, None, source_bytes))
    }

    fn new(
        past: &[PastRun],
        basis: &str,
        Centre { seconds: centre, phases, scale }: Centre,
        probe: Option<Probed>,
        cost_bytes: u64,
    ) -> Self {
        let Quantiles { p10, p50, p90 } = range::range(centre, scale, &residuals(past));
        let sum: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
        let shares = phases.into_iter().map(|(phase, seconds)| (phase, seconds / sum.max(centre))).collect();
        let figures = ForecastFigures { p10, p50, p90, basis: basis.to_owned(), phases: shares };
        Self { figures, centre, scale, probe, cost_bytes, floor: None }
    }

    /// Returns the seconds in which a limit lets so many records pass: all but the first ones wait.
    pub fn floor_of(records: u64, limit: NonZeroU32) -> f64 {
        records.saturating_sub(u64::from(burst_records(limit))) as f64 / f64::from(limit.get())
    }

    /// Returns the same under a limit on records a second: no less than the time that it takes `records` records to pass.
    #[must_use]
    pub fn limited(mut self, records: u64, limit: Option<NonZeroU32>) -> Self {
        let Some(limit) = limit else { return self };
        let floor = Self::floor_of(records, limit);
        let figures = &mut self.figures;
        let free = figures.p50;
        for seconds in [&mut figures.p10, &mut figures.p50, &mut figures.p90] {
            *seconds = seconds.max(floor);
        }
        // The limit holds up `run` alone: the other phases take as long as without it.
        let (part, mut rest) = (free / figures.p50.max(f64::MIN_POSITIVE), 1.0);
        for (_, share) in figures.phases.iter_mut().filter(|(phase, _)| *phase != Phase::Run) {
            *share *= part;
            rest -= *share;
        }
        for (_, share) in figures.phases.iter_mut().filter(|(phase, _)| *phase == Phase::Run) {
            *share = if part < 1.0 { rest } else { *share };
        }
        self.floor = Some(floor);
        self
    }

    /// Returns true if a limit decides how long the run takes.
    pub fn is_limited(&self) -> bool {
        self.floor.is_some_and(|floor| floor >= self.figures.p50)
    }

    /// Returns how good it was for a run that took `seconds`.
    pub fn grade(&self, seconds: f64) -> Grade {
        let ForecastFigures { p10, p50, p90, .. } = self.figures;
        Grade {
            predicted: Quantiles { p10, p50, p90 },
            actual: seconds,
            ratio: seconds / p50.max(1e-3),
            in_range: (p10..=p90).contains(&seconds),
            basis: self.figures.basis.clone(),
        }
    }

    /// Returns the same for the history.
    pub fn past(&self, grade: &Grade) -> PastForecast {
        PastForecast {
            basis: grade.basis.clone(),
            predicted: grade.predicted,
            centre: self.centre,
            scale: self.scale,
            probe: self.probe,
            cost_bytes: self.cost_bytes,
            ratio: grade.ratio,
            in_range: grade.in_range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::centre::ProbeRun;
    use super::graded::tests::past;
    use super::*;

    fn probes() -> ProbeTimes {
        let run = |cost_bytes: u64, seconds: f64| ProbeRun { cost_bytes, seconds, phases: vec![(Phase::Run, seconds)] };
        ProbeTimes { small: [run(1_000, 1.0), run(1_000, 1.0)], large: [run(4_000, 4.0), run(4_000, 4.0)] }
    }

    fn forecast(past: &[PastRun]) -> Forecast {
        Forecast::of_probes(past, "space", &probes(), 100_000, |_| 0.0)
    }

    #[test]
    fn it_learns_from_runs_that_were_graded() {
        let first = forecast(&[]);
        assert!((first.figures.p50 - 100.0).abs() < 1e-6);
        // Every run takes twice as long as its probe says.
        let mut all = Vec::new();
        for _ in 0..12 {
            let made = forecast(&all);
            let grade = made.grade(200.0);
            all.push(PastRun { forecast: Some(made.past(&grade)), ..past("space", 1_000, 200.0, None) });
        }
        let last = forecast(&all);
        assert!((last.figures.p50 - 200.0).abs() < 20.0 && last.grade(200.0).in_range, "{:?}", last.figures);
        assert!(last.figures.p90 / last.figures.p10 < first.figures.p90 / first.figures.p10);
    }

    #[test]
    fn a_limit_is_a_floor_under_the_whole_range() {
        let free = forecast(&[]).limited(1_000, NonZeroU32::new(100));
        assert!(!free.is_limited() && free.floor == Some(9.9) && free.figures.p10 > 9.9);
        let held = forecast(&[]).limited(100_000, NonZeroU32::new(100));
        let ForecastFigures { p10, p50, p90, .. } = held.figures;
        let shares: f64 = held.figures.phases.iter().map(|(_, share)| share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{:?}", held.figures.phases);
        assert!(held.is_limited() && [p10, p50, p90].iter().all(|seconds| (seconds - 999.9).abs() < 1e-9));
    }

    #[test]
    fn what_no_probe_shows_is_added_and_named_by_its_phase() {
        let corrected = Forecast::of_probes(&[], "space", &probes(), 100_000, |phases| {
            phases[0].1 += 50.0;
            50.0
        });
        assert!((corrected.centre - 150.0).abs() < 1e-6);
        assert!((corrected.figures.phases[0].1 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_grade_says_whether_the_run_lay_in_the_range() {
        let made = forecast(&[]);
        assert!(made.grade(100.0).in_range && !made.grade(1_000.0).in_range && !made.grade(1.0).in_range);
        assert!((made.grade(150.0).ratio - 1.5).abs() < 1e-6);
    }
}
