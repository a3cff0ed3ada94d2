//! Makes the log live again, after proving that it is what the store was made from.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::current_store::live_store;
use super::log::extent::Content;
use super::log::source::WalSource;
use super::log::source::hash_range;
use super::log_pass::scan;
use super::migrate::plan::check_directory;
use super::options::MigrateOptions;
use super::paths::SpacePaths;
use super::state::{CHECKPOINT_KIND, RunState};
use super::store::layout::DIGEST_BYTES;
use super::store::manifest::{Manifest, hex};
use super::store::names::{POINTER_TO_LOG, TABLE};
use super::store::reader::DualSpace;
use super::store::seal::file_digest;
use super::verify::{Coverage, verify_source};
use crate::durable::Disk;
use crate::migration::{Error, LockedRun, Stage, pointer};
use crate::pipeline::{Control, Ended, Expected, Phase};

/// How a rollback ended without an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackEnd {
    /// The store that was live; it stays where it is.
    pub store: Option<String>,
    /// True if the log was live already.
    pub already_rolled_back: bool,
    /// Stretches of the log that were compared.
    pub source_extents: u64,
    /// Bytes of the log that were compared.
    pub source_bytes: u64,
    /// True if it was asked to stop; then nothing is changed.
    pub stopped: bool,
}

/// Points readers back to the log. Changes nothing if a log file changed, appeared or disappeared since the migration.
///
/// The pointer file alone says what is live; the checkpoint follows it, also after a crash between the two.
pub fn rollback(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<RollbackEnd, Error> {
    check_directory(paths.root())?;
    let disk = paths.limited(&disk)?;
    let nothing =
        RollbackEnd { store: None, already_rolled_back: true, source_extents: 0, source_bytes: 0, stopped: false };
    if live_store(&*disk, paths)?.is_none() && disk.kind(paths.run_directory().path())?.is_none() {
        return Ok(nothing);
    }
    let held = LockedRun::create(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let disk = held.disk.clone();
    let Some(store) = live_store(&*disk, paths)? else {
        return Ok(RollbackEnd { store: settle(&*disk, &held, None, &Coverage::default())?, ..nothing });
    };
    let proof = prove_in_phase(&disk, &paths.store(&store), paths, options, control)?;
    let Some(proof) = proof else {
        return Ok(RollbackEnd { store: Some(store), already_rolled_back: false, stopped: true, ..nothing });
    };
    pointer::publish(&*disk, paths.root(), POINTER_TO_LOG)?;
    settle(&*disk, &held, Some(&store), &proof)?;
    Ok(RollbackEnd {
        store: Some(store),
        already_rolled_back: false,
        source_extents: proof.blocks,
        source_bytes: proof.bytes,
        stopped: false,
    })
}

/// Brings checkpoint and journal up to the pointer. Gives the store that the checkpoint now calls rolled back.
fn settle(disk: &dyn Disk, held: &LockedRun, store: Option<&str>, proof: &Coverage) -> Result<Option<String>, Error> {
    let state = held.readable_state::<RunState>(disk)?;
    let mut rolled_back = store.map(str::to_owned);
    let mut changed = store.is_some();
    if let Some(mut state) = state.clone() {
        let was_live = state.stage == Stage::Published || store == Some(&*state.progress.store);
        if was_live && state.stage != Stage::RolledBack {
            state.stage = Stage::RolledBack;
            held.checkpoint.store(disk, &state)?;
            changed = true;
        }
        if state.stage == Stage::RolledBack {
            rolled_back.get_or_insert_with(|| state.progress.store.to_string());
        }
    }
    if changed {
        let detail = json!({ "store": rolled_back, "source_extents": proof.blocks, "source_bytes": proof.bytes });
        held.note(state.as_ref().map(|state| state.run_id.as_str()), "rolled-back", detail)?;
    }
    Ok(rolled_back)
}

fn prove_in_phase(
    disk: &Arc<dyn Disk>,
    store: &Path,
    paths: &SpacePaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let source = Arc::new(WalSource::open(&paths.log(), options.reader)?);
    let expected = Expected {
        records: Manifest::read(&**disk, store).ok().map(|manifest| manifest.records),
        bytes: Some(source.total_bytes()),
    };
    let proof = control.phase(Phase::Rollback, expected, || prove(disk, store, &source, options, control))?;
    source.check_unchanged()?;
    Ok(proof)
}

/// Compares every byte of the log with what the store says of it. `Ok(None)`: stopped.
///
/// A store with damage is a reason to roll back, so its sealed manifest is enough for the proof.
fn prove(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    source: &Arc<WalSource>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let manifest = Manifest::read(&**disk, directory)?;
    let table = match file_digest(&**disk, directory, TABLE, control.stop) {
        Err(Error::Stopped { .. }) => return Ok(None),
        table => table.ok(),
    };
    if table.is_some_and(|table| manifest.indexes.contains(&table))
        && let Ok(store) = DualSpace::open_on(disk.clone(), directory)
    {
        return verify_source(source.clone(), &store, &options.run.engine(), control);
    }
    control.note(format!("{}: its indexes are damaged, the log is compared with the manifest", directory.display()));
    prove_from_manifest(&manifest, source, options, control)
}

/// Cuts the log again: where its extents end depends on the log and the rules alone.
fn prove_from_manifest(
    manifest: &Manifest,
    source: &Arc<WalSource>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let mut files = vec![(blake3::Hasher::new(), 0_u64); source.files().len()];
    let mut coverage = Coverage::default();
    let digests = |batch: &super::log::reader::Batch| {
        batch
            .extents
            .iter()
            .map(|extent| {
                let digest: [u8; DIGEST_BYTES] = match extent.content {
                    Content::Frames(_) => *blake3::hash(batch.bytes_of(extent)).as_bytes(),
                    Content::Region(_) => hash_range(&batch.file, extent.start, extent.len_bytes, control.stop)?,
                };
                Ok((batch.file_number, extent.len_bytes, digest))
            })
            .collect::<Result<Vec<_>, Error>>()
    };
    let ended = scan(source, manifest.policies.corruption, options, control, digests, |extents| {
        for (file, len_bytes, digest) in extents {
            let (hasher, bytes) = &mut files[file as usize];
            hasher.update(&len_bytes.to_le_bytes()).update(&digest);
            *bytes += len_bytes;
            coverage.blocks += 1;
            coverage.bytes += len_bytes;
        }
        Ok(())
    })?;
    if ended == Ended::Stopped {
        return Ok(None);
    }
    let found: Vec<_> = source
        .names()
        .iter()
        .zip(&files)
        .map(|(name, (hasher, bytes))| (name.as_str(), *bytes, hex(hasher.finalize().as_bytes())))
        .collect();
    let expected: Vec<_> =
        manifest.sources.iter().map(|file| (file.name.as_str(), file.bytes, file.digest.clone())).collect();
    if found == expected {
        return Ok(Some(coverage));
    }
    let differing = found.iter().find(|file| !expected.contains(file)).or(expected.iter().find(|f| !found.contains(f)));
    Err(Error::Verification {
        what: format!(
            "{}: not what was migrated",
            source.directory().join(differing.map_or("", |file| file.0)).display()
        ),
        next: "find out who changed the log before choosing which store to use".into(),
        source: None,
    })
}
