//! Migrates parts of a source by themselves and takes the time.

use std::time::{Duration, Instant};

use super::scratch::Scratch;
use super::stages::StageSeconds;
use crate::durable::Disk;
use crate::migration::forecast::centre::{ProbeRun, ProbeTimes};
use crate::migration::probe::{Drawn, Probe};
use crate::migration::{Error, check_stop};
use crate::pipeline::{Control, Tally};

/// Records of the first probe.
const FIRST_RECORDS: u64 = 64;
/// The larger probe has this many times the records of the smaller one.
const TIMES_LARGER: u64 = 4;
/// The four probes take this many times as long as a large one.
const LARGE_PROBES: f64 = 2.5;
/// The most by which a probe grows at once.
const GROWTH_MAX: f64 = 8.0;
/// Preparations end after this many times the time that was asked for.
const PREPARATION_TIMES: u32 = 2;
/// Of the space that is free, probes take one part in this.
const FREE_PART: u64 = 4;
/// A large probe has at least this many commits.
const COMMITS_MIN: u64 = 2;

/// What the probes have shown.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) times: ProbeTimes,
    pub(super) stages: StageSeconds,
    /// The last sample that was copied.
    pub(super) sample: Drawn,
    /// The most memory that batches in flight held.
    pub(super) budget_peak_bytes: u64,
    /// True if the larger probe was the whole source.
    pub(super) is_whole: bool,
}

/// Measures for about as long as `wanted`.
pub(super) fn measure(
    disk: &dyn Disk,
    probe: &dyn Probe,
    wanted: Duration,
    control: &Control<'_>,
) -> Result<Measured, Error> {
    let mut scratch = Scratch::create(disk, probe.scratch())?;
    let measured = {
        let mut bench = Bench { probe, scratch: &mut scratch, control, seed: 0, measured: Measured::default() };
        let large = bench.size_for(disk, wanted)?;
        bench.four(large)?;
        bench.measured
    };
    scratch.close()?;
    Ok(measured)
}

struct Bench<'a, 'b> {
    probe: &'a dyn Probe,
    scratch: &'a mut Scratch<'b>,
    control: &'a Control<'a>,
    seed: u64,
    measured: Measured,
}

impl Bench<'_, '_> {
    /// Grows a probe until four of them, two of which are smaller, take as long as wanted. Returns the records of the larger.
    fn size_for(&mut self, disk: &dyn Disk, wanted: Duration) -> Result<u64, Error> {
        let (whole, began) = (self.probe.whole(), Instant::now());
        let mean_bytes = whole.source_bytes / whole.records.max(1);
        // The sample and its target, with room for what grows.
        let most = disk.free_bytes(&self.probe.needs()?.directory)? / FREE_PART / (3 * mean_bytes.max(1_024));
        let most = most.clamp(1, whole.records.max(1));
        let mut records = most.min(FIRST_RECORDS * TIMES_LARGER);
        loop {
            let seconds = self.run(records, records)?.seconds;
            let missing = wanted.as_secs_f64() / LARGE_PROBES / seconds.max(1e-3);
            if missing <= 1.0 || records >= most || began.elapsed() > wanted * PREPARATION_TIMES {
                return Ok(records);
            }
            let growth = missing.clamp(1.25, GROWTH_MAX);
            records = ((records as f64 * growth) as u64).clamp(records + 1, most);
        }
    }

    /// Small, large, large, small: so that what changes slowly touches both sizes alike.
    fn four(&mut self, large: u64) -> Result<(), Error> {
        let small = (large / TIMES_LARGER).max(1);
        let first = self.run(small, large)?;
        let larger = [self.run(large, large)?, self.run(large, large)?];
        self.measured.times = ProbeTimes { small: [first, self.run(small, large)?], large: larger };
        self.measured.is_whole = large >= self.probe.whole().records;
        Ok(())
    }

    /// Migrates `records` records that are drawn for it. The commits are those of a probe of `of` records.
    fn run(&mut self, records: u64, of: u64) -> Result<ProbeRun, Error> {
        check_stop(self.control.stop)?;
        self.seed += 1;
        let directory = self.scratch.next()?;
        let drawn = self.probe.sample(&directory, records, self.seed, self.control)?;
        self.scratch.sync(&directory)?;
        let tally = Tally::new();
        // Nothing of what a probe tells goes on: its phases are none of the estimate.
        let control = Control { stop: self.control.stop, observer: &tally };
        let started = Instant::now();
        self.probe.run(&directory, (of / COMMITS_MIN).max(1), &control)?;
        let seconds = started.elapsed().as_secs_f64();
        self.scratch.remove(&directory)?;
        let now = tally.snapshot();
        self.measured.budget_peak_bytes = self.measured.budget_peak_bytes.max(now.budget_peak_bytes);
        self.measured.sample = drawn;
        if records == of {
            self.measured.stages = StageSeconds::of(&tally);
        }
        let phases = now.ended.iter().map(|phase| (phase.phase, phase.took.as_secs_f64())).collect();
        Ok(ProbeRun { cost_bytes: drawn.amount.cost_bytes, seconds, phases })
    }
}
