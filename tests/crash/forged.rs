//! State of runs whose content was changed and whose digests are right nevertheless, and every verb that reads it. The
//! targets are on the simulated disk, on which files lie that no command may touch. The fuzz targets use it as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::durable::{Disk, SimulatedDisk};
use haul::manifest::Registry;
use haul::manifest::migrate::ledger::LedgerPosition;
use haul::migration::checkpoint::{self, Kind};
use haul::migration::{Error, RunOptions, Start, Subset};
use haul::pipeline::{Control, Silent, StopToken};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The bytes of a checkpoint before its payload.
const CHECKPOINT_HEADER_BYTES: usize = 60;
const APP: &str = "/place/app";
/// What a forged name may be. The first ones lead out of every directory.
pub const TEXTS: [&str; 8] =
    ["/outside/new", "../outside/precious", "../../outside/precious", "/outside", "..", "", "/", "dual-000007"];

/// A store whose migration was recorded.
pub enum Store {
    Space(tempfile::TempDir),
    Cas(tempfile::TempDir),
    /// The id of the run.
    Manifests(String),
}

/// A verb that reads the state of a run.
#[derive(Debug, Clone, Copy)]
pub enum Verb {
    Migrate,
    Restart,
    Publish,
    Rollback,
    Clean,
    Status,
    Verify,
}

pub const VERBS: [Verb; 7] =
    [Verb::Migrate, Verb::Restart, Verb::Publish, Verb::Rollback, Verb::Clean, Verb::Status, Verb::Verify];

/// A store, and the disk that recorded each operation of its migration.
pub struct Recorded {
    pub store: Store,
    pub disk: SimulatedDisk,
}

fn run_options() -> RunOptions {
    RunOptions {
        batch_records: 1,
        checkpoint_interval_records: 2,
        checkpoint_interval_ms_min: 0,
        parallel_workers: NonZeroUsize::MIN,
        ..RunOptions::default()
    }
}

/// A disk with this directory, and with files outside of it.
fn disk_beside(root: &Path) -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[root, Path::new("/outside/sub")]);
    for path in outside(root) {
        disk.install_file(&path, b"precious");
    }
    disk
}

fn outside(root: &Path) -> [PathBuf; 3] {
    let beside = root.parent().expect("not the root of all");
    ["/outside/precious".into(), "/outside/sub/precious".into(), beside.join("outside/precious")]
}

impl Recorded {
    /// A space with six records, migrated and published.
    pub fn space() -> Self {
        use haul::space::generate::samples;
        use haul::space::log::wal::encode_record;
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("space/wal");
        fs::create_dir_all(&log).expect("a directory");
        let record = |number: u64| encode_record(number, 7, 1, &samples::episode(&format!("e-{number}")).encode());
        fs::write(log.join("wal-0000000000000001.log"), (0..6).flat_map(record).collect::<Vec<u8>>()).expect("a log");
        Self::migrated(Store::Space(directory))
    }

    /// An object store with four objects, migrated and published.
    pub fn cas() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let objects = directory.path().join("old/objects");
        fs::create_dir_all(&objects).expect("a directory");
        for content in ["one", "two", "three", "four"] {
            fs::write(objects.join(key_of(Algorithm::Sha256, content.as_bytes()).to_string()), content)
                .expect("a file");
        }
        Self::migrated(Store::Cas(directory))
    }

    /// Three manifests, migrated.
    pub fn manifests() -> Self {
        Self::migrated(Store::Manifests(String::new()))
    }

    fn migrated(store: Store) -> Self {
        let mut recorded = Self { disk: disk_beside(&store.root()), store };
        if let Store::Manifests(_) = recorded.store {
            for run in ["a/1", "a/2", "b/1"] {
                let text = r#"{"schema_version":"1.0.0","job_id":"j","job_ref":"r","job_type":"t","status":"ok","run_id":"R"}"#;
                let path = Path::new(APP).join("artifacts").join(run).join("manifest.json");
                recorded.disk.install_file(&path, text.replace('R', run).as_bytes());
            }
        }
        let run_id = recorded.store.migrate(&recorded.disk, Start::Auto).expect("an undisturbed run");
        if let Store::Manifests(id) = &mut recorded.store {
            *id = run_id;
        }
        recorded
    }

    /// Returns the files as they were after so many operations.
    pub fn files(&self, operations: usize) -> Files {
        self.disk.kill_image(operations).snapshot()
    }

    /// Returns the state files among them: those that a command trusts because of their digest, or trusts anyway.
    pub fn state_files(&self, files: &Files) -> Vec<PathBuf> {
        let root = self.store.root();
        let is_state = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.starts_with(&root)
                && ["checkpoint.bin", "plan.json", "ledger.jsonl", "moved", "CURRENT", "MANIFEST"].contains(&&*name)
                || name.starts_with("key-map")
        };
        files.keys().filter(is_state).cloned().collect()
    }

    /// Replaces a state file, and makes right what vouches for it.
    pub fn forge(&self, files: &mut Files, path: &Path, content: Vec<u8>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sealed = match &*name {
            "checkpoint.bin" => self.store.sealed_checkpoint(&content),
            "MANIFEST" => {
                [&content[..], format!("seal blake3:{}\n", blake3::hash(&content).to_hex()).as_bytes()].concat()
            }
            "ledger.jsonl" => chained(&content),
            _ => content,
        };
        if name == "ledger.jsonl" {
            name_end(files, path, &sealed);
        }
        files.insert(path.to_path_buf(), sealed);
    }

    /// Returns the part of a state file that its digest covers.
    pub fn content<'a>(&self, path: &Path, bytes: &'a [u8]) -> &'a [u8] {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("checkpoint.bin") => bytes.get(CHECKPOINT_HEADER_BYTES..).unwrap_or_default(),
            Some("MANIFEST") => {
                let seal = bytes.strip_suffix(b"\n").and_then(|body| body.iter().rposition(|&byte| byte == b'\n'));
                &bytes[..seal.map_or(0, |end| end + 1)]
            }
            _ => bytes,
        }
    }

    /// Runs a verb on these files. Whether it succeeds or fails, nothing outside of the store is touched.
    ///
    /// # Panics
    /// If something was.
    pub fn try_verb(&self, verb: Verb, files: &Files, what: &dyn Fn() -> String) {
        let root = self.store.root();
        let disk = SimulatedDisk::with_directories(&[&root, Path::new("/outside/sub")]);
        files.iter().for_each(|(path, bytes)| disk.install_file(path, bytes));
        let _ = self.store.run(verb, &disk);
        let found = disk.snapshot();
        let is_outside = |path: &&PathBuf| !self.store.owns(path);
        let (before, after): (BTreeSet<_>, BTreeSet<_>) =
            (files.keys().filter(is_outside).collect(), found.keys().filter(is_outside).collect());
        assert_eq!(before, after, "{verb:?}: {}", what());
        for path in before {
            assert_eq!(found[path], files[path], "{} was changed: {verb:?}: {}", path.display(), what());
        }
    }
}

impl Store {
    fn root(&self) -> PathBuf {
        match self {
            Self::Space(directory) => directory.path().join("space"),
            Self::Cas(directory) => directory.path().join("place"),
            Self::Manifests(_) => APP.into(),
        }
    }

    fn owns(&self, path: &Path) -> bool {
        path.starts_with(self.root())
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Space(_) => haul::space::state::CHECKPOINT_KIND,
            Self::Cas(_) => haul::cas::state::CHECKPOINT_KIND,
            Self::Manifests(_) => haul::manifest::migrate::state::CHECKPOINT_KIND,
        }
    }

    fn sealed_checkpoint(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = b"HAULCKPT".to_vec();
        bytes.extend_from_slice(&2u32.to_le_bytes());
        bytes.extend_from_slice(&self.kind().tag);
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        let digest = blake3::Hasher::new().update(&bytes).update(payload).finalize();
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Migrates, and returns the id of the run.
    fn migrate(&self, disk: &SimulatedDisk, start: Start) -> Result<String, Error> {
        let (stop, disk): (_, Arc<dyn Disk>) = (StopToken::new(), Arc::new(disk.clone()));
        let control = Control { stop: &stop, observer: &Silent };
        let run = RunOptions { start, ..run_options() };
        match self {
            Self::Space(_) => {
                let options = haul::space::options::MigrateOptions { run, ..Default::default() };
                let paths = haul::space::paths::SpacePaths::new(self.root());
                haul::space::migrate::migrate(disk, &paths, &options, &control).map(|end| end.run_id)
            }
            Self::Cas(directory) => {
                let options = haul::cas::options::MigrateOptions { run, ..Default::default() };
                let (source, paths) = (directory.path().join("old"), self.target()?);
                haul::cas::migrate::migrate(disk, &source, &paths, &options, &control).map(|end| end.run_id)
            }
            Self::Manifests(_) => {
                let now = "2026-03-01T12:34:56Z".parse().ok();
                let options = haul::manifest::run_options::MigrateOptions { run, now, ..Default::default() };
                haul::manifest::migrate::migrate(disk, Path::new(APP), &options, &control).map(|end| end.run_id)
            }
        }
    }

    fn target(&self) -> Result<haul::cas::paths::TargetPaths, Error> {
        haul::cas::paths::TargetPaths::new(&self.root().join("new"))
    }

    fn run(&self, verb: Verb, disk: &SimulatedDisk) -> Result<(), Error> {
        match (verb, self) {
            (Verb::Migrate, _) => self.migrate(disk, Start::Auto).map(drop),
            (Verb::Restart, _) => self.migrate(disk, Start::Restart).map(drop),
            (_, Self::Space(_)) => self.run_on_space(verb, disk),
            (_, Self::Cas(_)) => self.run_on_objects(verb, disk),
            (_, Self::Manifests(id)) => run_on_manifests(verb, disk, id),
        }
    }

    fn run_on_space(&self, verb: Verb, disk: &SimulatedDisk) -> Result<(), Error> {
        use haul::space::{clean, options::MigrateOptions, paths::SpacePaths, publish, rollback, status};
        let (stop, disk): (_, Arc<dyn Disk>) = (StopToken::new(), Arc::new(disk.clone()));
        let control = Control { stop: &stop, observer: &Silent };
        let (paths, options) =
            (SpacePaths::new(self.root()), MigrateOptions { run: run_options(), ..Default::default() });
        match verb {
            Verb::Publish => publish::publish(disk, &paths, &options, &control).map(drop),
            Verb::Rollback => rollback::rollback(disk, &paths, &options, &control).map(drop),
            Verb::Clean => clean::clean(disk.clone(), &paths, &clean::clean_plan(disk, &paths)?).map(drop),
            _ => status::status(disk, &paths).map(drop),
        }
    }

    fn run_on_objects(&self, verb: Verb, disk: &SimulatedDisk) -> Result<(), Error> {
        use haul::cas::{clean, options::MigrateOptions, rollback, status};
        let (stop, disk): (_, Arc<dyn Disk>) = (StopToken::new(), Arc::new(disk.clone()));
        let control = Control { stop: &stop, observer: &Silent };
        let (paths, options) = (self.target()?, MigrateOptions { run: run_options(), ..Default::default() });
        match verb {
            Verb::Rollback => {
                let request = rollback::RollbackRequest { force: true, ..Default::default() };
                rollback::rollback(disk, &paths, &options, &request, &control).map(drop)
            }
            Verb::Clean => clean::clean(disk.clone(), &paths, &clean::clean_plan(disk, &paths)?).map(drop),
            _ => status::status(disk, &paths).map(drop),
        }
    }
}

fn run_on_manifests(verb: Verb, disk: &SimulatedDisk, run_id: &str) -> Result<(), Error> {
    use haul::manifest::{clean, rollback, run_options::MigrateOptions, status, verify};
    let (stop, disk): (_, Arc<dyn Disk>) = (StopToken::new(), Arc::new(disk.clone()));
    let control = Control { stop: &stop, observer: &Silent };
    let (root, options) = (Path::new(APP), MigrateOptions { run: run_options(), ..Default::default() });
    match verb {
        Verb::Rollback => {
            let (files, registry) = (BTreeSet::new(), Registry::built_in());
            let durability = options.durability;
            let request = rollback::RollbackRequest { run_id, files: &files, registry: &registry, durability };
            rollback::rollback(disk, root, request, &control).map(drop)
        }
        Verb::Clean => clean::clean(disk, root, "2100-01-01T00:00:00Z".parse().expect("a time")).map(drop),
        Verb::Verify => {
            let request = verify::VerifyRequest { subset: Subset::ALL, sample: None };
            verify::verify(disk, root, &request, &options, &control).map(drop)
        }
        _ => status::status(&*disk, root).map(drop),
    }
}

/// Returns a ledger in which each line names the digest of the one before. What is no line of JSON stays as it is.
fn chained(content: &[u8]) -> Vec<u8> {
    let (mut sealed, mut previous) = (Vec::new(), "0".repeat(64));
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let body = line.strip_suffix(b"\n").unwrap_or(line);
        let body = match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(serde_json::Value::Object(mut fields)) => {
                fields.insert("previous".into(), previous.into());
                serde_json::to_vec(&fields).expect("plain data")
            }
            _ => body.to_vec(),
        };
        previous = key_of(Algorithm::Sha256, &body).to_string();
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(&line[line.len().saturating_sub(1)..]);
    }
    sealed
}

/// Lets the checkpoint of a tree name the end of its forged ledger, after as many lines as before.
fn name_end(files: &mut Files, ledger: &Path, content: &[u8]) {
    use haul::manifest::migrate::state::{CHECKPOINT_KIND, RunState};
    let path = ledger.with_file_name(checkpoint::FILE_NAME);
    let state = files.get(&path).map(|bytes| checkpoint::decode::<RunState>(CHECKPOINT_KIND, &path, bytes));
    let Some(Ok(mut state)) = state else { return };
    let lines = content.split(|&byte| byte == b'\n').take(state.progress.ledger.lines as usize);
    let mut end = LedgerPosition::START;
    for line in lines {
        end.len_bytes += line.len() as u64 + 1;
        end.lines += 1;
        end.digest = key_of(Algorithm::Sha256, line).0;
    }
    state.progress.ledger = end;
    files.insert(path.clone(), checkpoint::encode(CHECKPOINT_KIND, &path, &state).expect("a checkpoint"));
}

/// Returns the content with its `number`-th text replaced; `None` if it has no more.
pub fn with_text(content: &[u8], number: usize, text: &str) -> Option<Vec<u8>> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() && !b"\",{}".contains(byte);
    let mut runs =
        content.split(|byte| !is_text(byte)).filter(|run| run.len() > 1 && !run.iter().all(|byte| *byte == b':'));
    let run = runs.nth(number)?;
    let at = run.as_ptr() as usize - content.as_ptr() as usize;
    let mut forged = content.to_vec();
    forged.splice(at..at + run.len(), text.bytes());
    // In a checkpoint, the length of a text stands before it.
    if at >= 8 && content[at - 8..at] == (run.len() as u64).to_le_bytes() {
        forged[at - 8..at].copy_from_slice(&(text.len() as u64).to_le_bytes());
    }
    Some(forged)
}
