//! Generated stores, read without the code that wrote them.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::support::conformance::conformance;
use crate::support::files::tree;
use haul::cas::format::digest::{CAS_PREFIX, Content, ContentHasher, Digests};
use haul::cas::format::generation::Generation;
use haul::cas::format::layout::Layout;
use haul::cas::generate::write::{GeneratedStore, generate_store};
use haul::cas::generate::{GenerateOptions, GenerationMix};
use haul::cas::{Algorithm, Key};
use haul::durable::{CrashFault, Disk, EntryKind, InjectedFault, RealDisk, SimulatedDisk};
use haul::migration::Error;
use haul::pipeline::{Control, Event, Observer, Silent, StopToken};
use parking_lot::Mutex;
use serde_json::Value;

const INDEX: &str = "index.ndjson";

fn options(generation: &str) -> GenerateOptions {
    let generation: GenerationMix = generation.parse().expect("a generation");
    let has_zstd = generation.members().iter().any(|member| member.compresses());
    GenerateOptions {
        objects: 300,
        size_bytes_min: 64,
        size_bytes_max: 4_096,
        seed: 11,
        generation,
        layout: generation.layout(),
        zstd_share: if has_zstd { 0.3 } else { 0.0 },
        duplicate_share: if generation == GenerationMix::Mixed { 0.1 } else { 0.0 },
        created_at: 1_700_000_000,
    }
}

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least one")
}

fn generate(disk: &dyn Disk, root: &Path, options: &GenerateOptions) -> Result<GeneratedStore, Error> {
    let stop = StopToken::new();
    generate_store(disk, root, options, workers(2), &Control { stop: &stop, observer: &Silent })
}

/// A generated store in memory.
struct Store {
    made: GeneratedStore,
    /// All files by path relative to the root.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Store {
    fn new(options: &GenerateOptions) -> Self {
        let (disk, root) = (SimulatedDisk::new(), Path::new("/store"));
        let made = generate(&disk, root, options).expect("a store");
        let whole = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        let files = whole.snapshot().into_iter();
        let relative = |path: PathBuf| path.strip_prefix(root).expect("below it").to_path_buf();
        Self { made, files: files.map(|(path, bytes)| (relative(path), bytes)).collect() }
    }

    /// Blobs and sidecars.
    fn objects(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        self.files.iter().filter(|(path, _)| *path != Path::new(INDEX))
    }

    fn blobs(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        self.objects().filter(|(path, _)| !is_sidecar(path))
    }

    fn sidecars(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        self.objects().filter(|(path, _)| is_sidecar(path))
    }

    fn index(&self) -> Option<&str> {
        self.files.get(Path::new(INDEX)).map(|bytes| std::str::from_utf8(bytes).expect("text"))
    }

    /// A copy that other programs can read.
    fn on_disk(&self) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, bytes) in &self.files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, bytes).expect("a file");
        }
        directory
    }
}

fn is_sidecar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "meta")
}

/// Returns the 64 digits of the key that a path has in this layout. `None` for a path of another layout.
fn key_of_path(layout: Layout, path: &Path) -> Option<Key> {
    let parts: Vec<_> = path.to_str()?.split('/').collect();
    let text = match (layout, parts.as_slice()) {
        (Layout::AbCd, ["objects", ab, cd, name]) if name[..2] == **ab && name[2..4] == **cd => (*name).to_owned(),
        (Layout::AbRest, ["objects", ab, rest]) => [*ab, *rest].concat(),
        (Layout::Flat, ["objects", name]) | (Layout::BareRoot, [name]) => (*name).to_owned(),
        _ => return None,
    };
    Key::parse(text.as_bytes())
}

fn digests(bytes: &[u8]) -> Digests {
    let mut hasher = ContentHasher::new(&Algorithm::ALL);
    hasher.update(bytes);
    hasher.finish()
}

/// An object as a reader finds it that does not share code with the generator.
struct Found {
    algorithm: Algorithm,
    content: Vec<u8>,
    is_dated: bool,
    is_zstd: bool,
}

impl Found {
    fn new(key: Key, blob: &[u8], sidecar: Option<&[u8]>) -> Self {
        let Some(sidecar) = sidecar else {
            let algorithm = digests(blob).algorithm_of(key).expect("a key of the blob");
            return Self { algorithm, content: blob.to_vec(), is_dated: false, is_zstd: false };
        };
        let record: Value = serde_json::from_slice(sidecar).expect("JSON");
        let is_zstd = record["encoding"] == "zstd";
        let content = if is_zstd { zstd::decode_all(blob).expect("frames") } else { blob.to_vec() };
        let algorithm = digests(&content).algorithm_of(key).expect("a key of the content");
        let blob_hash = if algorithm == Algorithm::Blake2s { Algorithm::Blake2s } else { Algorithm::Blake3 };
        let blob_hash = digests(blob).get(blob_hash).expect("it was requested");
        let mut expected = format!(
            r#"{{"digest":"{key}","encoding":"{}","original_size":{},"stored_size":{},"stored_blob_hash":"{blob_hash}""#,
            if is_zstd { "zstd" } else { "identity" },
            content.len(),
            blob.len(),
        );
        let created_at = record.get("created_at");
        if let Some(created_at) = created_at {
            expected += &format!(r#","created_at":{created_at}"#);
        }
        assert_eq!(String::from_utf8_lossy(sidecar), expected + "}");
        Self { algorithm, content, is_dated: created_at.is_some(), is_zstd }
    }
}

/// Returns every object of a store. Fails if a file belongs to none.
fn objects(store: &Store) -> Vec<Found> {
    let mut sidecars_left = store.sidecars().count();
    let found = store.blobs().map(|(path, blob)| {
        let key = key_of_path(store.made.layout, path).unwrap_or_else(|| panic!("{} is in its place", path.display()));
        let sidecar = store.files.get(&path.with_extension("meta"));
        sidecars_left -= usize::from(sidecar.is_some());
        Found::new(key, blob, sidecar.map(Vec::as_slice))
    });
    let found = found.collect();
    assert_eq!(sidecars_left, 0, "no sidecar is alone");
    found
}

fn count(found: &[Found], matches: impl Fn(&Found) -> bool) -> u64 {
    found.iter().filter(|found| matches(found)).count() as u64
}

#[test]
fn every_generation_has_its_names_sidecars_and_index() {
    // Algorithm, sidecars, ages in them, an index.
    let facts = [
        ("v0.2", Algorithm::Sha256, false, false),
        ("flat", Algorithm::Sha256, false, false),
        ("v0.5", Algorithm::Blake2s, true, false),
        ("v0.7", Algorithm::Blake3, true, false),
        ("v1.3-noindex", Algorithm::Cas, true, false),
        ("v2", Algorithm::Cas, true, true),
    ];
    for (generation, algorithm, has_sidecars, is_newest) in facts {
        let store = Store::new(&options(generation));
        let found = objects(&store);
        assert_eq!(found.len(), 300, "{generation}");
        assert_eq!(count(&found, |object| object.algorithm == algorithm), 300, "{generation}");
        assert_eq!(store.sidecars().count(), if has_sidecars { 300 } else { 0 }, "{generation}");
        assert_eq!(count(&found, |object| object.is_dated), if is_newest { 300 } else { 0 }, "{generation}");
        assert_eq!(store.index().is_some(), is_newest, "{generation}");
        assert_eq!(store.made.layout == Layout::Flat, generation == "flat");
    }
}

#[test]
fn every_layout_can_be_generated() {
    for layout in Layout::ALL {
        let store = Store::new(&GenerateOptions { layout, ..options("v0.5") });
        assert_eq!(objects(&store).len(), 300, "{layout}");
    }
}

#[test]
fn the_totals_are_those_of_the_tree() {
    let store = Store::new(&options("mixed"));
    let found = objects(&store);
    let totals = &store.made.totals;
    assert_eq!(totals.objects, found.len() as u64);
    assert_eq!(totals.objects, 300 + totals.duplicates);
    assert_eq!(totals.zstd_objects, count(&found, |object| object.is_zstd));
    assert_eq!(totals.content_bytes, found.iter().map(|object| object.content.len() as u64).sum::<u64>());
    assert_eq!(totals.stored_bytes, store.blobs().map(|(_, blob)| blob.len() as u64).sum::<u64>());
    for algorithm in Algorithm::ALL {
        assert_eq!(totals.algorithms[&algorithm], count(&found, |object| object.algorithm == algorithm), "{algorithm}");
    }
}

#[test]
fn a_mixed_store_holds_some_contents_under_two_algorithms() {
    let store = Store::new(&options("mixed"));
    let mut algorithms = BTreeMap::<_, Vec<_>>::new();
    for object in objects(&store) {
        algorithms.entry(object.content).or_default().push(object.algorithm);
    }
    assert_eq!(algorithms.len(), 300);
    let twice: Vec<_> = algorithms.values().filter(|algorithms| algorithms.len() == 2).collect();
    assert!(twice.iter().all(|pair| pair[0] != pair[1]));
    assert_eq!(twice.len() as u64, store.made.totals.duplicates);
    assert!((15..50).contains(&twice.len()), "{}", twice.len());
}

#[test]
fn the_index_lists_what_is_dated_in_the_order_of_writing() {
    for generation in ["v2", "mixed"] {
        let store = Store::new(&options(generation));
        let index = store.index().expect("an index");
        assert!(index.ends_with('\n'));
        let mut listed: Vec<_> = index.lines().map(str::to_owned).collect();
        let ages: Vec<_> = listed.iter().map(|line| age(line)).collect();
        assert!(ages.is_sorted() && ages[0] >= 1_700_000_000, "{generation}");
        let texts = store.sidecars().map(|(_, text)| String::from_utf8(text.clone()).expect("text"));
        let mut dated: Vec<_> = texts.collect();
        dated.retain(|text| text.contains("created_at"));
        listed.sort();
        dated.sort();
        assert_eq!(listed, dated, "{generation}");
    }
}

fn age(line: &str) -> u64 {
    let record: Value = serde_json::from_str(line).expect("JSON");
    record["created_at"].as_u64().expect("seconds")
}

#[test]
fn the_same_options_generate_the_same_tree() {
    let options = GenerateOptions { objects: 1_000, ..options("mixed") };
    let make = |seed: u64, count: usize| {
        let disk = SimulatedDisk::new();
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let options = GenerateOptions { seed, ..options };
        generate_store(&disk, Path::new("/store"), &options, workers(count), &control).expect("a store");
        disk.snapshot()
    };
    let first = make(11, 1);
    assert!(first == make(11, 3));
    assert!(first != make(12, 1));
}

#[test]
fn the_generator_writes_the_same_tree_on_a_real_disk() {
    let options = GenerateOptions { objects: 100, layout: Layout::AbRest, ..options("mixed") };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("new/store");
    generate(&RealDisk, &root, &options).expect("a store");
    assert!(tree(&root) == Store::new(&options).files);
}

#[test]
fn an_empty_store_is_a_store() {
    let (disk, root) = (SimulatedDisk::new(), Path::new("/store"));
    generate(&disk, root, &GenerateOptions { objects: 0, ..options("v2") }).expect("a store");
    assert!(disk.snapshot().into_iter().eq([(root.join(INDEX), Vec::new())]));
    assert_eq!(disk.kind(&root.join("objects")).expect("a look"), Some(EntryKind::Directory));
}

#[test]
fn directories_in_use_are_refused_and_left_alone() {
    let disk = SimulatedDisk::new();
    disk.install_file(Path::new("/store/mine"), b"x");
    let error = generate(&disk, Path::new("/store"), &options("v0.2")).unwrap_err();
    assert!(matches!(error, Error::Usage { .. }), "{error}");
    assert_eq!(disk.operations(), 0);
}

/// Requests a stop at the first batch and keeps the events.
#[derive(Default)]
struct StopEarly {
    stop: StopToken,
    events: Mutex<Vec<Event>>,
}

impl Observer for StopEarly {
    fn observe(&self, event: &Event) {
        if let Event::BatchWritten { .. } | Event::Progressed { .. } = event {
            self.stop.request();
        }
        self.events.lock().push(event.clone());
    }
}

#[test]
fn a_stopped_generation_leaves_nothing() {
    let options = GenerateOptions { objects: 100_000, size_bytes_max: 16_384, ..options("v2") };
    for layout in [Layout::AbCd, Layout::BareRoot] {
        let (disk, root) = (SimulatedDisk::new(), Path::new("/store"));
        let watcher = StopEarly::default();
        let control = Control { stop: &watcher.stop, observer: &watcher };
        let options = GenerateOptions { layout, ..options };
        let made = generate_store(&disk, root, &options, workers(2), &control).expect("a stop");
        assert!(made.stopped && disk.operations() > 0);
        assert_eq!((made.totals.objects, disk.list(root).expect("a directory").len()), (0, 0));
        let events = watcher.events.lock();
        assert!(matches!(events[0], Event::PhaseStarted { records_expected: Some(100_000), .. }), "{:?}", events[0]);
        assert!(matches!(events.last(), Some(Event::PhaseEnded { .. })));
    }
}

#[test]
fn a_failed_generation_leaves_nothing() {
    let root = Path::new("/store");
    let options = GenerateOptions { objects: 3, ..options("v2") };
    let whole = SimulatedDisk::new();
    generate(&whole, root, &options).expect("a store");
    for operation in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.fail_operation(operation, InjectedFault::Eio);
        generate(&disk, root, &options).unwrap_err();
        // A lock that could not be taken may stay; the next generator uses it.
        let left = disk.snapshot().into_keys().find(|path| !path.ends_with("migration/lock"));
        assert_eq!(left, None, "{}", whole.operation_label(operation));
    }
}

#[test]
fn a_store_that_does_not_fit_is_refused_before_it_is_started() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(1 << 20);
    let error = generate(&disk, Path::new("/store"), &options("v2")).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert!(disk.snapshot().is_empty());
}

fn place(layout: Layout, key: Key) -> String {
    let (directory, name) = layout.place(key);
    format!("{directory}/{name}")
}

mod conformance {
    use super::*;

    /// A store that the code of a generation wrote equals the one that this code makes of the same contents.
    #[test]
    #[ignore = "needs the conformance data"]
    fn each_generation_encodes_objects_as_its_own_code_did() {
        let requiem = conformance("requiem");
        let stores = [
            ("cas-sha256-sharded", Generation::V0_2),
            ("cas-blake2s", Generation::V0_5),
            ("cas-blake3-unprefixed", Generation::V0_7),
            ("cas-v2-noindex", Generation::V1_3NoIndex),
            ("cas-v2", Generation::V2),
        ];
        for (name, generation) in stores {
            let files = tree(&requiem.join(name).join("objects"));
            let mut objects = 0;
            for (path, blob) in files.iter().filter(|(path, _)| !is_sidecar(path)) {
                let sidecar = files.get(&path.with_extension("meta"));
                let record: Option<Value> = sidecar.map(|text| serde_json::from_slice(text).expect("JSON"));
                let text_of = |key: &str| record.as_ref().and_then(|record| record.get(key));
                let is_zstd = text_of("encoding").is_some_and(|encoding| encoding == "zstd");
                let content = if is_zstd { zstd::decode_all(&blob[..]).expect("frames") } else { blob.clone() };
                let prefixed = [&CAS_PREFIX[..], &content].concat();
                let created_at = text_of("created_at").map_or(0, |age| age.as_u64().expect("seconds"));
                let kept =
                    generation.encode(Content::behind_prefix(&prefixed), is_zstd.then(|| blob.clone()), created_at);
                assert_eq!(Path::new("objects").join(path), Path::new(&place(Layout::AbCd, kept.key)), "{name}");
                assert_eq!((&kept.blob, kept.sidecar.as_ref()), (blob, sidecar), "{name}, {}", path.display());
                objects += 1;
            }
            assert_eq!(objects, 14, "{name}");
        }
    }
}

mod python_blake3 {
    use super::*;
    use crate::support::conformance::run_checker;

    /// Returns whether the independent checker accepts a store, and its output.
    fn check_cas(store: &Path, more: &str) -> (bool, String) {
        let checker = conformance("requiem").join("check_cas.py");
        let answer = run_checker(&checker, &[store.as_os_str(), more.as_ref()]);
        let texts = [answer.stdout, answer.stderr].concat();
        (answer.status.success(), String::from_utf8(texts).expect("text"))
    }

    #[test]
    #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
    fn the_independent_checker_accepts_a_v2_store() {
        let store = Store::new(&GenerateOptions { objects: 100, zstd_share: 0.5, ..options("v2") });
        let (accepted, texts) = check_cas(store.on_disk().path(), "--strict");
        assert!(accepted && texts.contains(r#""ok": 100"#), "{texts}");
    }

    #[test]
    #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
    fn the_independent_checker_refuses_older_stores() {
        for generation in ["v0.2", "v0.5", "v0.7", "v1.3-noindex", "mixed"] {
            let store = Store::new(&GenerateOptions { objects: 20, ..options(generation) });
            let (accepted, texts) = check_cas(store.on_disk().path(), "--quiet");
            assert!(!accepted, "{generation}: {texts}");
        }
    }
}
