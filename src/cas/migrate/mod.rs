//! A whole migration: from the walk through the source to the published store, resumable at every point.

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
use super::format::key::Algorithm;
use super::options::MigrateOptions;
use super::outcome::Counts;
use super::paths::TargetPaths;
use crate::durable::Disk;
use crate::migration::{self, Error, Stage, session};
use crate::pipeline::Control;

/// How a migration ended without an error.
pub type MigrationEnd = migration::MigrationEnd<Counts, EndDetails>;

/// What only the end of an object store's migration tells.
#[derive(Debug, Clone, Serialize)]
pub struct EndDetails {
    /// Objects found.
    pub objects: u64,
    /// Objects by the algorithm of their old keys.
    pub generations: AlgorithmCounts,
    /// Bytes of the blobs that the target has from this run.
    pub stored_bytes: u64,
}

/// Objects by the algorithm of their old keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AlgorithmCounts {
    /// BLAKE2s-256.
    pub blake2s: u64,
    /// BLAKE3 without a prefix.
    pub blake3: u64,
    /// BLAKE3 behind `cas:`.
    pub cas: u64,
    /// SHA-256.
    pub sha256: u64,
}

impl From<[u64; 4]> for AlgorithmCounts {
    fn from(counts: [u64; 4]) -> Self {
        let count = |algorithm: Algorithm| counts[algorithm as usize];
        Self {
            blake2s: count(Algorithm::Blake2s),
            blake3: count(Algorithm::Blake3),
            cas: count(Algorithm::Cas),
            sha256: count(Algorithm::Sha256),
        }
    }
}

/// Migrates the store at `source`: continues an earlier run of the same plan or begins one, and takes it to its goal.
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
