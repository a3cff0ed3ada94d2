//! What a migration needs, before it begins: time with a range, space, memory, and what stands in its way (docs/estimate.md).
//!
//! A store's room supplies a [`Probe`]; the numbers are made in `migration::forecast`, which also grades them.

mod answer;
mod checks;
mod cold;
mod deadline;
mod measure;
mod past;
mod scratch;
mod stages;

pub use answer::{Correction, Estimate, LimitFloor};
pub use checks::{Check, CheckStatus, Free, MEMORY_BESIDES_BUDGET_BYTES};
pub use deadline::{Deadline, WithWorkers};
pub use past::{Past, PastGroup};
pub use stages::StageSeconds;

use std::io::ErrorKind;
use std::time::Duration;

use serde::Serialize;

use self::cold::Beyond;
use self::deadline::numbers_of_workers;
use self::measure::{Measured, measure};
use crate::durable::system::available_memory_bytes;
use crate::durable::{Disk, replace_file, system};
use crate::migration::forecast::graded::{PastRun, residuals};
use crate::migration::forecast::{Forecast, StoredForecast};
use crate::migration::probe::{Amount, Drawn, Needs, Probe};
use crate::migration::report::parts::Quantiles;
use crate::migration::units::per_second;
use crate::migration::{
    Durability, Error, RunOptions, RunPlan, cannot_be_written, escaped_json, now_text, settings_text,
};
use crate::pipeline::{Control, ForecastFigures, Phase};

/// Records that are read and converted to see how many would be refused.
const LOOKED_AT: u64 = 200;
/// The seed by which they are drawn.
const LOOKED_AT_SEED: u64 = 0;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Which kind of store.
    pub kind: &'static str,
    /// How long to measure.
    pub measure_for: Duration,
    /// False to write nothing: then only reading is measured.
    pub may_write: bool,
    /// How long the run may take.
    pub deadline: Option<Duration>,
    /// How it is carried out.
    pub options: &'a RunOptions,
    /// When it makes durable what it writes.
    pub durability: Durability,
}

/// Estimates what the migration of `probe` needs, whose plan is `plan`. Leaves it in the directory of the run's state, for the
/// run to be graded by. What is written to measure is removed.
pub fn estimate<P: RunPlan + Clone>(
    disk: &dyn Disk,
    probe: &dyn Probe,
    plan: &P,
    question: &Question<'_>,
    control: &Control<'_>,
) -> Result<Estimate<P>, Error> {
    let needs = probe.needs()?;
    let free = Free { bytes: disk.free_bytes(&needs.directory)?, inodes: disk.free_inodes(&needs.directory)? };
    let looked_at = probe.read(LOOKED_AT, LOOKED_AT_SEED, control)?;
    let checks = checks::checks(disk, probe, question.options, (&needs, free), &looked_at)?;
    let past = question.options.history.runs();
    let (expected, time_problem) = match measured(disk, probe, question, control)? {
        Ok(measured) => (Some(Expected::new(&past, probe, question, (&needs, &looked_at), &measured)), None),
        Err(problem) => (None, Some(problem)),
    };
    let fits = free.bytes >= needs.space_bytes && free.inodes.is_none_or(|free| free >= needs.inodes);
    let whole = probe.whole();
    let mut estimate = Estimate {
        at: now_text(),
        plan: plan.clone(),
        records: whole.records,
        source_bytes: whole.source_bytes,
        time: None,
        time_problem,
        seconds_expected: None,
        records_per_second: None,
        phases: Vec::new(),
        corrections: Vec::new(),
        bottleneck: None,
        stages: StageSeconds::default(),
        limit: limit_floor(question.options, whole),
        read_records_per_second: per_second(looked_at.amount.records, looked_at.took),
        read_bytes_per_second: per_second(looked_at.amount.source_bytes, looked_at.took),
        sample: looked_at,
        space_needed_bytes: needs.space_bytes,
        space_after_clean_bytes: needs.space_after_clean_bytes,
        free_bytes: free.bytes,
        inodes_needed: needs.inodes,
        free_inodes: free.inodes,
        fits,
        memory_bytes: question.options.memory_budget_bytes,
        memory_peak_bytes: system::rss_peak_bytes(),
        workers: Vec::new(),
        deadline: None,
        checks,
        graded_runs: residuals(&past).len() as u64,
        of_run: None,
    };
    if let Some(expected) = expected {
        expected.put_into(&mut estimate, plan, question);
    }
    if question.may_write {
        keep(disk, probe, &estimate)?;
    }
    Ok(estimate)
}

/// Measures; `Err` within says why that cannot be.
fn measured(
    disk: &dyn Disk,
    probe: &dyn Probe,
    question: &Question<'_>,
    control: &Control<'_>,
) -> Result<Result<Measured, String>, Error> {
    if !question.may_write {
        return Ok(Err("the target cannot be measured without writing".into()));
    }
    match measure(disk, probe, question.measure_for, control) {
        Ok(measured) => Ok(Ok(measured)),
        Err(error) if cannot_be_written(&error) => Ok(Err(format!("the target cannot be measured: {error}"))),
        Err(error @ Error::NoSpace { .. }) => Ok(Err(format!("the target cannot be measured: {error}"))),
        Err(Error::Disk(error)) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            Ok(Err(format!("the target cannot be measured: {error}: {}", error.source)))
        }
        Err(error @ Error::Findings { .. }) => Ok(Err(format!("a sample is refused: {error}"))),
        Err(error) => Err(error),
    }
}

/// How long a run is expected to take.
struct Expected {
    forecast: Forecast,
    corrections: Vec<Correction>,
    stages: StageSeconds,
    whole: Amount,
}

impl Expected {
    fn new(
        past: &[PastRun],
        probe: &dyn Probe,
        question: &Question<'_>,
        (needs, looked_at): (&Needs, &Drawn),
        measured: &Measured,
    ) -> Self {
        let whole = probe.whole();
        let beyond = Beyond { target_bytes: needs.space_after_clean_bytes, memory_bytes: available_memory_bytes() };
        let mut corrections = Vec::new();
        let forecast = Forecast::of_probes(past, question.kind, &measured.times, whole.cost_bytes, |phases| {
            corrections = cold::corrections(whole, looked_at, beyond, phases);
            corrections.iter().map(|correction| correction.seconds).sum()
        });
        let forecast = forecast.limited(whole.records, question.options.rate_limit);
        Self { forecast, corrections, stages: measured.stages, whole }
    }

    fn put_into<P: RunPlan>(self, estimate: &mut Estimate<P>, plan: &P, question: &Question<'_>) {
        let Self { forecast, corrections, stages, whole } = self;
        let figures = &forecast.figures;
        let workers = question.options.parallel_workers.get() as u64;
        let table = table(&forecast, &stages, workers);
        let phases: Vec<_> = figures.phases.iter().map(|(phase, share)| (*phase, share * figures.p50)).collect();
        estimate.deadline = question
            .deadline
            .map(|time| deadline::deadline(time.as_secs_f64(), workers, system::processors(), &table, &phases));
        (estimate.time, estimate.seconds_expected) = (Some(figures.clone()), Some(figures.p50));
        estimate.records_per_second = (figures.p50 > 0.0).then(|| whole.records as f64 / figures.p50);
        (estimate.phases, estimate.corrections, estimate.workers) = (phases, corrections, table);
        (estimate.bottleneck, estimate.stages) = (stages.bottleneck(workers), stages);
        estimate.of_run = Some(StoredForecast {
            plan: blake3::Hash::from_bytes(plan.digest()).to_hex().to_string(),
            records: whole.records,
            settings: settings_text(question.options, question.durability),
            forecast,
        });
    }
}

/// Returns how long it takes with other numbers of workers, which shorten the phase `run` alone.
fn table(forecast: &Forecast, stages: &StageSeconds, workers: u64) -> Vec<WithWorkers> {
    let ForecastFigures { p10, p50, p90, phases, .. } = &forecast.figures;
    let run: f64 = phases.iter().filter(|(phase, _)| *phase == Phase::Run).map(|(_, share)| share).sum();
    let floor = forecast.floor.unwrap_or(0.0);
    let row = |number| {
        let times = 1.0 - run + run * stages.with_workers(workers, number);
        let seconds = |seconds: &f64| (seconds * times).max(floor);
        WithWorkers { workers: number, seconds: Quantiles { p10: seconds(p10), p50: seconds(p50), p90: seconds(p90) } }
    };
    numbers_of_workers(system::processors(), workers).into_iter().map(row).collect()
}

fn limit_floor(options: &RunOptions, whole: Amount) -> Option<LimitFloor> {
    let limit = options.rate_limit?;
    Some(LimitFloor {
        records_per_second: u64::from(limit.get()),
        seconds_at_least: Forecast::floor_of(whole.records, limit),
    })
}

/// Leaves it for the run. Where nothing can be written, there will be no run either.
fn keep<P: Serialize>(disk: &dyn Disk, probe: &dyn Probe, estimate: &Estimate<P>) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(estimate).expect("plain data always serialises");
    let directory = probe.run_directory();
    let kept = directory
        .create(disk)
        .and_then(|()| Ok(replace_file(disk, &directory.estimate_path(), escaped_json(&text).as_bytes())?));
    match kept {
        Err(error) if cannot_be_written(&error) => Ok(()),
        Err(Error::Disk(error)) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(()),
        kept => kept,
    }
}
