//! Estimates what a migration needs: the plan, and how fast this machine reads the log and writes next to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::plan::{Plan, check_directory, check_pointer, plan};
use super::probe::SCRATCH_PREFIX;
use crate::durable::{Disk, remove_tree};
use crate::migration::units::per_second;
use crate::migration::{Error, cannot_be_written};
use crate::space::log::source::WalSource;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// Bytes that are read and written to find out how fast that is.
pub const SAMPLE_BYTES_MAX: u64 = 64 << 20;
const WINDOW_BYTES: u64 = 4 << 20;

/// What a migration would need.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// The plan.
    pub plan: Plan,
    /// Bytes of the log that were read and hashed.
    pub sample_bytes: u64,
    /// How fast that was. Data in the page cache reads faster than data on the device.
    pub read_bytes_per_second: Option<u64>,
    /// How fast the same bytes were written and synced next to the log.
    pub write_bytes_per_second: Option<u64>,
    /// Why writing could not be measured.
    pub write_problem: Option<String>,
    /// Seconds that moving the records and verifying the store will take; `None` if it is unknown.
    pub seconds_expected: Option<f64>,
    /// Nodes a second that this is.
    pub nodes_per_second: Option<u64>,
    /// Bytes that must be free.
    pub space_needed_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// True if that is enough.
    pub fits: bool,
    /// Memory that the migration will take for what is in flight.
    pub memory_bytes: u64,
}

/// Makes the plan and measures. What is written for it is removed again.
pub fn estimate(disk: Arc<dyn Disk>, paths: &SpacePaths, options: &MigrateOptions) -> Result<Estimate, Error> {
    check_directory(paths.root())?;
    check_pointer(&*disk, paths)?;
    let source = WalSource::open(&paths.log(), options.reader)?;
    let plan = plan(paths, &source, options)?;
    let scratch = paths.root().join(format!("{SCRATCH_PREFIX}{}.tmp", std::process::id()));
    let sample = measure(&*paths.limited(&disk)?, &source, &scratch)?;
    let free_bytes = disk.free_bytes(paths.root())?;
    let seconds_expected = sample.seconds_for(&plan);
    Ok(Estimate {
        sample_bytes: sample.read_bytes,
        read_bytes_per_second: per_second(sample.read_bytes, sample.reading),
        write_bytes_per_second: sample.writing.and_then(|writing| per_second(sample.read_bytes, writing)),
        nodes_per_second: seconds_expected
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| (plan.records_estimated as f64 / seconds) as u64),
        seconds_expected,
        space_needed_bytes: plan.space_needed_bytes,
        free_bytes,
        fits: free_bytes >= plan.space_needed_bytes,
        memory_bytes: plan.memory_budget_bytes,
        write_problem: sample.write_problem,
        plan,
    })
}

#[derive(Default)]
struct Sample {
    read_bytes: u64,
    reading: Duration,
    /// `None` if it could not be measured.
    writing: Option<Duration>,
    write_problem: Option<String>,
}

impl Sample {
    /// Reading and writing go on at the same time; then the store is read once more.
    fn seconds_for(&self, plan: &Plan) -> Option<f64> {
        let seconds_per_byte = |time: Duration| time.as_secs_f64() / self.read_bytes as f64;
        if plan.source_bytes == 0 {
            return Some(0.0);
        }
        let (reading, writing) = (seconds_per_byte(self.reading), seconds_per_byte(self.writing?));
        let target_bytes = plan.target_bytes_estimated as f64;
        let moving = (plan.source_bytes as f64 * reading).max(target_bytes * writing);
        Some(moving + target_bytes * reading)
    }
}

/// Reads and hashes the beginning of the log, and writes the same bytes to `scratch`.
fn measure(disk: &dyn Disk, source: &WalSource, scratch: &Path) -> Result<Sample, Error> {
    let mut sample = Sample::default();
    let result = copy_sample(disk, source, scratch, &mut sample);
    if sample.writing.is_some() {
        // Also what failed half-way is not left behind.
        remove_tree(disk, scratch)?;
    }
    result.map(|()| sample)
}

fn copy_sample(disk: &dyn Disk, source: &WalSource, scratch: &Path, sample: &mut Sample) -> Result<(), Error> {
    let target = match disk.create_file(scratch).map_err(Error::from) {
        Ok(target) => {
            sample.writing = Some(Duration::ZERO);
            Some(target)
        }
        Err(error) if cannot_be_written(&error) => {
            sample.write_problem = Some(error.to_string());
            None
        }
        Err(error) => return Err(error),
    };
    let mut writing = Duration::ZERO;
    for file in source.files() {
        let end = file.identity().len_bytes.min(SAMPLE_BYTES_MAX - sample.read_bytes);
        let mut at = 0;
        while at < end {
            let started = Instant::now();
            let window = file.window(at, WINDOW_BYTES.min(end - at) as usize)?;
            std::hint::black_box(blake3::hash(&window));
            sample.reading += started.elapsed();
            if let Some(target) = &target {
                let started = Instant::now();
                target.write_all_at(sample.read_bytes, &window)?;
                writing += started.elapsed();
            }
            at += window.len() as u64;
            sample.read_bytes += window.len() as u64;
        }
    }
    if let Some(target) = target {
        let started = Instant::now();
        target.sync()?;
        sample.writing = Some(writing + started.elapsed());
    }
    Ok(())
}
