//! A whole migration of a tree, resumable at every point.

mod already_done;
pub(crate) mod backup;
pub(crate) mod crash_recovery;
pub(crate) mod document_reader;
pub mod dry_run;
mod end;
pub(crate) mod evaluate;
mod evaluation_pass;
pub(crate) mod group_commit;
pub mod ledger;
pub(crate) mod ledger_by_file;
mod plan;
pub mod probe;
pub(crate) mod selector;
pub(crate) mod share;
pub mod space_needed;
pub mod stage_file;
pub mod state;
mod steps;

use std::path::Path;
use std::sync::Arc;

pub use self::end::{MigrationEnd, STATE, disk_of_tree, modes_of_tree, run_directory};
use self::steps::ManifestMigration;
use super::run_options::MigrateOptions;
use crate::durable::{Disk, without_sync};
use crate::migration::{Durability, Error, Stage, session};
use crate::pipeline::Control;

/// Migrates the tree at `root`: continues an earlier run of the same plan that has not ended, or begins one.
///
/// Files are replaced one by one, each after its backup; what is refused is named in the findings and in the report.
///
/// ```
/// use std::sync::Arc;
///
/// use haul::{Control, ManifestOptions, RealDisk, Silent, StopToken, migrate_manifests};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = tempfile::tempdir()?;
/// let run = directory.path().join("artifacts/job-1/run-1");
/// std::fs::create_dir_all(&run)?;
/// let manifest = r#"{"schema_version": "1.0.0", "job_id": "job-1", "run_id": "run-1", "job_ref": "ref",
///     "job_type": "copy", "status": "ok"}"#;
/// std::fs::write(run.join("manifest.json"), manifest)?;
///
/// let stop = StopToken::new();
/// let control = Control { stop: &stop, observer: &Silent };
/// let end = migrate_manifests(Arc::new(RealDisk), directory.path(), &ManifestOptions::default(), &control)?;
/// assert_eq!((end.counts.migrated, end.details.target_version.as_str()), (1, "1.2.0"));
/// assert!(std::fs::read_to_string(run.join("manifest.json"))?.contains("1.2.0"));
/// # Ok(())
/// # }
/// ```
pub fn migrate(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    let disk = match options.durability {
        Durability::None => without_sync(disk),
        Durability::Group | Durability::Each => disk,
    };
    let mut migration = ManifestMigration::open(&disk, root, options)?;
    let directory = run_directory(root);
    let finished = session::run(&mut migration, &disk, &directory, Stage::Published, &options.run, control)?;
    migration.end(&*disk, &directory, finished)
}
