//! Spaces for tests: built record by record, migrated through the library, looked at afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, Findings, Severity, pointer};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::log::wal::encode_record;
use haul::space::migrate::{MigrationEnd, migrate};
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;

/// Entry types by name.
pub const STORE: u32 = 1;
pub const UPDATE: u32 = 2;
pub const DELETE: u32 = 3;

/// Directory with the data that other systems wrote, or `None` after saying that the test is left out.
pub fn conformance(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HAUL_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let directory = root.join(part);
    if directory.is_dir() {
        return Some(directory);
    }
    let required = std::env::var_os("HAUL_CONFORMANCE_REQUIRED").is_some_and(|value| value == "1");
    assert!(!required, "no conformance data at {}", directory.display());
    println!("left out: no conformance data at {}", directory.display());
    None
}

/// A space directory that vanishes with the test.
pub struct Space {
    directory: tempfile::TempDir,
}

impl Space {
    /// A space with an empty `wal/`.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(directory.path().join("default/wal")).expect("a wal directory");
        Self { directory }
    }

    /// A copy of a space, which other systems wrote.
    pub fn copy_of(source: &Path) -> Self {
        let space = Self::new();
        for entry in fs::read_dir(source.join("wal")).expect("a wal directory") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), space.wal().join(entry.file_name())).expect("a copy");
        }
        space
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("default")
    }

    pub fn wal(&self) -> PathBuf {
        self.root().join("wal")
    }

    pub fn paths(&self) -> SpacePaths {
        SpacePaths::new(self.root())
    }

    /// Writes a log file `wal-000000000000000N.log`.
    pub fn log(&self, number: u64, bytes: &[u8]) -> &Self {
        self.file(&format!("wal-{number:016x}.log"), bytes)
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.wal().join(name), bytes).expect("a file");
        self
    }

    /// Every byte of `wal/`, to prove that it stays.
    pub fn source(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(&self.wal())
    }

    pub fn migrate(&self, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        let before = self.source();
        let stop = StopToken::new();
        let result = migrate(disk(), &self.paths(), options, &Control { stop: &stop, observer: &Silent });
        assert_eq!(self.source(), before, "the source is untouched");
        result
    }

    /// The published store.
    pub fn store(&self) -> DualSpace {
        let name = pointer::read(&RealDisk, &self.root()).expect("a pointer").expect("a published store");
        DualSpace::open(&self.root().join(name)).expect("a sound store")
    }

    /// Live ids of the published store, sorted.
    pub fn live_ids(&self) -> Vec<String> {
        let store = self.store();
        let mut ids: Vec<_> =
            store.iter().map(|node| node.expect("a sound block").node().episode_id().to_owned()).collect();
        ids.sort();
        ids
    }

    pub fn report(&self) -> serde_json::Value {
        let bytes = fs::read(self.paths().run_directory().report_path()).expect("a report");
        serde_json::from_slice(&bytes).expect("a JSON report")
    }

    /// Findings of a severity as (file, offset, length, reason).
    pub fn findings(&self, severity: Severity) -> Vec<(String, u64, u64, String)> {
        let path = self.paths().run_directory().findings_path();
        let len_bytes = fs::metadata(&path).expect("findings").len();
        let mut found = Vec::new();
        Findings::new(path, len_bytes)
            .for_each(&RealDisk, |finding| {
                if finding.severity == severity {
                    found.push((finding.file, finding.offset, finding.length, finding.reason));
                }
                Ok(())
            })
            .expect("readable findings");
        found
    }
}

/// The real disk.
pub fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Settings that checkpoint as often as possible, with small segments.
pub fn eager() -> MigrateOptions {
    MigrateOptions { checkpoint_interval_records: 1, checkpoint_interval_ms_min: 0, ..MigrateOptions::default() }
}

/// Every file below a directory with its bytes.
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let relative = path.strip_prefix(directory).expect("below it").to_path_buf();
                files.insert(relative, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

/// A log of records in this order.
pub fn records(list: &[(u64, u32, Vec<u8>)]) -> Vec<u8> {
    list.iter().flat_map(|(sequence, kind, payload)| encode_record(*sequence, 7, *kind, payload)).collect()
}

/// Payload of an episode whose content is its id.
pub fn episode(id: &str) -> Vec<u8> {
    episode_about(id, id)
}

/// Payload of an episode with this content.
pub fn episode_about(id: &str, what: &str) -> Vec<u8> {
    let mut episode = haul::space::generate::samples::episode(id);
    episode.what = what.to_owned();
    episode.encode()
}

/// Payload of a memory.
pub fn memory(id: &str) -> Vec<u8> {
    haul::space::generate::samples::memory(id).encode()
}
