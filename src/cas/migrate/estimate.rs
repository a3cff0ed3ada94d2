//! Estimates a migration: the plan, and how fast this machine reads the source and creates files next to the target.

use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::convert::ObjectConverter;
use super::converted::{Blob, ConvertScratch, ItemResult};
use super::plan::{Plan, look};
use super::publish::swap::MARK_NAME;
use crate::cas::format::record::ObjectRecord;
use crate::cas::options::MigrateOptions;
use crate::cas::paths::{TargetPaths, sidecar_bytes};
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::reader::{Batch, SourceReader};
use crate::cas::source::{Item, SourceRoot};
use crate::durable::{Disk, DiskError, IN_A_ROW_MAX, remove_tree, source_identity};
use crate::migration::units::per_second;
use crate::migration::{Error, cannot_be_written, nearest_directory};
use crate::pipeline::{Control, Converter};

/// Default number of objects in the sample.
pub const SAMPLE_OBJECTS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();
/// Most bytes of the sample. Larger objects are left out.
const SAMPLE_BYTES_MAX: u64 = 64 << 20;
/// Directories that are created for the sample.
const SAMPLE_DIRECTORIES: usize = 64;
/// Seed of the sample, so that it has the same objects of the same source every time.
const SEED: &[u8] = b"haul estimate";

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
    let mut sampler = Sampler::new(sample_objects.get());
    let (root, plan) = look(source, paths, options, control, |entry| sampler.take(entry))?;
    let reading = read_sample(&root, &sampler.entries(), plan.sidecars > 0, options, control)?;
    let directory = nearest_directory(&*disk, paths.parent())?;
    let writing = measure_writing(&*disk, &directory, paths, &reading)?;
    let (free_bytes, free_inodes) = (disk.free_bytes(&directory)?, disk.free_inodes(&directory)?);
    let seconds_expected = seconds_expected(&plan, &reading, &writing, options);
    let of_writing = |count: u64, time: fn(&Times) -> Duration| {
        writing.times.as_ref().and_then(|times| per_second(count, time(times)))
    };
    Ok(Estimate {
        sample_objects: reading.objects,
        sample_bytes: reading.bytes,
        read_objects_per_second: per_second(reading.objects, reading.time),
        read_bytes_per_second: per_second(reading.bytes, reading.time),
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

/// Chooses a random sample of objects, whatever the order in which they come.
struct Sampler {
    objects_max: usize,
    drawn: BinaryHeap<Drawn>,
}

/// An object with its random rank. The lowest ranks are the sample.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Drawn {
    rank: [u8; 32],
    entry: Entry,
}

impl Sampler {
    fn new(objects: u64) -> Self {
        Self { objects_max: usize::try_from(objects).unwrap_or(usize::MAX), drawn: BinaryHeap::new() }
    }

    fn take(&mut self, entry: &Entry) {
        if entry.kind != EntryKind::File || entry.len_bytes > SAMPLE_BYTES_MAX {
            return;
        }
        let rank = blake3::Hasher::new().update(SEED).update(&entry.location.bytes()).finalize();
        self.drawn.push(Drawn { rank: rank.into(), entry: *entry });
        if self.drawn.len() > self.objects_max {
            self.drawn.pop();
        }
    }

    /// Returns as many objects as may be read, in the order in which a migration reads them.
    fn entries(self) -> Vec<Entry> {
        let mut bytes = 0;
        let within = |drawn: &Drawn| {
            bytes += drawn.entry.len_bytes;
            bytes <= SAMPLE_BYTES_MAX
        };
        let drawn = self.drawn.into_sorted_vec();
        let mut entries: Vec<_> = drawn.into_iter().take_while(within).map(|drawn| drawn.entry).collect();
        entries.sort_by_key(|entry| entry.location);
        entries
    }
}

/// The time of reading the sample, and the files that it would be written as.
#[derive(Default)]
struct Reading {
    objects: u64,
    bytes: u64,
    time: Duration,
    /// The first blobs and sidecars. A blob that is not in memory is replaced by zeros of its length.
    files: Vec<Vec<u8>>,
    file_bytes: u64,
}

impl Reading {
    /// Keeps a blob and its sidecar for writing.
    fn keep(&mut self, record: &ObjectRecord, blob: &Blob, bytes: &[u8]) {
        let blob_bytes = if matches!(blob, Blob::Linked) { 0 } else { record.stored_size };
        let Some(file_bytes) = self.file_bytes.checked_add(blob_bytes).filter(|bytes| *bytes <= SAMPLE_BYTES_MAX)
        else {
            return;
        };
        self.file_bytes = file_bytes;
        self.files.push(match blob {
            Blob::Bytes(range) => bytes[range.clone()].to_vec(),
            _ => vec![0; usize::try_from(blob_bytes).expect("it is not larger than a sample")],
        });
        self.files.push(sidecar_bytes(record));
    }
}

/// Reads, identifies and encodes the sample, as one thread of a migration does.
fn read_sample(
    root: &SourceRoot,
    entries: &[Entry],
    has_sidecars: bool,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Reading, Error> {
    let converter = ObjectConverter::new(
        root,
        entries.len() as u64,
        options.compress,
        options.link.is_wanted(),
        None,
        control.stop,
    );
    let mut scratch = ConvertScratch::default();
    let mut reading = Reading::default();
    for (number, &entry) in entries.iter().enumerate() {
        let has_sidecar = has_sidecars && source_identity(&root.sidecar(&entry.location))?.is_some();
        let item = Item::Object { entry, has_sidecar };
        let memory_bytes = SourceReader::memory_bytes(&item, options.compress);
        let started = Instant::now();
        let (before, after) = (entries[..number].iter().rev(), &entries[number + 1..]);
        let batch = Batch {
            first_item: reading.objects,
            items: vec![item],
            memory_bytes,
            before: before.take(IN_A_ROW_MAX as usize).rev().copied().collect(),
            after: after.iter().take(IN_A_ROW_MAX as usize).copied().collect(),
        };
        let converted = converter.convert(&mut scratch, batch)?;
        reading.time += started.elapsed();
        reading.objects += 1;
        reading.bytes += entry.len_bytes;
        for item in &converted.items {
            if let ItemResult::Object { record, blob, .. } = &item.result {
                reading.keep(record, blob, &converted.bytes);
            }
        }
    }
    Ok(reading)
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

/// Returns the beginning of the name of the directory that is written for an estimate, next to the target of that name.
pub(in crate::cas) fn scratch_prefix(target_name: &str) -> String {
    format!(".{target_name}.estimate-")
}

fn measure_writing(
    disk: &dyn Disk,
    directory: &Path,
    paths: &TargetPaths,
    reading: &Reading,
) -> Result<Writing, Error> {
    let name = paths.target().file_name().unwrap_or_default().to_string_lossy();
    let scratch = directory.join(format!("{}{}.tmp", scratch_prefix(&name), std::process::id()));
    let mut writing = Writing::default();
    if reading.files.is_empty() {
        return Ok(writing);
    }
    match disk.create_directory(&scratch).map_err(Error::from) {
        Ok(()) => {}
        Err(error) if cannot_be_written(&error) => {
            writing.problem = Some(error.to_string());
            return Ok(writing);
        }
        Err(error) => return Err(error),
    }
    // It shows a clean-up that haul made the directory.
    let marked = disk.write_new_file(&scratch.join(MARK_NAME), b"estimate");
    let result = marked.and_then(|()| write_sample(disk, &scratch, &reading.files, &mut writing));
    // Also after a failure.
    remove_scratch(disk, &scratch)?;
    match result {
        Ok(times) => writing.times = Some(times),
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            writing.problem = Some(format!("{error}: {}", error.source));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(writing)
}

/// Removes the mark last: if that fails halfway, a clean-up still knows whose the directory is.
fn remove_scratch(disk: &dyn Disk, scratch: &Path) -> Result<(), DiskError> {
    for entry in disk.list(scratch)?.into_iter().filter(|entry| entry.name != MARK_NAME) {
        remove_tree(disk, &scratch.join(entry.name))?;
    }
    remove_tree(disk, scratch)
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
    let by_objects = scaled(reading.time, reading.objects, plan.objects);
    let by_bytes = if reading.bytes > 0 { scaled(reading.time, reading.bytes, plan.object_bytes) } else { 0.0 };
    let reading = by_objects.max(by_bytes) / options.run.parallel_workers.get() as f64;
    let writing = scaled(times.files, writing.files, plan.target_files)
        + scaled(times.directories, writing.directories, plan.target_directories);
    Some(reading.max(writing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::source::Location;

    fn entry(number: u8, len_bytes: u64) -> Entry {
        let location = Location::new(&[], format!("{number:064x}").as_bytes()).unwrap();
        Entry { len_bytes, ..Entry::new(location, EntryKind::File, None) }
    }

    #[test]
    fn the_sample_is_the_same_in_whatever_order_objects_come() {
        let draw = |numbers: &mut dyn Iterator<Item = u8>| {
            let mut sampler = Sampler::new(10);
            numbers.for_each(|number| sampler.take(&entry(number, 1)));
            sampler.entries()
        };
        let sample = draw(&mut (0..200));
        assert_eq!(sample.len(), 10);
        assert_eq!(draw(&mut (0..200).rev()), sample);
        assert!(sample.is_sorted_by_key(|entry| entry.location));
        assert_ne!(sample, (0..10).map(|number| entry(number, 1)).collect::<Vec<_>>());
        assert_eq!(draw(&mut (0..5)).len(), 5);
    }

    #[test]
    fn the_sample_is_bounded_in_bytes_and_has_only_files() {
        let mut sampler = Sampler::new(100);
        (0..100).for_each(|number| sampler.take(&entry(number, 20 << 20)));
        sampler.take(&entry(100, SAMPLE_BYTES_MAX + 1));
        sampler.take(&Entry { kind: EntryKind::Link, ..entry(101, 1) });
        assert_eq!(sampler.entries().len(), 3);
    }
}
