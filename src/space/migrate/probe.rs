//! What of a log is migrated to measure how long the whole takes: records drawn at random.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::convert::LogConverter;
use super::migrate;
use super::plan::{Plan, check_directory, check_pointer, plan};
use crate::durable::{Disk, DiskFile, SourceFile, create_directory_durable, for_each_chunk};
use crate::migration::lifecycle::Places;
use crate::migration::probe::{Amount, Drawn, Needs, Probe};
use crate::migration::{Error, OutcomeCounts, RunDirectory, RunOptions, Start};
use crate::pipeline::{Control, Converter};
use crate::space::log::extent::Extent;
use crate::space::log::lots::{Lot, Lots};
use crate::space::log::source::WalSource;
use crate::space::options::MigrateOptions;
use crate::space::outcome::Counts;
use crate::space::paths::SpacePaths;
use crate::space::policy::{Collisions, Corruption, Duplicates, OutOfRange, Policies, TornTail, Undecodable};

/// First part of the name of the directory that samples are in, next to the log. It was a file in older versions.
pub(in crate::space) const SCRATCH_PREFIX: &str = ".estimate-";
/// As many bytes are migrated in the time that a record costs beyond its bytes.
const RECORD_COST_BYTES: u64 = 200;

/// A migration of a space that can be measured.
pub struct SpaceProbe {
    disk: Arc<dyn Disk>,
    paths: SpacePaths,
    options: MigrateOptions,
    source: Arc<WalSource>,
    plan: Plan,
}

impl SpaceProbe {
    /// Makes the checks of a plan, and the plan.
    pub fn open(disk: Arc<dyn Disk>, paths: &SpacePaths, options: &MigrateOptions) -> Result<Self, Error> {
        check_directory(paths.root())?;
        check_pointer(&*disk, paths)?;
        let source = Arc::new(WalSource::open(&paths.log(), options.reader)?);
        let plan = plan(paths, &source, options)?;
        Ok(Self { disk: paths.limited(&disk)?, paths: paths.clone(), options: options.clone(), source, plan })
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Draws records and passes them on. All of them if so many are wanted.
    fn draw(
        &self,
        (records, seed): (u64, u64),
        control: &Control<'_>,
        mut take: impl FnMut(Lot) -> Result<(), Error>,
    ) -> Result<Tally, Error> {
        let (whole, mut tally) = (self.plan.records_estimated, Tally::default());
        let record_bytes = self.plan.source_bytes.checked_div(whole).unwrap_or(0);
        let lots = Lots { source: &self.source, record_bytes, seed, stop: control.stop };
        let take = |lot: Lot| {
            tally.add(&lot);
            take(lot)
        };
        if records >= whole {
            lots.all(take)?
        } else {
            lots.draw(records, take)?
        }
        Ok(tally)
    }

    /// Copies the log as it is.
    fn copy_whole(&self, copy: &mut LogCopy<'_>, control: &Control<'_>) -> Result<Tally, Error> {
        let mut tally = Tally { amount: self.whole(), ..Tally::default() };
        for (number, file) in self.source.files().iter().enumerate() {
            tally.add_cached(file, 0, file.identity().len_bytes);
            copy.whole_file(number, file, control)?;
        }
        Ok(tally)
    }
}

impl Probe for SpaceProbe {
    fn whole(&self) -> Amount {
        amount(self.plan.records_estimated, self.plan.source_bytes)
    }

    fn needs(&self) -> Result<Needs, Error> {
        Ok(Needs {
            directory: self.paths.root().to_path_buf(),
            space_bytes: self.plan.space_needed_bytes,
            space_after_clean_bytes: self.plan.space_after_clean_bytes,
            inodes: self.plan.inodes_needed,
        })
    }

    fn places(&self) -> Places {
        Places { source: self.paths.log(), target: self.paths.root().to_path_buf() }
    }

    fn run_directory(&self) -> RunDirectory {
        self.paths.run_directory()
    }

    fn scratch(&self) -> PathBuf {
        self.paths.root().join(format!("{SCRATCH_PREFIX}{}.tmp", std::process::id()))
    }

    fn read(&self, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let started = Instant::now();
        let policies = tolerant(self.options.policies);
        let converter = LogConverter::new(policies, Arc::new(self.source.names().to_vec()), control.stop);
        let (mut refused, mut counts) = (0, Counts::default());
        let tally = self.draw((records, seed), control, |lot| {
            // What lies between two records is nobody's record, or was one.
            refused += u64::from(lot.follows_damage);
            counts.merge(&converter.convert(&mut (), lot.batch)?.counts);
            Ok(())
        })?;
        Ok(tally.drawn(refused + counts.refused(), started.elapsed()))
    }

    fn sample(&self, scratch: &Path, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let log = SpacePaths::new(scratch).log();
        create_directory_durable(&*self.disk, &log)?;
        let started = Instant::now();
        let mut copy = LogCopy::new(&*self.disk, &log, self.source.names());
        let tally = match records >= self.plan.records_estimated {
            true => self.copy_whole(&mut copy, control)?,
            false => self.draw((records, seed), control, |lot| copy.append(&lot))?,
        };
        // The run that is measured must not wait for these bytes.
        copy.finish()?;
        Ok(tally.drawn(0, started.elapsed()))
    }

    fn run(&self, scratch: &Path, commit_records: u64, control: &Control<'_>) -> Result<(), Error> {
        let run = RunOptions {
            rate_limit: None,
            start: Start::Auto,
            checkpoint_interval_records: self.options.run.checkpoint_interval_records.min(commit_records).max(1),
            ..self.options.run
        };
        let options = MigrateOptions {
            policies: tolerant(self.options.policies),
            publish: true,
            engine_stopped: true,
            allow_empty: true,
            run,
            ..self.options.clone()
        };
        migrate(self.disk.clone(), &SpacePaths::new(scratch), &options, control).map(drop)
    }
}

fn amount(records: u64, source_bytes: u64) -> Amount {
    Amount { records, source_bytes, cost_bytes: source_bytes + records * RECORD_COST_BYTES }
}

/// Returns policies under which no record ends a run. A sample takes as long under them.
fn tolerant(policies: Policies) -> Policies {
    Policies {
        corruption: match policies.corruption {
            Corruption::Fail => Corruption::Resync,
            other => other,
        },
        torn_tail: TornTail::Accept,
        undecodable: Undecodable::Skip,
        out_of_range: match policies.out_of_range {
            OutOfRange::Fail => OutOfRange::Skip,
            other => other,
        },
        duplicates: match policies.duplicates {
            Duplicates::Fail => Duplicates::Engram,
            other => other,
        },
        collisions: Collisions::Rekey,
        ..policies
    }
}

/// What was drawn so far.
#[derive(Default)]
struct Tally {
    amount: Amount,
    /// Bytes of which it is known whether they were in the page cache, and those that were.
    looked_at_bytes: u64,
    cached_bytes: f64,
}

impl Tally {
    fn add(&mut self, lot: &Lot) {
        let bytes = lot.batch.extents.iter().map(|extent| extent.len_bytes).sum::<u64>();
        let records = lot.batch.extents.iter().map(Extent::records).sum::<u64>();
        self.amount = amount(self.amount.records + records, self.amount.source_bytes + bytes);
        if let Some(share) = lot.cached_share {
            self.looked_at_bytes += bytes;
            self.cached_bytes += share * bytes as f64;
        }
    }

    fn add_cached(&mut self, file: &SourceFile, offset: u64, len_bytes: u64) {
        let share = usize::try_from(len_bytes).ok().and_then(|len| file.cached_share(offset, len));
        if let Some(share) = share {
            self.looked_at_bytes += len_bytes;
            self.cached_bytes += share * len_bytes as f64;
        }
    }

    fn drawn(self, refused: u64, took: Duration) -> Drawn {
        let cached_share = (self.looked_at_bytes > 0).then(|| self.cached_bytes / self.looked_at_bytes as f64);
        Drawn { amount: self.amount, refused, took, cached_share }
    }
}

/// A log that is written: its files have the names of those that the records are from.
struct LogCopy<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    names: &'a [String],
    files: Vec<Option<(Arc<dyn DiskFile>, u64)>>,
}

impl<'a> LogCopy<'a> {
    fn new(disk: &'a dyn Disk, directory: &'a Path, names: &'a [String]) -> Self {
        Self { disk, directory, names, files: names.iter().map(|_| None).collect() }
    }

    fn write(&mut self, number: usize, bytes: &[u8]) -> Result<(), Error> {
        let (file, at) = match &mut self.files[number] {
            Some(file) => file,
            none => none.insert((self.disk.create_file(&self.directory.join(&self.names[number]))?, 0)),
        };
        file.write_all_at(*at, bytes)?;
        file.start_writeback(*at, bytes.len() as u64);
        *at += bytes.len() as u64;
        Ok(())
    }

    fn append(&mut self, lot: &Lot) -> Result<(), Error> {
        let batch = &lot.batch;
        batch.extents.iter().try_for_each(|extent| self.write(batch.file_number as usize, batch.bytes_of(extent)))
    }

    fn whole_file(&mut self, number: usize, file: &SourceFile, control: &Control<'_>) -> Result<(), Error> {
        self.write(number, &[])?;
        for_each_chunk(
            0..file.identity().len_bytes,
            &control.stop.check(),
            |offset, chunk| file.read_exact_at(offset, chunk).map_err(Error::from),
            |_, chunk| self.write(number, chunk),
        )
    }

    fn finish(self) -> Result<(), Error> {
        for (file, _) in self.files.into_iter().flatten() {
            file.sync()?;
        }
        Ok(())
    }
}
