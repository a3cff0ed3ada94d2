//! What was expected of a run, and what came of it.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, absolute};

use super::options::RunOptions;
use super::state::Durability;
use crate::migration::forecast::graded::PastRun;
use crate::migration::forecast::{Forecast, StoredForecast};
use crate::migration::report::about::seconds;
use crate::migration::report::parts::Grade;
use crate::migration::{AttemptWatch, Context, RunPlan, now_text};
use crate::pipeline::ForecastFigures;

/// Digits of the digest of a path.
const PATH_DIGITS: usize = 16;

/// What was expected of a run.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What an estimate of this plan has left.
    stored: Option<StoredForecast>,
    /// What earlier runs say.
    from_history: Option<Forecast>,
    is_limited: bool,
}

impl Expectation {
    /// Looks for an estimate of this plan, else into the history. A simulated disk has neither.
    pub fn of(cx: &Context<'_>, durability: Durability, plan: &impl RunPlan, kind: &'static str) -> Self {
        let options = cx.options;
        let is_limited = options.rate_limit.is_some();
        if !cx.disk.is_system() {
            return Self { stored: None, from_history: None, is_limited };
        }
        let settings = settings_text(options, durability);
        let stored = StoredForecast::read(cx.directory.path(), &plan.digest(), plan.records(), &settings);
        let from_history = || {
            let (records, bytes) = (plan.records()?, plan.source_bytes()?);
            let forecast = Forecast::of_history(&options.history.runs(), kind, records, bytes)?;
            Some(forecast.limited(records, options.rate_limit))
        };
        let from_history = if stored.is_some() { None } else { from_history() };
        Self { stored, from_history, is_limited }
    }

    /// Returns what was expected.
    pub fn figures(&self) -> Option<ForecastFigures> {
        let forecast = self.stored.as_ref().map(|stored| &stored.forecast).or(self.from_history.as_ref());
        forecast.map(|forecast| forecast.figures.clone())
    }

    /// Returns the forecast that a run over `records` records grades.
    fn graded_by(&self, records: u64) -> Option<&Forecast> {
        let stored = self.stored.as_ref().filter(|stored| stored.is_of(records)).map(|stored| &stored.forecast);
        stored.or(self.from_history.as_ref())
    }
}

/// A run that went from its beginning to its goal in one attempt, whatever records it has refused.
#[derive(Debug, Clone)]
pub struct Whole {
    /// How good the forecast was, if there was one.
    pub grade: Option<Grade>,
    /// What the history keeps.
    pub past: PastRun,
}

impl Whole {
    /// Returns the run that `watch` has seen, as of now.
    pub fn new(
        expectation: Option<&Expectation>,
        watch: &AttemptWatch<'_>,
        kind: &'static str,
        target: &Path,
        (records, source_bytes): (u64, u64),
    ) -> Self {
        let took = seconds(watch.elapsed());
        let forecast = expectation.and_then(|expectation| expectation.graded_by(records));
        let grade = forecast.map(|forecast| forecast.grade(took));
        let phases = watch.tally.snapshot().ended;
        let is_limited = match forecast {
            Some(forecast) => forecast.is_limited(),
            None => expectation.is_some_and(|expectation| expectation.is_limited),
        };
        let past = PastRun {
            v: PastRun::VERSION,
            at: now_text(),
            kind: kind.to_owned(),
            path: path_digest(target),
            records,
            source_bytes,
            seconds: took,
            phases: phases.iter().map(|phase| (phase.phase, seconds(phase.took))).collect(),
            is_limited,
            forecast: forecast.zip(grade.as_ref()).map(|(forecast, grade)| forecast.past(grade)),
        };
        Self { grade, past }
    }
}

/// Returns the settings that decide how long a run of a plan takes.
pub fn settings_text(options: &RunOptions, durability: Durability) -> String {
    let RunOptions { parallel_workers, memory_budget_bytes, rate_limit, .. } = options;
    let mut text = format!("parallel-workers={parallel_workers} memory-budget-bytes={memory_budget_bytes}");
    if let Some(limit) = rate_limit {
        write!(text, " rate-limit={limit}").expect("a string takes any text");
    }
    write!(text, " durability={durability}").expect("a string takes any text");
    text
}

/// Returns what stands for a path that is not named.
fn path_digest(path: &Path) -> String {
    let path = absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut digest = blake3::hash(path.as_os_str().as_bytes()).to_hex().to_string();
    digest.truncate(PATH_DIGITS);
    digest
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn settings_are_the_same_if_they_decide_the_same_time() {
        let options = RunOptions::default();
        let text = settings_text(&options, Durability::Group);
        let other_state = RunOptions { start: crate::migration::Start::Restart, ..options };
        assert_eq!(settings_text(&other_state, Durability::Group), text);
        let limited = RunOptions { rate_limit: NonZeroU32::new(9), ..options };
        assert_ne!(settings_text(&limited, Durability::Group), text);
        assert_ne!(settings_text(&options, Durability::Each), text);
    }

    #[test]
    fn digits_stand_for_a_path() {
        let digest = path_digest(Path::new("/secret/name"));
        assert_eq!(digest.len(), PATH_DIGITS);
        assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(digest, path_digest(Path::new("/secret/other")));
    }
}
