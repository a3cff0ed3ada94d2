//! Validates documents and writes them (docs/source-sigilzero.md, "One manifest at a time").

use std::path::Path;

use super::document::error_codes::ErrorCode;
use super::document::fields::HISTORY;
use super::document::json::{Document, Formatting, NodeId, Numbers, ReadOptions, Value, is_equal, push_formatted};
use super::document::verdict::{Notice, Refusal};
use super::document::version::Version;
use super::migrate::backup::write_temporary;
use super::migrate::document_reader::DocumentReader;
use super::migrate::evaluate::{changed_refusal, not_kept_notice};
use super::migrate::run_directory;
use super::read::{corrupt, read_document};
use super::steps::invariants::IDENTITY;
use super::steps::registry::Registry;
use super::tree::scan::ARTIFACTS;
use super::validate::{DEPTH_MAX, parse, validate};
use crate::durable::{
    Attributes, AttributesNotKept, Disk, DiskError, DiskFile, FileState, Model, parent_of, replace_file_under_lock,
    temporary_name_under_lock,
};
use crate::migration::{DirectoryLocks, EphemeralLock, Error, cannot_be_written, remove_leftovers};

/// Validates a document and writes it to `path`, atomically and durably, in the format of docs/source-sigilzero.md,
/// "Bytes on disk". Returns its version and the warnings.
///
/// A document that replaces a file must keep what identifies the run. It gets the permissions, the owner and
/// the attributes of that file.
///
/// # Errors
///
/// [`Error::Corrupt`] if the document is refused, or if `path` is a link, a file with several names, or a file that
/// changes in the meantime; the file stays unchanged. [`Error::Locked`] if a run is in progress in the tree of the
/// file, or if another process writes in its directory.
pub fn write_manifest(
    disk: &dyn Disk,
    registry: &Registry,
    path: &Path,
    bytes: &[u8],
    memory_budget_bytes: u64,
) -> Result<(Version, Vec<Notice>), Error> {
    let refuse = |refusal: Refusal| corrupt(path, &refusal);
    DocumentReader::of_budget(memory_budget_bytes, DEPTH_MAX).check(bytes).map_err(refuse)?;
    let (version, notices) = validate(registry, bytes).map_err(refuse)?;
    let _locks = DirectoryLocks::of_files(disk, &[path.to_path_buf()])?;
    let _lock = lock_tree(disk, path)?;
    remove_leftovers(disk, &[parent_of(path).to_path_buf()])?;
    let document = parse(bytes).map_err(refuse)?;
    let mut out = Vec::new();
    push_formatted(&mut out, document.root(), Formatting { numbers: Numbers::Lexemes, final_newline: true });
    if disk.kind(path)?.is_none() {
        let write = |file: &dyn DiskFile| file.write_all_at(0, &out);
        replace_file_under_lock::<DiskError>(disk, path, Attributes::OfReplaced, write)?;
        return Ok((version, notices));
    }
    let root = disk.root(parent_of(path))?;
    let state = read_document(&*root, path, (memory_budget_bytes, DEPTH_MAX), |old, state| {
        check_links(state).and_then(|()| check_replacement(old, &document)).map(|()| *state)
    })?;
    let state = state.map_err(refuse)?;
    match replace(disk, path, &state, &out)? {
        Some(not_kept) => Ok((version, notices.into_iter().chain(not_kept_notice(&not_kept)).collect())),
        None => Err(refuse(changed_refusal("another program wrote to it"))),
    }
}

/// Locks the tree of the file: the one that has had a run, or else the innermost, in which a run may begin meanwhile.
///
/// If this user may not lock it, the file is written without this lock: both this function and a run compare a file once
/// more before they replace it.
fn lock_tree<'a>(disk: &'a dyn Disk, path: &Path) -> Result<Option<EphemeralLock<'a>>, Error> {
    let path = std::path::absolute(path).map_err(|e| DiskError::new("find the tree of", path, e))?;
    let above = path.ancestors().skip(1).filter(|above| above.file_name() == Some(ARTIFACTS.as_ref()));
    let trees: Vec<_> = above.map(|above| run_directory(parent_of(above))).collect();
    let mut with_run = None;
    for tree in &trees {
        if with_run.is_none() && disk.kind(tree.path())?.is_some() {
            with_run = Some(tree);
        }
    }
    let Some(tree) = with_run.or(trees.first()) else { return Ok(None) };
    match EphemeralLock::take(disk, tree) {
        Err(error) if cannot_be_written(&error) => Ok(None),
        lock => lock.map(Some),
    }
}

/// Refuses a file with several names: the others would keep the old content (docs/source-sigilzero.md, "Finding
/// manifests").
fn check_links(state: &FileState) -> Result<(), Refusal> {
    let text = || format!("the file has {} names, and the others would keep the old content", state.links);
    if state.links > 1 { Err(Refusal::new(ErrorCode::Hardlink, text())) } else { Ok(()) }
}

/// Replaces a file by a new one with the same owner, permissions and attributes. Returns what of that could not be kept,
/// or `None` if the file has changed.
fn replace(
    disk: &dyn Disk,
    path: &Path,
    state: &FileState,
    bytes: &[u8],
) -> Result<Option<AttributesNotKept>, DiskError> {
    let directory = disk.root(parent_of(path))?.open_directory(Path::new(""))?;
    let name = path.file_name().unwrap_or_default();
    let temporary = temporary_name_under_lock(path);
    let temporary = temporary.file_name().unwrap_or_default();
    let not_kept = write_temporary(&*directory, temporary, bytes, Model::of(name), true)?;
    if directory.file_state(name)?.is_none_or(|now| !state.is_unchanged(&now)) {
        directory.remove_file(temporary)?;
        return Ok(None);
    }
    if let Err(error) = directory.rename(temporary, name) {
        // It was created here. The first error is the one to report.
        let _ = directory.remove_file(temporary);
        return Err(error);
    }
    directory.sync()?;
    Ok(Some(not_kept))
}

/// Checks that the new document keeps what identifies the run, and all history records. An old file that is not JSON
/// may be replaced by anything.
fn check_replacement(old: &[u8], new: &Document<'_>) -> Result<(), Refusal> {
    let Ok(old) = Document::parse(old, &ReadOptions::default()) else { return Ok(()) };
    for (name, code) in IDENTITY {
        let (was, is) = (old.root().get(name), new.root().get(name));
        let is_kept = was.is_none_or(|was| is.is_some_and(|is| is_equal(was, is, Numbers::Values)));
        if !is_kept {
            return Err(Refusal::new(code, format!("{name} differs from that of the file")));
        }
    }
    let records = |document: &Document<'_>| -> Vec<NodeId> {
        document.root().get(HISTORY).map_or(Vec::new(), |history| history.items().map(Value::id).collect())
    };
    let (was, is) = (records(&old), records(new));
    let is_same = |(&was, &is): (&NodeId, &NodeId)| is_equal(old.value(was), new.value(is), Numbers::Values);
    if was.len() > is.len() || !was.iter().zip(&is).all(is_same) {
        return Err(Refusal::new(ErrorCode::Drift, "migration_history lacks records that the file has".into()));
    }
    Ok(())
}
