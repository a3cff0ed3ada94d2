//! Reads a manifest as if it were at another version, and can leave the file at that version
//! (docs/source-sigilzero.md, "One manifest at a time").

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::document::verdict::{Migrated, Refusal, Verdict};
use super::migrate::evaluate::{MANIFEST_BYTES_MAX, changed_refusal, evaluate};
use super::migrate::migrate;
use super::run_options::MigrateOptions;
use super::transform::Transformer;
use crate::durable::{Disk, DiskError, parent_of};
use crate::migration::{Error, Finding, Severity};
use crate::pipeline::Control;

/// Returns the document of the file at `path` at the target version of `transformer`. A document that is at the target
/// is returned as it is.
///
/// Nothing is written. If the file cannot be migrated, the error is [`Error::Corrupt`] with the code and the position.
pub fn read_migrated(disk: &dyn Disk, path: &Path, transformer: &Transformer) -> Result<Vec<u8>, Error> {
    let (bytes, verdict) = read_and_evaluate(disk, path, transformer)?;
    Ok(match verdict {
        Some(migrated) => migrated.bytes,
        None => bytes,
    })
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
    if let (bytes, None) = read_and_evaluate(&*disk, &path, &transformer)? {
        return Ok(Some(bytes));
    }
    let end = migrate(disk.clone(), root, options, control)?;
    if end.stopped {
        return Ok(None);
    }
    if let Some(refused) = end.findings.first.iter().find(|finding| finding.severity == Severity::Refused) {
        return Err(not_written(&path, refused));
    }
    match read_and_evaluate(&*disk, &path, &transformer)? {
        (bytes, None) => Ok(Some(bytes)),
        (_, Some(_)) => Err(corrupt(&path, &changed_refusal("another program wrote to it"))),
    }
}

/// Returns the bytes of a file, and the new document if it is not at the target.
fn read_and_evaluate(
    disk: &dyn Disk,
    path: &Path,
    transformer: &Transformer,
) -> Result<(Vec<u8>, Option<Migrated>), Error> {
    let root = disk.root(parent_of(path))?;
    let name = Path::new(path.file_name().unwrap_or_default());
    let mut bytes = Vec::new();
    let state = root.read_file(name, MANIFEST_BYTES_MAX, &mut bytes).map_err(|error| {
        // The error has the path that the caller knows, not the one relative to the opened root.
        Error::Disk(DiskError::new(error.operation, path, error.source))
    })?;
    match evaluate(&*root, transformer, name, &bytes, &state) {
        Verdict::Migrated(migrated) => Ok((bytes, Some(migrated))),
        Verdict::Current(_) => Ok((bytes, None)),
        Verdict::Skipped(skip) => Err(corrupt(path, &Refusal::new(skip.code, skip.text))),
        Verdict::Refused(refusal) => Err(corrupt(path, &refusal)),
    }
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
    Error::Corrupt { path: path.to_owned(), offset, what, next }
}
