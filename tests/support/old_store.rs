//! Old content-addressed stores for tests: laid out object by object, migrated through the library, looked at afterwards.
#![allow(dead_code, reason = "each test file uses its share")]
#![allow(clippy::disallowed_methods, reason = "tests prepare and damage files directly")]

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use haul::cas::Key;
use haul::cas::digest::{CAS_PREFIX, Content};
use haul::cas::era::Era;
use haul::cas::frame::{Compressor, LEVEL_DEFAULT};
use haul::cas::generate::{GenerateOptions, Generation};
use haul::cas::generated::generate_store;
use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::MigrateOptions;
use haul::cas::paths::TargetPaths;
use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, OutcomeCounts};
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};

/// An old store beside which targets can be made; all of it vanishes with the test.
pub struct OldStore {
    directory: tempfile::TempDir,
}

/// What an object is kept as.
#[derive(Clone, Copy)]
pub struct Keeping {
    pub era: Era,
    pub zstd: bool,
    pub created_at: u64,
}

impl OldStore {
    /// A store with an empty directory of objects.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(directory.path().join("old/objects")).expect("a directory of objects");
        Self { directory }
    }

    /// A made-up store.
    pub fn generated(options: &GenerateOptions) -> Self {
        Self::generated_in(tempfile::tempdir().expect("a temporary directory"), options)
    }

    /// A made-up store in a directory.
    pub fn generated_in(directory: tempfile::TempDir, options: &GenerateOptions) -> Self {
        let store = Self { directory };
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        generate_store(&RealDisk, &store.root(), options, NonZeroUsize::MIN, &control).expect("a made-up store");
        store
    }

    /// The directory that holds the store.
    pub fn beside(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> PathBuf {
        self.beside().join("old")
    }

    /// A target beside the store.
    pub fn paths(&self) -> TargetPaths {
        self.paths_of("new")
    }

    pub fn paths_of(&self, name: &str) -> TargetPaths {
        TargetPaths::new(&self.beside().join(name)).expect("a path that ends in a name")
    }

    /// Writes a file at a path relative to the store.
    pub fn file(&self, relative: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root().join(relative);
        fs::create_dir_all(path.parent().expect("it lies in the store")).expect("a directory");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// Keeps `content` as an era kept it, in `AB/CD/`. The path of its blob and its key.
    pub fn object(&self, keeping: Keeping, content: &[u8]) -> (PathBuf, Key) {
        let prefixed = [&CAS_PREFIX, content].concat();
        let zstd = keeping.zstd.then(|| {
            let mut frame = Vec::new();
            Compressor::new().compress(content, LEVEL_DEFAULT, &mut frame);
            frame
        });
        let kept = keeping.era.keep(Content::behind_prefix(&prefixed), zstd, keeping.created_at);
        let name = kept.key.to_string();
        let relative = format!("objects/{}/{}/{name}", &name[..2], &name[2..4]);
        if let Some(sidecar) = &kept.sidecar {
            self.file(&format!("{relative}.meta"), sidecar);
        }
        (self.file(&relative, &kept.blob), kept.key)
    }

    /// As [`object`](Self::object), of an era and without more.
    pub fn plain(&self, era: Era, content: &[u8]) -> (PathBuf, Key) {
        self.object(Keeping { era, zstd: false, created_at: 1_700_000_000 }, content)
    }

    /// All that can be seen of the store, to prove that it stays.
    pub fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        seen(&self.root())
    }

    /// Migrates on the real disk; the source must stay and the counts add up.
    pub fn migrate(&self, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        self.migrate_to(&self.paths(), options, &Silent)
    }

    pub fn migrate_to(
        &self,
        paths: &TargetPaths,
        options: &MigrateOptions,
        observer: &dyn Observer,
    ) -> Result<MigrationEnd, Error> {
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer };
        let end = migrate(disk(), &self.root(), paths, options, &control)?;
        end.counts.check_sum(end.records).expect("counts that add up");
        Ok(end)
    }
}

/// A store of every generation, with zstd and with contents under two keys.
pub fn mixed(objects: u64, size_bytes_max: u64) -> GenerateOptions {
    GenerateOptions {
        objects,
        size_bytes_min: 32,
        size_bytes_max,
        seed: 5,
        generation: Generation::Mixed,
        layout: Generation::Mixed.layout(),
        zstd_share: 0.4,
        duplicate_share: 0.2,
        created_at: 1_700_000_000,
    }
}

/// The real disk.
pub fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// What can be seen of a file without a trace: its mode, its times and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub modified: (i64, i64),
    pub inode: u64,
    /// Digest of a file's bytes, the text of a link.
    pub content: Vec<u8>,
}

/// Everything below a directory, and the directory itself; links are not followed.
pub fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).expect("an entry");
        let content = if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
        } else if metadata.is_file() {
            blake3::hash(&fs::read(&path).expect("a file")).as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let seen = Seen { mode: metadata.mode(), modified, inode: metadata.ino(), content };
        found.insert(path.strip_prefix(root).expect("below it").to_path_buf(), seen);
    }
    found
}

/// Names, modes and digests of a target with its map and reverse map: what must be the same whenever it is made.
pub fn made(paths: &TargetPaths) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let part = |(path, seen): (PathBuf, Seen)| (path, (seen.mode, seen.content));
    let mut found: BTreeMap<_, _> = seen(paths.target()).into_iter().map(part).collect();
    for name in ["key-map.tsv", "key-map.reverse"] {
        found.extend(seen(&paths.run_directory().path().join(name)).into_values().map(|seen| {
            let path = Path::new("beside it").join(name);
            part((path, seen))
        }));
    }
    found
}

/// The first names by which two results of [`made`] differ.
#[track_caller]
pub fn assert_same(
    found: &BTreeMap<PathBuf, (u32, Vec<u8>)>,
    expected: &BTreeMap<PathBuf, (u32, Vec<u8>)>,
    what: &str,
) {
    let names = found.keys().chain(expected.keys());
    let differing: Vec<_> = names.filter(|name| found.get(*name) != expected.get(*name)).take(4).collect();
    assert!(differing.is_empty(), "{differing:?} differ: {what}");
}

/// Content made up from a number; text of few letters if it is to compress well.
pub fn content(number: u64, len: usize, is_text: bool) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    if is_text {
        bytes.iter_mut().for_each(|byte| *byte = b"etaoin shrdlu.,\n"[usize::from(*byte % 16)]);
    }
    bytes
}

/// Asks for a stop at the n-th event from 0.
pub struct StopAt {
    left: AtomicUsize,
    stop: StopToken,
}

impl StopAt {
    pub fn new(event: usize, stop: &StopToken) -> Self {
        Self { left: AtomicUsize::new(event), stop: stop.clone() }
    }
}

impl Observer for StopAt {
    fn observe(&self, _event: &Event) {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left.is_err() || left == Ok(0) {
            self.stop.request();
        }
    }
}
