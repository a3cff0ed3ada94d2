//! A whole migration: from the plan to the published store, resumable at every point.

pub mod convert;
pub mod dry_run;
mod needs;
pub mod plan;
pub mod probe;
mod steps;
pub mod writer;

use std::sync::Arc;

use serde::Serialize;

pub(super) use self::steps::SpaceMigration;
use super::options::MigrateOptions;
use super::outcome::Counts;
use super::paths::SpacePaths;
use crate::durable::Disk;
use crate::migration::{self, Error, Findings, Finished, FirstFindings, Stage, session};
use crate::pipeline::Control;

/// How a migration ended without an error.
pub type MigrationEnd = migration::MigrationEnd<Counts, EndDetails>;

/// What only the end of a space's migration tells.
#[derive(Debug, Clone, Serialize)]
pub struct EndDetails {
    /// Name of the store.
    pub store: String,
    /// Damaged bytes that were left out.
    pub damaged_bytes: u64,
    /// The first findings on single records. The report has all of them.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// Migrates the space: continues an earlier run of the same plan or begins one, and takes it to its goal.
pub fn migrate(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    let mut migration = SpaceMigration::open(paths, options)?;
    let goal = if options.publish { Stage::Published } else { Stage::Verified };
    let finished = session::run(&mut migration, &disk, &paths.run_directory(), goal, &options.run, control)?;
    end(&*disk, paths, finished)
}

/// Adds what only this store tells.
pub(super) fn end(
    disk: &dyn Disk,
    paths: &SpacePaths,
    finished: Finished<SpaceMigration<'_>>,
) -> Result<MigrationEnd, Error> {
    let (progress, directory) = (&finished.state.progress, paths.run_directory());
    let findings = Findings::new(directory.findings_path(), finished.state.findings_bytes);
    let details = EndDetails {
        store: progress.store.to_string(),
        damaged_bytes: progress.source.damaged,
        findings: FirstFindings::read(disk, &findings)?,
    };
    Ok(finished.with(details))
}
