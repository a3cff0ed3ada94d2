//! Reads a manifest as if it were at another version, and can leave the file at that version
//! (docs/source-sigilzero.md, "One manifest at a time").

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::document::options::TransformOptions;
use super::document::verdict::{Migrated, Refusal, Verdict};
use super::migrate::document_reader::{DocumentReader, NotRead};
use super::migrate::evaluate::{changed_refusal, evaluate};
use super::migrate::migrate;
use super::run_options::MigrateOptions;
use super::transform::Transformer;
use crate::durable::{Disk, DiskError, FileState, ReadRoot, parent_of};
use crate::migration::{Error, Finding, Severity};
use crate::pipeline::Control;

/// Returns the document of the file at `path` at the target version of `transformer`. A document that is at the target
/// is returned as it is.
///
/// Nothing is written. If the file cannot be migrated, or not within this memory, the error is [`Error::Corrupt`] with
/// the code and the position.
pub fn read_migrated(
    disk: &dyn Disk,
    path: &Path,
    transformer: &Transformer,
    memory_budget_bytes: u64,
) -> Result<Vec<u8>, Error> {
    let (bytes, verdict) = read_and_evaluate(disk, path, transformer, memory_budget_bytes)?;
    Ok(match verdict {
        Some(migrated) => migrated.bytes,
        None => bytes,
    })
}

/// Returns the bytes of the document at `path`. One that does not fit into this memory is [`Error::Corrupt`].
pub fn read_whole(disk: &dyn Disk, path: &Path, memory_budget_bytes: u64) -> Result<Vec<u8>, Error> {
    let root = disk.root(parent_of(path))?;
    let depth_max = TransformOptions::default().depth_max;
    read_document(&*root, path, (memory_budget_bytes, depth_max), |bytes, _| bytes.to_vec())
}

/// Migrates the one file that `options` name and returns its new document.
///
/// This is a run under the lock of the tree at `root`, with a backup and a line in the ledger, so it can be rolled
/// back. A file that is at the target is only read, and no run begins. Returns `None` if the run was asked to stop.
pub fn read_and_write_back(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Vec<u8>>, Error> {
    let path = root.join(options.manifest.as_deref().unwrap_or(Path::new("")));
    // The instant does not matter: this only decides whether the file has to be migrated.
    let transformer = options.transformer(Timestamp::UNIX_EPOCH)?;
    let budget_bytes = options.run.memory_budget_bytes;
    if let (bytes, None) = read_and_evaluate(&*disk, &path, &transformer, budget_bytes)? {
        return Ok(Some(bytes));
    }
    let end = migrate(disk.clone(), root, options, control)?;
    if end.stopped {
        return Ok(None);
    }
    if let Some(refused) = end.details.findings.first.iter().find(|finding| finding.severity == Severity::Refused) {
        return Err(not_written(&path, refused));
    }
    match read_and_evaluate(&*disk, &path, &transformer, budget_bytes)? {
        (bytes, None) => Ok(Some(bytes)),
        (_, Some(_)) => Err(corrupt(&path, &changed_refusal("another program wrote to it"))),
    }
}

/// Returns the bytes of a file, and the new document if it is not at the target.
fn read_and_evaluate(
    disk: &dyn Disk,
    path: &Path,
    transformer: &Transformer,
    memory_budget_bytes: u64,
) -> Result<(Vec<u8>, Option<Migrated>), Error> {
    let root = disk.root(parent_of(path))?;
    let name = Path::new(path.file_name().unwrap_or_default());
    let evaluate = |bytes: &[u8], state: &FileState| match evaluate(&*root, transformer, name, bytes, state) {
        Verdict::Migrated(migrated) => Ok((Vec::new(), Some(migrated))),
        Verdict::Current(_) => Ok((bytes.to_vec(), None)),
        Verdict::Skipped(skip) => Err(corrupt(path, &Refusal::new(skip.code, skip.text))),
        Verdict::Refused(refusal) => Err(corrupt(path, &refusal)),
    };
    read_document(&*root, path, (memory_budget_bytes, transformer.read_options().depth_max), evaluate)?
}

/// Reads the document at `path`, which is in the directory `root`, and passes it to `work`. One that does not fit into
/// the memory is refused.
pub(super) fn read_document<T>(
    root: &dyn ReadRoot,
    path: &Path,
    limits: (u64, usize),
    work: impl FnOnce(&[u8], &FileState) -> T,
) -> Result<T, Error> {
    read_within(root, path, limits, work).map_err(|not_read| match not_read {
        NotRead::TooLarge(refusal) => corrupt(path, &refusal),
        NotRead::Item(error) | NotRead::Failed(error) => error.into(),
    })
}

/// Reads a document like [`read_document`], with the reason why it is not read.
pub(super) fn read_within<T>(
    root: &dyn ReadRoot,
    path: &Path,
    (memory_budget_bytes, depth_max): (u64, usize),
    work: impl FnOnce(&[u8], &FileState) -> T,
) -> Result<T, NotRead> {
    let name = Path::new(path.file_name().unwrap_or_default());
    // The error has the path that the caller knows, not the one relative to the opened root.
    let read = |max_bytes, buffer: &mut Vec<u8>| {
        let read = root.read_file(name, max_bytes, buffer);
        read.map_err(|error| DiskError::new(error.operation, path, error.source))
    };
    let reader = DocumentReader::of_budget(memory_budget_bytes, depth_max);
    reader.read(&mut Vec::new(), read, work)
}

/// Converts the refusal of a file to an error.
pub(super) fn corrupt(path: &Path, refusal: &Refusal) -> Error {
    let place = refusal.at.map_or(String::new(), |at| format!(" (line {}, column {})", at.line, at.column));
    let what = format!("{}: {}{place}", refusal.code, refusal.text);
    refused(path, refusal.at.map_or(0, |at| at.offset), what)
}

fn not_written(path: &Path, finding: &Finding) -> Error {
    let code = finding.id.as_deref().unwrap_or_default();
    refused(path, finding.offset, format!("{code}: {}", finding.reason))
}

fn refused(path: &Path, offset: u64, what: String) -> Error {
    let next = "correct the document, or use the options that accept it".into();
    Error::Corrupt { path: path.to_owned(), offset, what, next, source: None }
}
