//! Measures a migration on objects that are drawn by lot.

use std::collections::BinaryHeap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::convert::ObjectConverter;
use super::converted::{ConvertScratch, ItemResult};
use super::migrate;
use super::plan::{Plan, look};
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::paths::TargetPaths;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::reader::{Batch, SourceReader};
use crate::cas::source::{Item, SourceRoot};
use crate::durable::{
    CopyMeans, Disk, DiskError, FaultClass, IN_A_ROW_MAX, NEVER, ReaderKind, SourceFile, parent_of, source_identity,
};
use crate::migration::probe::{Amount, Drawn, Needs, Probe};
use crate::migration::{Error, Places, RunDirectory, RunOptions, Start, check_stop, nearest_directory};
use crate::pipeline::{Control, Converter};

/// Objects that are kept to draw from. Of a larger store they are drawn by lot.
const KEPT_OBJECTS_MAX: usize = 50_000;
/// Bytes that can be migrated in the time that an empty object takes: two files are created for it.
const OBJECT_COST_BYTES: u64 = 64 << 10;
/// Of the space that is free, a sample takes one part in this.
const FREE_PART: u64 = 16;
/// The most bytes that are read and not written.
const READ_BYTES_MAX: u64 = 64 << 20;
/// Names in the directory of a sample.
const SOURCE_NAME: &str = "source";
const TARGET_NAME: &str = "target";

/// A migration of a store that is measured.
pub struct CasProbe<'a> {
    disk: Arc<dyn Disk>,
    root: SourceRoot,
    paths: &'a TargetPaths,
    options: &'a MigrateOptions,
    plan: Plan,
    kept: Vec<Entry>,
}

impl<'a> CasProbe<'a> {
    /// Walks through the source and makes the plan. Writes nothing.
    pub fn open(
        disk: Arc<dyn Disk>,
        source: &Path,
        paths: &'a TargetPaths,
        options: &'a MigrateOptions,
        control: &Control<'_>,
    ) -> Result<Self, Error> {
        let mut lot = Lot::default();
        let (root, plan) = look(source, paths, options, control, |entry| lot.take(entry))?;
        let kept = lot.0.into_iter().map(|drawn| drawn.entry).collect();
        Ok(Self { disk, root, paths, options, plan, kept })
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns as many objects as may be taken, in the order in which a migration reads them.
    fn draw(&self, objects: u64, bytes_max: u64, seed: u64) -> Vec<Entry> {
        let mut ranked: Vec<_> = self.kept.iter().map(|entry| (rank(seed, entry), *entry)).collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        ranked.truncate(usize::try_from(objects).unwrap_or(usize::MAX));
        let mut bytes = 0_u64;
        let mut is_first = true;
        let mut entries: Vec<_> = ranked.into_iter().map(|(_, entry)| entry).collect();
        entries.retain(|entry| {
            let fits = bytes.saturating_add(entry.len_bytes) <= bytes_max || std::mem::take(&mut is_first);
            if fits {
                (bytes, is_first) = (bytes.saturating_add(entry.len_bytes), false);
            }
            fits
        });
        entries.sort_by_key(|entry| entry.location);
        entries
    }

    fn copy(&self, entry: &Entry, objects: &Path) -> Result<(), DiskError> {
        let target = objects.join(entry.location.path());
        create_directories(&*self.disk, parent_of(&target))?;
        copy_file(&*self.disk, &self.root.blob(&entry.location), &target)?;
        let mut sidecar = target.into_os_string();
        sidecar.push(".meta");
        copy_file(&*self.disk, &self.root.sidecar(&entry.location), Path::new(&sidecar))
    }
}

/// Copies a file of the source. One that is not there, or that cannot be read, is left out, as a run leaves it out.
fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    let copied = SourceFile::open(from, ReaderKind::Pread)
        .and_then(|source| disk.copy_new_file(&source, to, CopyMeans::NoReflink, NEVER));
    match copied {
        Err(error) if error.kind() == ErrorKind::NotFound || error.fault_class() == FaultClass::Item => Ok(()),
        copied => copied.map(drop),
    }
}

/// Creates a directory and those above it that are missing. Nothing of it is durable.
fn create_directories(disk: &dyn Disk, directory: &Path) -> Result<(), DiskError> {
    if disk.kind(directory)?.is_some() {
        return Ok(());
    }
    create_directories(disk, parent_of(directory))?;
    disk.create_directory(directory)
}

fn amount(entries: &[Entry]) -> Amount {
    let source_bytes = entries.iter().map(|entry| entry.len_bytes).sum();
    Amount { records: entries.len() as u64, source_bytes, cost_bytes: cost(entries.len() as u64, source_bytes) }
}

fn cost(objects: u64, bytes: u64) -> u64 {
    bytes.saturating_add(objects.saturating_mul(OBJECT_COST_BYTES))
}

/// Objects that are drawn by lot, whatever the order in which they come.
#[derive(Default)]
struct Lot(BinaryHeap<Ranked>);

/// An object with its lot. The lowest ones are kept.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: [u8; 32],
    entry: Entry,
}

impl Lot {
    fn take(&mut self, entry: &Entry) {
        if entry.kind != EntryKind::File {
            return;
        }
        self.0.push(Ranked { rank: rank(u64::MAX, entry), entry: *entry });
        if self.0.len() > KEPT_OBJECTS_MAX {
            self.0.pop();
        }
    }
}

fn rank(seed: u64, entry: &Entry) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&entry.location.bytes());
    *hasher.finalize().as_bytes()
}

impl Probe for CasProbe<'_> {
    fn whole(&self) -> Amount {
        let Plan { objects, object_bytes, .. } = self.plan;
        Amount { records: objects, source_bytes: object_bytes, cost_bytes: cost(objects, object_bytes) }
    }

    fn needs(&self) -> Result<Needs, Error> {
        Ok(Needs {
            directory: nearest_directory(&*self.disk, self.paths.parent())?,
            space_bytes: self.plan.space_needed_bytes,
            space_after_clean_bytes: self.plan.space_after_clean_bytes,
            inodes: self.plan.inodes_needed,
        })
    }

    fn places(&self) -> Places {
        Places { source: self.root.path().to_path_buf(), target: self.paths.target().to_path_buf() }
    }

    fn run_directory(&self) -> RunDirectory {
        self.paths.run_directory()
    }

    fn scratch(&self) -> PathBuf {
        let name = self.paths.target().file_name().unwrap_or_default();
        let directory = nearest_directory(&*self.disk, self.paths.parent());
        let directory = directory.unwrap_or_else(|_| self.paths.parent().to_path_buf());
        directory.join(format!("{}{}.tmp", scratch_prefix(&name.to_string_lossy()), std::process::id()))
    }

    fn read(&self, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let entries = self.draw(records, READ_BYTES_MAX, seed);
        read(&self.root, &entries, self.plan.sidecars > 0, self.options, control)
    }

    fn sample(&self, scratch: &Path, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let bytes_max = self.disk.free_bytes(scratch)? / FREE_PART;
        let entries = self.draw(records, bytes_max, seed);
        let source = scratch.join(SOURCE_NAME);
        let objects = match self.root.objects() == self.root.path() {
            true => source,
            false => source.join(self.root.objects().file_name().unwrap_or(OsStr::new("objects"))),
        };
        create_directories(&*self.disk, &objects)?;
        let started = Instant::now();
        for entry in &entries {
            check_stop(control.stop)?;
            self.copy(entry, &objects)?;
        }
        Ok(Drawn { amount: amount(&entries), took: started.elapsed(), ..Drawn::default() })
    }

    fn run(&self, scratch: &Path, commit_records: u64, control: &Control<'_>) -> Result<(), Error> {
        let paths = TargetPaths::new(&scratch.join(TARGET_NAME))?;
        let own = &self.options.run;
        let run = RunOptions {
            start: Start::Auto,
            rate_limit: None,
            history: crate::migration::forecast::History::None,
            checkpoint_interval_records: own.checkpoint_interval_records.min(commit_records),
            ..*own
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
        migrate(self.disk.clone(), &scratch.join(SOURCE_NAME), &paths, &options, control).map(drop)
    }
}

/// Returns the beginning of the name of the directory that is written for an estimate, next to the target of that name.
pub(in crate::cas) fn scratch_prefix(target_name: &str) -> String {
    format!(".{target_name}.estimate-")
}

/// Reads, identifies and encodes objects, as one thread of a migration does.
fn read(
    root: &SourceRoot,
    entries: &[Entry],
    has_sidecars: bool,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Drawn, Error> {
    let objects = entries.len() as u64;
    let converter = ObjectConverter::new(root, objects, options.compress, options.link.is_wanted(), None, control.stop);
    let mut scratch = ConvertScratch::default();
    let mut drawn = Drawn { amount: amount(entries), ..Drawn::default() };
    for (number, &entry) in entries.iter().enumerate() {
        let has_sidecar = has_sidecars && source_identity(&root.sidecar(&entry.location))?.is_some();
        let item = Item::Object { entry, has_sidecar };
        let memory_bytes = SourceReader::memory_bytes(&item, options.compress);
        let started = Instant::now();
        let (before, after) = (entries[..number].iter().rev(), &entries[number + 1..]);
        let batch = Batch {
            first_item: number as u64,
            items: vec![item],
            memory_bytes,
            before: before.take(IN_A_ROW_MAX as usize).rev().copied().collect(),
            after: after.iter().take(IN_A_ROW_MAX as usize).copied().collect(),
        };
        let converted = converter.convert(&mut scratch, batch)?;
        drawn.took += started.elapsed();
        let is_refused = |result: &ItemResult| !matches!(result, ItemResult::Object { .. });
        drawn.refused += converted.items.iter().filter(|item| is_refused(&item.result)).count() as u64;
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::source::Location;

    fn entry(number: u32, len_bytes: u64) -> Entry {
        let location = Location::new(&[], format!("{number:064x}").as_bytes()).unwrap();
        Entry { len_bytes, ..Entry::new(location, EntryKind::File, None) }
    }

    #[test]
    fn the_lot_is_the_same_in_whatever_order_objects_come() {
        let numbers = 0..KEPT_OBJECTS_MAX as u32 + 5_000;
        let draw = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut lot = Lot::default();
            numbers.for_each(|number| lot.take(&entry(number, 1)));
            let mut kept: Vec<_> = lot.0.into_iter().map(|ranked| ranked.entry).collect();
            kept.sort_by_key(|entry| entry.location);
            kept
        };
        let kept = draw(&mut numbers.clone());
        assert_eq!(kept.len(), KEPT_OBJECTS_MAX);
        assert_eq!(draw(&mut numbers.clone().rev()), kept);
        // Also the last tenth of the names is in it.
        let late = kept.iter().filter(|kept| kept.location > entry(numbers.end / 10 * 9, 1).location).count();
        assert!((4_500..5_500).contains(&late), "{late}");
    }

    #[test]
    fn only_files_are_drawn() {
        let mut lot = Lot::default();
        lot.take(&Entry { kind: EntryKind::Link, ..entry(1, 1) });
        assert!(lot.0.is_empty());
    }
}
