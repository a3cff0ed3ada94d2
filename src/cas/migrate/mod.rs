//! A whole migration, from the walk through the source to the published store. It can be resumed at every point.

pub mod accounting;
pub mod convert;
pub mod converted;
pub mod crash_cleanup;
pub mod dry_run;
pub mod estimate;
pub mod large_blobs;
pub mod object_log;
pub mod placer;
pub mod plan;
mod preflight;
pub mod publish;
pub mod read_only_pass;
pub mod rehash_source;
pub mod seal;
pub mod source_chain;
mod steps;
pub mod transcode;
pub mod writer;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use self::steps::CasMigration;
use super::algorithm_counts::AlgorithmCounts;
use super::options::MigrateOptions;
use super::outcome::Counts;
use super::paths::TargetPaths;
use crate::durable::Disk;
use crate::migration::{self, Error, Stage, session};
use crate::pipeline::Control;

/// How a migration ended without an error.
pub type MigrationEnd = migration::MigrationEnd<Counts, EndDetails>;

/// The details of the end of an object store's migration.
#[derive(Debug, Clone, Serialize)]
pub struct EndDetails {
    /// Objects that were found in the source.
    pub objects: u64,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the blobs that this run added to the target.
    pub stored_bytes: u64,
}

/// Migrates the store at `source`. Continues an earlier run of the same plan or begins a new one, and takes it to its
/// goal.
pub fn migrate(
    disk: Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    let mut migration = CasMigration::open(source, paths, options)?;
    let goal = if options.publish { Stage::Published } else { Stage::Verified };
    let finished = session::run(&mut migration, &disk, &paths.run_directory(), goal, &options.run, control)?;
    let progress = &finished.state.progress;
    let details = EndDetails {
        objects: migration.objects_found().unwrap_or(progress.objects),
        generations: progress.generations.into(),
        stored_bytes: progress.stored_bytes,
    };
    Ok(finished.with(details))
}
