//! What of a store is migrated to measure how long the whole takes: objects drawn at random while the source is walked.

pub(super) mod needs;
pub(super) mod reading;
mod sampler;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use self::needs::NeedsOfStore;
use self::reading::{Reading, cached_share, read};
use self::sampler::Sampler;
use super::migrate;
use super::plan::{Plan, blob_bytes, look};
use crate::cas::format::encoding::Compress;
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::paths::TargetPaths;
use crate::cas::source::SourceRoot;
use crate::cas::source::inventory::Entry;
use crate::cas::source::scan::ScanSums;
use crate::durable::{CopyMeans, Disk, DiskError, FaultClass, ReaderKind, SourceFile, parent_of, with_modes};
use crate::migration::forecast::History;
use crate::migration::lifecycle::Places;
use crate::migration::probe::{Amount, Drawn, Needs, Probe};
use crate::migration::{Error, RunDirectory, RunOptions, Start, check_stop, nearest_directory};
use crate::pipeline::{Control, Silent, StopToken};

/// As many bytes are migrated in the time that an object costs beyond its bytes.
const OBJECT_COST_BYTES: u64 = 64 << 10;
/// Most bytes of the objects of a sample.
const READ_BYTES_MAX: u64 = 4 << 30;
/// The part of the free space that a sample may take for its own copy of the objects.
const FREE_PARTS: u64 = 16;
/// Objects that are read to find out how much smaller or larger blobs become.
const ENCODED_OBJECTS: u64 = 400;
/// How much larger than the sampled ones encoded blobs may be, in percent.
const ENCODED_MARGIN_PERCENT: u64 = 4;

/// A migration of an object store that can be measured.
pub struct CasProbe {
    disk: Arc<dyn Disk>,
    root: SourceRoot,
    paths: TargetPaths,
    options: MigrateOptions,
    plan: Plan,
    sums: ScanSums,
    sampler: Sampler,
    /// The nearest directory to the target that exists.
    directory: PathBuf,
}

impl CasProbe {
    /// Walks the source and makes the plan.
    pub fn open(
        disk: Arc<dyn Disk>,
        source: &Path,
        paths: &TargetPaths,
        options: &MigrateOptions,
        control: &Control<'_>,
    ) -> Result<Self, Error> {
        let mut sampler = Sampler::new();
        let (root, sums, plan) = look(source, paths, options, control, |entry| sampler.take(entry))?;
        let directory = nearest_directory(&*disk, paths.parent())?;
        Ok(Self { disk, root, paths: paths.clone(), options: options.clone(), plan, sums, sampler, directory })
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Draws objects to be read. Nothing is written of them.
    pub(super) fn drawn(&self, objects: u64, seed: u64) -> Vec<Entry> {
        self.sampler.draw(objects, seed, READ_BYTES_MAX)
    }

    pub(super) fn read_sample(&self, entries: &[Entry], control: &Control<'_>) -> Result<Reading, Error> {
        read(&self.root, entries, self.plan.sidecars > 0, &self.options, control)
    }

    /// Returns what the store needs if blobs change their lengths as those of a sample do.
    fn needs_of_encoded(&self) -> Result<NeedsOfStore, Error> {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let reading = self.read_sample(&self.drawn(ENCODED_OBJECTS, 0), &control)?;
        let share = reading.stored_block_bytes as f64 / reading.block_bytes.max(1) as f64;
        let blob_bytes = (self.sums.object_block_bytes as f64 * share) as u64;
        let blob_bytes = blob_bytes + blob_bytes / 100 * ENCODED_MARGIN_PERCENT;
        Ok(NeedsOfStore::new(&self.sums, Some(blob_bytes), &self.paths, &self.options))
    }

    /// Copies an object with its sidecar. False if this object cannot be read.
    fn copy(&self, copy: &SourceCopy<'_>, entry: &Entry, control: &Control<'_>) -> Result<bool, Error> {
        let of_item = |result: Result<(), DiskError>| match result {
            Err(error) if error.fault_class() == FaultClass::Item => Ok(false),
            result => result.map(|()| true),
        };
        let is_copied = of_item(copy.file(&self.root.blob(&entry.location), &copy.to.blob(&entry.location), control))?;
        if is_copied && self.plan.sidecars > 0 {
            let (from, to) = (self.root.sidecar(&entry.location), copy.to.sidecar(&entry.location));
            of_item(copy.file(&from, &to, control))?;
        }
        Ok(is_copied)
    }
}

impl Probe for CasProbe {
    fn whole(&self) -> Amount {
        amount(self.plan.objects, self.plan.object_bytes)
    }

    fn needs(&self) -> Result<Needs, Error> {
        let of_plan = NeedsOfStore::new(
            &self.sums,
            blob_bytes(&self.root, &self.paths, &self.sums, &self.options),
            &self.paths,
            &self.options,
        );
        let needs = if self.options.compress == Compress::AsStored { of_plan } else { self.needs_of_encoded()? };
        Ok(Needs {
            directory: self.directory.clone(),
            space_bytes: needs.peak_bytes,
            space_after_clean_bytes: needs.bytes_after_clean,
            inodes: needs.inodes,
        })
    }

    fn places(&self) -> Places {
        Places { source: self.root.path().to_path_buf(), target: self.paths.target().to_path_buf() }
    }

    fn run_directory(&self) -> RunDirectory {
        self.paths.run_directory()
    }

    fn scratch(&self) -> PathBuf {
        let name = self.paths.target().file_name().unwrap_or_default().to_string_lossy();
        self.directory.join(format!("{}{}.tmp", scratch_prefix(&name), std::process::id()))
    }

    fn read(&self, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let entries = self.drawn(records, seed);
        let cached_share = cached_share(&self.root, &entries);
        let reading = self.read_sample(&entries, control)?;
        Ok(Drawn {
            amount: amount(reading.objects, reading.bytes),
            refused: reading.refused,
            took: reading.took,
            cached_share,
        })
    }

    fn sample(&self, scratch: &Path, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let bytes_max = READ_BYTES_MAX.min(self.disk.free_bytes(&self.directory)? / FREE_PARTS);
        let entries = self.sampler.draw(records, seed, bytes_max);
        let cached_share = cached_share(&self.root, &entries);
        let disk = with_modes(&self.disk, self.root.modes()?);
        let file_system = disk.file_system(scratch)?;
        let started = Instant::now();
        let copy = SourceCopy::create(&*disk, &self.root, &source_of(scratch))?;
        let (mut made, mut bytes, mut objects) = (HashSet::new(), 0, 0);
        for entry in &entries {
            check_stop(control.stop)?;
            let directory = parent_of(&copy.to.blob(&entry.location)).to_path_buf();
            if made.insert(directory.clone()) {
                create_directories(&*disk, &directory)?;
            }
            if self.copy(&copy, entry, control)? {
                (objects, bytes) = (objects + 1, bytes + entry.len_bytes);
            }
        }
        // The run that is measured must not wait for these bytes.
        file_system.sync()?;
        Ok(Drawn { amount: amount(objects, bytes), refused: 0, took: started.elapsed(), cached_share })
    }

    fn run(&self, scratch: &Path, commit_records: u64, control: &Control<'_>) -> Result<(), Error> {
        let run = RunOptions {
            rate_limit: None,
            start: Start::Auto,
            history: History::None,
            checkpoint_interval_records: self.options.run.checkpoint_interval_records.min(commit_records).max(1),
            ..self.options.run
        };
        let options = MigrateOptions {
            placement: Placement::New,
            strict: false,
            allow_empty: true,
            max_drop_percent: None,
            publish: true,
            run,
            ..self.options.clone()
        };
        let target = TargetPaths::new(&scratch.join("target"))?;
        migrate(self.disk.clone(), &source_of(scratch), &target, &options, control).map(drop)
    }
}

fn amount(records: u64, source_bytes: u64) -> Amount {
    Amount { records, source_bytes, cost_bytes: source_bytes + records * OBJECT_COST_BYTES }
}

/// Returns the beginning of the name of the directory that is written for an estimate, next to the target of that name.
pub(in crate::cas) fn scratch_prefix(target_name: &str) -> String {
    format!(".{target_name}.estimate-")
}

fn source_of(scratch: &Path) -> PathBuf {
    scratch.join("source")
}

/// A part of a store that is copied, with the same directories.
struct SourceCopy<'a> {
    disk: &'a dyn Disk,
    to: SourceRoot,
}

impl<'a> SourceCopy<'a> {
    /// Creates the directory of objects at the same place as the source has it.
    fn create(disk: &'a dyn Disk, from: &SourceRoot, to: &Path) -> Result<Self, Error> {
        let below = from.objects().strip_prefix(from.path()).unwrap_or(Path::new(""));
        create_directories(disk, &to.join(below))?;
        Ok(Self { disk, to: SourceRoot::open(to)? })
    }

    fn file(&self, from: &Path, to: &Path, control: &Control<'_>) -> Result<(), DiskError> {
        let source = SourceFile::open_no_follow(from, ReaderKind::Pread)?;
        self.disk.copy_new_file(&source, to, CopyMeans::Auto, &control.stop.check()).map(drop)
    }
}

/// Creates a directory and those above it. None of it is durable: it goes when it was measured.
fn create_directories(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    if disk.kind(path)?.is_some() {
        return Ok(());
    }
    create_directories(disk, parent_of(path))?;
    disk.create_directory(path)
}
