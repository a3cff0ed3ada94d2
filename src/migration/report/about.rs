//! Gathers what a report says of the run itself.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;

use super::parts::{
    AboutRun, Environment, HaulVersion, Peaks, PhaseReport, Place, Settings, StageReport, TimelinePoint, WaitedSeconds,
};
use crate::durable::Disk;
use crate::durable::system;
use crate::migration::nearest_directory;
use crate::migration::run::options::RunOptions;
use crate::pipeline::tally::{PhaseTally, Waited};
use crate::pipeline::{EngineStage, Tally};

/// Returns the version of this program.
pub fn haul_version() -> HaulVersion {
    HaulVersion {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // A build from a checkout may name it; one from a registry cannot.
        commit: option_env!("HAUL_COMMIT").map(str::to_owned),
    }
}

/// Returns the settings that every store has.
pub fn settings(options: &RunOptions) -> Settings {
    Settings {
        workers: options.parallel_workers.get() as u64,
        budget_bytes: options.memory_budget_bytes,
        batch_records: options.batch_records,
        checkpoint_interval_records: options.checkpoint_interval_records,
        rate_limit: options.rate_limit.map(|limit| u64::from(limit.get())),
        ..Settings::default()
    }
}

/// Returns what the system says of the computer and of the places of source and target. A simulated disk has no place.
pub fn environment(disk: &dyn Disk, source: &Path, target: &Path) -> Environment {
    let limits = system::control_group_limits();
    let place = |path: &Path| {
        let path = nearest_directory(disk, path).ok().filter(|_| disk.is_system())?;
        let name = system::file_system_name(&path)?;
        Some(Place { file_system: name.kind, device: name.device })
    };
    Environment {
        kernel: Some(system::kernel()),
        cpu: system::processor(),
        cores: system::processors(),
        memory_bytes: system::memory_bytes(),
        cgroup_memory_bytes: limits.memory_bytes,
        cgroup_cpus: limits.processors,
        source: place(source),
        target: place(target),
    }
}

/// Fills in what the events of this attempt add up to.
pub fn with_events(about: AboutRun, tally: &Tally, timeline: Vec<TimelinePoint>) -> AboutRun {
    let now = tally.snapshot();
    let rss = system::rss_peak_bytes().unwrap_or(0);
    AboutRun {
        phases: now.ended.iter().map(phase_report).collect(),
        stages: stage_reports(tally),
        peaks: Peaks { rss, budget: now.budget_peak_bytes, ..about.peaks },
        timeline,
        ..about
    }
}

fn phase_report(tally: &PhaseTally) -> PhaseReport {
    let Waited { memory, limit, disk } = tally.waited;
    PhaseReport {
        phase: tally.phase,
        records: tally.records,
        bytes: tally.source_bytes,
        seconds: seconds(tally.took),
        waited: WaitedSeconds { memory: seconds(memory), limit: seconds(limit), disk: seconds(disk) },
    }
}

fn stage_reports(tally: &Tally) -> BTreeMap<String, StageReport> {
    let stages = EngineStage::ALL.into_iter().zip(tally.stages().merged());
    stages.filter_map(|(stage, times)| Some((stage.to_string(), stage_report(&times?)))).collect()
}

fn stage_report(times: &Histogram<u64>) -> StageReport {
    // A bucket may reach beyond the longest time that was recorded in it.
    let at = |quantile| times.value_at_quantile(quantile).min(times.max());
    StageReport { count: times.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: times.max() }
}

/// Seconds with milliseconds.
pub fn seconds(time: std::time::Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Event, Observer, Phase, Wait};

    #[test]
    fn events_add_up_to_phases_stages_and_peaks() {
        let tally = Tally::new();
        for event in [
            Event::PhaseStarted { phase: Phase::Run, records_expected: None, bytes_expected: None },
            Event::BatchWritten { records: 5, source_bytes: 50, budget_in_use_bytes: 70 },
            Event::Waited { reason: Wait::Limit, waited_us: 1_500_000 },
            Event::StageTimed { stage: EngineStage::Write, took_us: 40 },
            Event::StageTimed { stage: EngineStage::Write, took_us: 900 },
            Event::PhaseEnded { phase: Phase::Run },
        ] {
            tally.observe(&event);
        }
        let before = AboutRun { peaks: Peaks { staging_bytes: 9, ..Peaks::default() }, ..AboutRun::default() };
        let about = with_events(before, &tally, Vec::new());
        let [run] = &about.phases[..] else { panic!("{:?}", about.phases) };
        assert_eq!((run.phase, run.records, run.bytes, run.waited.limit), (Phase::Run, 5, 50, 1.5));
        let write = about.stages["write"];
        assert_eq!((write.count, write.p50, about.stages.len()), (2, 40, 1));
        assert!(write.p999 <= write.max && write.max >= 900, "{write:?}");
        assert_eq!((about.peaks.budget, about.peaks.staging_bytes), (70, 9));
    }
}
