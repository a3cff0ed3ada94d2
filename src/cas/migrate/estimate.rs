//! Estimates a migration: the plan, and how fast this machine reads the source and creates files next to the target.

use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::plan::Plan;
use super::probe::CasProbe;
use super::probe::reading::Reading;
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cas::source::inventory::Entry;
use crate::durable::{Disk, DiskError};
use crate::migration::probe::Probe;
use crate::migration::units::per_second;
use crate::migration::{Error, SCRATCH_MARK, cannot_be_written, nearest_directory, remove_scratch};
use crate::pipeline::Control;

/// Default number of objects in the sample.
pub const SAMPLE_OBJECTS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();
/// Most bytes of the sample. Larger objects are left out.
const SAMPLE_BYTES_MAX: u64 = 64 << 20;
/// Directories that are created for the sample.
const SAMPLE_DIRECTORIES: usize = 64;
/// Length of a sidecar.
const SIDECAR_BYTES: usize = 250;

/// What a migration would need.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// The plan.
    pub plan: Plan,
    /// Objects that were read.
    pub sample_objects: u64,
    /// Bytes of their blobs.
    pub sample_bytes: u64,
    /// How many of them one thread reads, identifies and encodes in a second. Files that the system has in memory are
    /// read faster than others.
    pub read_objects_per_second: Option<u64>,
    /// The same in bytes.
    pub read_bytes_per_second: Option<u64>,
    /// Files created next to the target in a second, including the sync of all of them.
    pub files_per_second: Option<u64>,
    /// Directories created there in a second, before that sync.
    pub directories_per_second: Option<u64>,
    /// Why writing could not be measured.
    pub write_problem: Option<String>,
    /// Seconds to move the objects; `None` if that is not known. Index and map are not included.
    pub seconds_expected: Option<f64>,
    /// The same in objects per second.
    pub objects_per_second: Option<u64>,
    /// Bytes that must be free.
    pub space_needed_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Inodes that must be free.
    pub inodes_needed: u64,
    /// Inodes that are free; `None` if the file system has no limit.
    pub free_inodes: Option<u64>,
    /// True if space and inodes are enough.
    pub fits: bool,
    /// Memory of the migration for objects in flight.
    pub memory_bytes: u64,
}

/// Makes the plan and measures on `sample_objects` of the source. Files that are written for that are removed.
pub fn estimate(
    disk: Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    sample_objects: NonZeroU64,
    control: &Control<'_>,
) -> Result<Estimate, Error> {
    let probe = CasProbe::open(disk.clone(), source, paths, options, control)?;
    let entries = probe.drawn(sample_objects.get(), 0);
    let (reading, plan) = (probe.read_sample(&entries, control)?, probe.plan().clone());
    let directory = nearest_directory(&*disk, paths.parent())?;
    let writing = measure_writing(&*disk, &probe.scratch(), &files(&entries))?;
    let (free_bytes, free_inodes) = (disk.free_bytes(&directory)?, disk.free_inodes(&directory)?);
    let seconds_expected = seconds_expected(&plan, &reading, &writing, options);
    let of_writing = |count: u64, time: fn(&Times) -> Duration| {
        writing.times.as_ref().and_then(|times| per_second(count, time(times)))
    };
    Ok(Estimate {
        sample_objects: reading.objects,
        sample_bytes: reading.bytes,
        read_objects_per_second: per_second(reading.objects, reading.took),
        read_bytes_per_second: per_second(reading.bytes, reading.took),
        files_per_second: of_writing(writing.files, |times| times.files),
        directories_per_second: of_writing(writing.directories, |times| times.directories),
        write_problem: writing.problem,
        objects_per_second: seconds_expected
            .filter(|seconds| *seconds > 0.0)
            .map(|seconds| (plan.objects as f64 / seconds) as u64),
        seconds_expected,
        space_needed_bytes: plan.space_needed_bytes,
        free_bytes,
        inodes_needed: plan.inodes_needed,
        free_inodes,
        fits: free_bytes >= plan.space_needed_bytes && free_inodes.is_none_or(|free| free >= plan.inodes_needed),
        memory_bytes: options.run.memory_budget_bytes,
        plan,
    })
}

/// Returns files like those that the sample is written as: zeros of the length of each blob, and a sidecar.
fn files(entries: &[Entry]) -> Vec<Vec<u8>> {
    let mut left_bytes = SAMPLE_BYTES_MAX;
    let within = |entry: &&Entry| {
        let fits = entry.len_bytes <= left_bytes;
        left_bytes = left_bytes.saturating_sub(entry.len_bytes);
        fits
    };
    let taken = entries.iter().take_while(within);
    taken.flat_map(|entry| [vec![0; entry.len_bytes as usize], vec![0; SIDECAR_BYTES]]).collect()
}

/// The time of writing the sample.
#[derive(Default)]
struct Writing {
    files: u64,
    directories: u64,
    /// `None` if it could not be measured.
    times: Option<Times>,
    problem: Option<String>,
}

#[derive(Default)]
struct Times {
    directories: Duration,
    /// Includes the sync of everything.
    files: Duration,
}

fn measure_writing(disk: &dyn Disk, scratch: &Path, files: &[Vec<u8>]) -> Result<Writing, Error> {
    let mut writing = Writing::default();
    if files.is_empty() {
        return Ok(writing);
    }
    match disk.create_directory(scratch).map_err(Error::from) {
        Ok(()) => {}
        Err(error) if cannot_be_written(&error) => {
            writing.problem = Some(error.to_string());
            return Ok(writing);
        }
        Err(error) => return Err(error),
    }
    // It shows a clean-up that haul made the directory.
    let marked = disk.write_new_file(&scratch.join(SCRATCH_MARK), b"estimate");
    let result = marked.and_then(|()| write_sample(disk, scratch, files, &mut writing));
    // Also after a failure.
    remove_scratch(disk, scratch)?;
    match result {
        Ok(times) => writing.times = Some(times),
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            writing.problem = Some(format!("{error}: {}", error.source));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(writing)
}

fn write_sample(disk: &dyn Disk, scratch: &Path, files: &[Vec<u8>], writing: &mut Writing) -> Result<Times, DiskError> {
    let file_system = disk.file_system(scratch)?;
    let mut times = Times::default();
    let started = Instant::now();
    let directories: Vec<PathBuf> =
        (0..SAMPLE_DIRECTORIES.min(files.len())).map(|number| scratch.join(format!("{number:02x}"))).collect();
    for directory in &directories {
        disk.create_directory(directory)?;
        writing.directories += 1;
    }
    times.directories = started.elapsed();
    let started = Instant::now();
    for (number, bytes) in files.iter().enumerate() {
        disk.write_new_file(&directories[number % directories.len()].join(number.to_string()), bytes)?;
        writing.files += 1;
    }
    file_system.sync()?;
    times.files = started.elapsed();
    Ok(times)
}

/// Reading and converting run in parallel to writing, on all worker threads, so the slower of the two decides.
fn seconds_expected(plan: &Plan, reading: &Reading, writing: &Writing, options: &MigrateOptions) -> Option<f64> {
    if plan.objects == 0 {
        return Some(0.0);
    }
    let times = writing.times.as_ref()?;
    let scaled = |time: Duration, of: u64, to: u64| time.as_secs_f64() * to as f64 / of.max(1) as f64;
    let by_objects = scaled(reading.took, reading.objects, plan.objects);
    let by_bytes = if reading.bytes > 0 { scaled(reading.took, reading.bytes, plan.object_bytes) } else { 0.0 };
    let reading = by_objects.max(by_bytes) / options.run.parallel_workers.get() as f64;
    let writing = scaled(times.files, writing.files, plan.target_files)
        + scaled(times.directories, writing.directories, plan.target_directories);
    Some(reading.max(writing))
}
