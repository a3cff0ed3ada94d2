//! Writes generated stores to a disk.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;
use serde::Serialize;

use super::{GenerateOptions, GenerationMix, MadeObject, ObjectMaker};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Algorithm;
use crate::cas::format::layout::Layout;
use crate::durable::{Disk, DiskFile, EntryKind, create_directory_durable, remove_tree};
use crate::migration::{EphemeralLock, Error, RunDirectory, free_space_check, serialize_path};
use crate::pipeline::{
    Admission, Admitted, Budget, Control, Converter, Ended, Expected, Options, Phase, Reader, pass, thread_pool,
};

/// Memory of objects in flight, unless a single one needs more.
const BUDGET_BYTES: u64 = 256 << 20;
/// The directory with the lock of a generator that is at work.
const LOCKED: &str = "migration";
/// Most contents in a batch.
const BATCH_CONTENTS_MAX: u64 = 1_000;
/// Bytes of contents in a batch, approximately.
const BATCH_BYTES: u64 = 1 << 20;
/// Memory of an object in flight in addition to its bytes: sidecar, key and their allocations.
const OBJECT_OVERHEAD_BYTES: u64 = 1 << 10;
/// Size of the blocks of a file system.
const BLOCK_BYTES: u64 = 4_096;
/// Most directories in a store.
const DIRECTORIES_MAX: u64 = 65_536 + 256 + 1;

/// A store that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedStore {
    /// Root of the store.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// The generations of the objects.
    pub generation: GenerationMix,
    /// Where the objects are.
    pub layout: Layout,
    /// The seed of the contents.
    pub seed: u64,
    /// What the store contains.
    #[serde(flatten)]
    pub totals: Totals,
    /// True if a stop was requested. Then everything was removed again.
    pub stopped: bool,
}

/// What a generated store contains.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Objects, also those with equal contents.
    pub objects: u64,
    /// Objects that are the second of their content.
    pub duplicates: u64,
    /// Objects that are zstd.
    pub zstd_objects: u64,
    /// Objects by the algorithm of their keys.
    pub algorithms: BTreeMap<Algorithm, u64>,
    /// Bytes of the contents of all objects.
    pub content_bytes: u64,
    /// Bytes of all blobs.
    pub stored_bytes: u64,
}

impl Totals {
    fn count(&mut self, object: &MadeObject) {
        self.objects += 1;
        self.zstd_objects += u64::from(object.encoding == Encoding::Zstd);
        *self.algorithms.entry(object.generation.algorithm()).or_default() += 1;
        self.content_bytes += object.content_bytes;
        self.stored_bytes += object.encoded.blob.len() as u64;
    }
}

/// Writes a generated store to `root`, which must be empty or not exist; it is durable on return. Its bytes depend on
/// nothing but the options, in particular not on the number of threads.
///
/// # Errors
/// [`Error::Usage`] for options that fit no store and for a directory that is not empty; errors of the disk. After an
/// error, everything that was written is removed again.
pub fn generate_store(
    disk: &dyn Disk,
    root: &Path,
    options: &GenerateOptions,
    parallel_workers: NonZeroUsize,
    control: &Control<'_>,
) -> Result<GeneratedStore, Error> {
    options.check()?;
    let directory = RunDirectory::new(root.join(LOCKED));
    directory.check_free(disk)?;
    check_is_empty(disk, root)?;
    create_directory_durable(disk, root)?;
    // The one that fails empties the directory, so there must be no other who writes there.
    let mut lock = EphemeralLock::take(disk, &directory)?;
    check_is_empty(disk, root)?;
    free_space_check(disk, root, bytes_expected(options))?;
    let written = control.phase(Phase::Generate, Expected::records(options.objects), || {
        let totals = write_store(disk, root, options, parallel_workers, control)?;
        if totals.is_some() {
            lock.remove()?;
        }
        Ok::<_, Error>(totals)
    });
    if !matches!(written, Ok(Some(_))) {
        // Half a store would look like a complete one.
        let emptied = empty_directory(disk, root);
        if written.is_ok() {
            emptied?;
        }
    }
    let totals = written?;
    Ok(GeneratedStore {
        path: root.to_path_buf(),
        generation: options.generation,
        layout: options.layout,
        seed: options.seed,
        stopped: totals.is_none(),
        totals: totals.unwrap_or_default(),
    })
}

/// Fails if anything is there but the lock.
fn check_is_empty(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    if disk.kind(root)?.is_none() || disk.list(root)?.iter().all(|entry| entry.name == LOCKED) {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{} is not empty", root.display()),
        next: "choose a directory that does not exist yet".into(),
    })
}

/// Returns the approximate size of the store on the disk. Every file ends with a partly used block.
fn bytes_expected(options: &GenerateOptions) -> u64 {
    let (min, max) = (options.size_bytes_min as f64, options.size_bytes_max as f64);
    let mean_bytes = if min < max { (max - min) / (max / min).ln() } else { max };
    let objects = options.objects as f64 * (1.0 + options.duplicate_share);
    let has_sidecar = options.generation.members().iter().any(|generation| generation.blob_hash_algorithm().is_some());
    let files_of_object = if has_sidecar { 2.0 } else { 1.0 };
    let directories = options.objects.min(DIRECTORIES_MAX) as f64;
    (objects * mean_bytes + (objects * files_of_object + directories) * BLOCK_BYTES as f64) as u64
}

/// Writes the store. `None` if a stop was requested.
fn write_store(
    disk: &dyn Disk,
    root: &Path,
    options: &GenerateOptions,
    parallel_workers: NonZeroUsize,
    control: &Control<'_>,
) -> Result<Option<Totals>, Error> {
    let engine = Options {
        parallel_workers,
        budget: Budget::new(BUDGET_BYTES, 1.0),
        rate_limit: None,
        checkpoint_interval_records: u64::MAX,
        checkpoint_interval_ms_min: 0,
        checkpoint_interval_ms_max: u64::MAX,
    };
    let file_system = disk.file_system(root)?;
    let mut writer = StoreWriter::create(disk, root, options, parallel_workers)?;
    let numbers = Numbers { options, next: 0 };
    match pass(numbers, &Maker(options), &engine, control, |made| writer.write(&made))? {
        Ended::Complete => {
            file_system.sync()?;
            Ok(Some(writer.totals))
        }
        Ended::Stopped => Ok(None),
    }
}

fn empty_directory(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    for entry in disk.list(root)?.into_iter().filter(|entry| entry.name != LOCKED) {
        let path = root.join(entry.name);
        match entry.kind {
            EntryKind::Directory => remove_tree(disk, &path)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    Ok(())
}

/// Reads the numbers of the contents in batches.
struct Numbers<'a> {
    options: &'a GenerateOptions,
    next: u64,
}

impl Reader for Numbers<'_> {
    type Batch = Range<u64>;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Range<u64>>>, Error> {
        let options = self.options;
        let records_max = (BATCH_BYTES / options.size_bytes_max).clamp(1, BATCH_CONTENTS_MAX);
        let records = records_max.min(options.objects - self.next);
        if records == 0 {
            return Ok(None);
        }
        // For each number: the content, its frames, and the blobs of two objects.
        let bytes_max = records * (4 * options.size_bytes_max + 2 * OBJECT_OVERHEAD_BYTES);
        let Some(permit) = admission.acquire(bytes_max) else { return Ok(None) };
        let batch = self.next..self.next + records;
        self.next = batch.end;
        Ok(Some(Admitted { batch, permit, records, source_bytes: 0 }))
    }
}

/// The objects of a batch. A second object follows the first of its content.
#[derive(Default)]
struct Made {
    objects: Vec<MadeObject>,
    duplicates: u64,
}

struct Maker<'a>(&'a GenerateOptions);

impl Converter for Maker<'_> {
    type Batch = Range<u64>;
    type Output = Made;
    type Scratch = ObjectMaker;
    type Error = Error;

    fn convert(&self, maker: &mut ObjectMaker, numbers: Range<u64>) -> Result<Made, Error> {
        let mut made = Made::default();
        for number in numbers {
            let (object, second) = maker.make(self.0, number);
            made.duplicates += u64::from(second.is_some());
            made.objects.push(object);
            made.objects.extend(second);
        }
        Ok(made)
    }
}

/// Writes objects and directories, and lines of the index.
struct StoreWriter<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    layout: Layout,
    directories: HashSet<PathBuf>,
    /// Threads that create files: creating small files takes longer than generating their contents.
    creators: ThreadPool,
    index: Option<Index>,
    totals: Totals,
}

struct Index {
    file: Arc<dyn DiskFile>,
    len_bytes: u64,
    lines: Vec<u8>,
}

impl<'a> StoreWriter<'a> {
    fn create(
        disk: &'a dyn Disk,
        root: &'a Path,
        options: &GenerateOptions,
        parallel_workers: NonZeroUsize,
    ) -> Result<Self, Error> {
        let mut index = None;
        if options.generation.members().iter().any(|generation| generation.is_indexed()) {
            let file = disk.create_file(&root.join("index.ndjson"))?;
            index = Some(Index { file, len_bytes: 0, lines: Vec::new() });
        }
        let mut writer = Self {
            disk,
            root,
            layout: options.layout,
            directories: HashSet::from([root.to_path_buf()]),
            creators: thread_pool(parallel_workers.get())?,
            index,
            totals: Totals::default(),
        };
        if options.layout != Layout::BareRoot {
            writer.make_directory(&root.join("objects"))?;
        }
        Ok(writer)
    }

    fn place(&self, object: &MadeObject) -> (PathBuf, String) {
        let (directory, name) = self.layout.place(object.encoded.key);
        (self.root.join(directory), name)
    }

    fn make_directory(&mut self, path: &Path) -> Result<(), Error> {
        if !self.directories.contains(path) {
            self.make_directory(path.parent().expect("it is below the root"))?;
            self.disk.create_directory(path)?;
            self.directories.insert(path.to_path_buf());
        }
        Ok(())
    }

    fn create_files(&self, object: &MadeObject) -> Result<(), Error> {
        let (directory, name) = self.place(object);
        self.disk.write_new_file(&directory.join(&name), &object.encoded.blob)?;
        if let Some(sidecar) = &object.encoded.sidecar {
            self.disk.write_new_file(&directory.join(name + ".meta"), sidecar)?;
        }
        Ok(())
    }

    fn list(&mut self, object: &MadeObject) {
        let sidecar = object.encoded.sidecar.as_ref().filter(|_| object.generation.is_indexed());
        if let Some((index, sidecar)) = self.index.as_mut().zip(sidecar) {
            index.lines.extend_from_slice(sidecar);
            index.lines.push(b'\n');
        }
    }

    fn write_index(&mut self) -> Result<(), Error> {
        if let Some(index) = &mut self.index {
            index.file.write_all_at(index.len_bytes, &index.lines)?;
            index.len_bytes += index.lines.len() as u64;
            index.lines.clear();
        }
        Ok(())
    }
}

impl StoreWriter<'_> {
    fn write(&mut self, made: &Made) -> Result<(), Error> {
        for object in &made.objects {
            self.make_directory(&self.place(object).0)?;
            self.list(object);
            self.totals.count(object);
        }
        self.totals.duplicates += made.duplicates;
        self.creators.install(|| made.objects.par_iter().try_for_each(|object| self.create_files(object)))?;
        self.write_index()
    }
}
