//! Migrations of old stores through the library.

use std::path::PathBuf;
use std::sync::Arc;

use haul::cas::migrate::{MigrationEnd, migrate};
use haul::cas::options::MigrateOptions;
use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, OutcomeCounts, RunOptions};
use haul::pipeline::{Control, Silent, StopToken};

use super::old_store::OldStore;

impl OldStore {
    /// The path of the new store.
    pub fn target(&self) -> PathBuf {
        self.paths().target().to_path_buf()
    }

    /// Migrates on the real disk and checks that the source stays as it was and that the counts add up.
    pub fn migrate(&self, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        self.migrate_on(Arc::new(RealDisk), options)
    }

    /// Does the same with the target on another disk.
    pub fn migrate_on(&self, disk: Arc<dyn Disk>, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
        let before = self.seen();
        let end = with(|control| migrate(disk, &self.root(), &self.paths(), options, control));
        assert_eq!(self.seen(), before, "the source is untouched");
        let end = end?;
        end.counts.check_sum(end.records).expect("counts that add up");
        Ok(end)
    }
}

/// Calls a function without a stop.
pub fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

/// Calls a function after a stop was requested.
pub fn stopped<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    stop.request();
    act(&Control { stop: &stop, observer: &Silent })
}

/// Settings that checkpoint as often as possible.
pub fn eager() -> MigrateOptions {
    MigrateOptions {
        verify_merged_into: false,
        run: RunOptions {
            batch_records: 2,
            checkpoint_interval_records: 1,
            checkpoint_interval_ms_min: 0,
            ..MigrateOptions::default().run
        },
        ..MigrateOptions::default()
    }
}
