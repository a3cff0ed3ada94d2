//! Reading a manifest as if it were at another version (docs/source-sigilzero.md, "One manifest at a time"): writing
//! nothing, or leaving the file so.

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

/// The document of the file at `path` as the target of `transformer` has it: its own bytes if it is there already.
///
/// Nothing is written. A file that cannot be taken there is [`Error::Corrupt`] with the code and the place.
pub fn read_migrated(disk: &dyn Disk, path: &Path, transformer: &Transformer) -> Result<Vec<u8>, Error> {
    let (bytes, verdict) = read_and_evaluate(disk, path, transformer)?;
    Ok(match verdict {
        Some(migrated) => migrated.bytes,
        None => bytes,
    })
}

/// As [`read_migrated`], and leaves the file as it is read: a migration of the one file that `options` name, under the
/// lock of the tree at `root`, with its backup and its line of the ledger, so that it can be taken back.
///
/// A file that is at the target already is read only, and begins no run. `None` if the run was asked to stop.
pub fn read_and_write_back(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Vec<u8>>, Error> {
    let path = root.join(options.manifest.as_deref().unwrap_or(Path::new("")));
    // What it would be is all that matters of this verdict, not when.
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
        (_, Some(_)) => Err(corrupt(&path, &changed_refusal("something else wrote to it"))),
    }
}

/// The bytes of a file, and what they are to become if they are not at the target.
fn read_and_evaluate(
    disk: &dyn Disk,
    path: &Path,
    transformer: &Transformer,
) -> Result<(Vec<u8>, Option<Migrated>), Error> {
    let root = disk.root(parent_of(path))?;
    let name = Path::new(path.file_name().unwrap_or_default());
    let mut bytes = Vec::new();
    let state = root.read_file(name, MANIFEST_BYTES_MAX, &mut bytes).map_err(|error| {
        // Under the name that the caller knows.
        Error::Disk(DiskError::new(error.operation, path, error.source))
    })?;
    match evaluate(&*root, transformer, name, &bytes, &state) {
        Verdict::Migrated(migrated) => Ok((bytes, Some(migrated))),
        Verdict::Current(_) => Ok((bytes, None)),
        Verdict::Skipped(skip) => Err(corrupt(path, &Refusal::new(skip.code, skip.text))),
        Verdict::Refused(refusal) => Err(corrupt(path, &refusal)),
    }
}

/// A refusal of one file as an error.
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
    let next = "correct the document, or take the options that let it pass".into();
    Error::Corrupt { path: path.to_owned(), offset, what, next, source: None }
}
