//! Spaces migrated through the library and looked at afterwards.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, Findings, Severity, pointer};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::migrate::{MigrationEnd, migrate};
use haul::space::options::MigrateOptions;

use super::space::Space;

/// The entry type of an update.
pub const UPDATE: u32 = 2;

impl Space {
    /// A copy of a space, which other systems wrote.
    pub fn copy_of(source: &Path) -> Self {
        let space = Self::new();
        for entry in fs::read_dir(source.join("wal")).expect("a wal directory") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), space.wal().join(entry.file_name())).expect("a copy");
        }
        space
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

/// Payload of a memory.
pub fn memory(id: &str) -> Vec<u8> {
    haul::space::generate::samples::memory(id).encode()
}
