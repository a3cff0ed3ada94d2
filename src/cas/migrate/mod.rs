//! A whole migration, from the walk through the source to the published store. It can be resumed at every point.

pub mod accounting;
pub mod convert;
pub mod converted;
pub mod crash_cleanup;
pub mod dry_run;
pub mod known_objects;
pub mod large_blobs;
pub mod object_log;
mod outcome_check;
pub mod placer;
pub mod placing;
pub mod plan;
mod preflight;
pub mod probe;
pub mod publish;
pub mod read_only_pass;
pub mod rehash_source;
mod replaced_check;
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
use super::state::BlobMethods;
use crate::durable::{Disk, synced_by_file_if_needed};
use crate::migration::{self, Durability, Error, Findings, FirstFindings, Stage, session};
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
    /// How these blobs came into the target.
    pub blobs: BlobMethods,
    /// Objects that an earlier run has migrated and that were not read again.
    pub not_read_again: u64,
    /// The first findings on single entries. The report has all of them.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// Migrates the store at `source`. Continues an earlier run of the same plan or begins a new one, and takes it to its
/// goal.
///
/// ```
/// use std::sync::Arc;
///
/// use haul::{CasOptions, CasPaths, CasStore, Control, Key, KeyMap, RealDisk, Silent, StopToken, migrate_cas};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // An old store: one object, named by its SHA-256.
/// let old_key = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
/// let directory = tempfile::tempdir()?;
/// let source = directory.path().join("old");
/// std::fs::create_dir_all(source.join("objects"))?;
/// std::fs::write(source.join("objects").join(old_key), "hello")?;
///
/// let paths = CasPaths::new(&directory.path().join("new"))?;
/// let stop = StopToken::new();
/// let control = Control { stop: &stop, observer: &Silent };
/// let end = migrate_cas(Arc::new(RealDisk), &source, &paths, &CasOptions::default(), &control)?;
/// assert_eq!(end.counts.migrated, 1);
///
/// // The map leads from the old key to the new one.
/// let map = KeyMap::open(&paths.map())?;
/// let row = map.find_old(Key::parse(old_key.as_bytes()).expect("64 hexadecimal digits"))?.remove(0);
/// let mut content = Vec::new();
/// CasStore::open(paths.target())?.get(row.new_key, &mut content)?;
/// assert_eq!(content, b"hello");
/// # Ok(())
/// # }
/// ```
pub fn migrate(
    disk: Arc<dyn Disk>,
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<MigrationEnd, Error> {
    let mut migration = CasMigration::open(source, paths, options)?;
    let disk = match options.durability {
        Durability::None => disk,
        Durability::Group | Durability::Each => synced_by_file_if_needed(disk, paths.run_directory().path())?,
    };
    let goal = if options.publish { Stage::Published } else { Stage::Verified };
    let finished = session::run(&mut migration, &disk, &paths.run_directory(), goal, &options.run, control)?;
    let progress = &finished.state.progress;
    let details = EndDetails {
        objects: migration.objects_found().unwrap_or(progress.objects),
        generations: progress.generations.into(),
        stored_bytes: progress.stored_bytes,
        blobs: progress.more.blobs,
        not_read_again: progress.more.not_read_again,
        findings: FirstFindings::read(
            &*disk,
            &Findings::new(paths.run_directory().findings_path(), finished.state.findings_bytes),
        )?,
    };
    Ok(finished.with(details))
}
