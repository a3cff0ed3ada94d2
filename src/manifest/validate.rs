//! Validates documents: against the schema of their own version, or as the readers of another version would
//! (docs/source-sigilzero.md, "One manifest at a time").

use std::path::Path;

use super::document::error_codes::ErrorCode;
use super::document::fields::VERSION;
use super::document::header;
use super::document::json::{Document, ReadOptions};
use super::document::options::TransformOptions;
use super::document::verdict::{Notice, Refusal};
use super::document::version::Version;
use super::migrate::document_reader::NotRead;
use super::read::read_within;
use super::steps::registry::Registry;
use super::steps::target_schema::TargetSchema;
use crate::durable::{Disk, DiskError, FileState, parent_of};
use crate::migration::Error;

/// The deepest nesting of arrays and objects.
pub(super) const DEPTH_MAX: usize = 1000;

/// A document that is valid: its version, and the warnings.
pub type Valid = (Version, Vec<Notice>);

/// Checks a document against the schema of its own version. Returns that version and the warnings.
pub fn validate(registry: &Registry, bytes: &[u8]) -> Result<Valid, Refusal> {
    validate_as(registry, bytes, None).map_err(|refusals| refusals.into_iter().next().expect("there is a refusal"))
}

/// Checks that a document has what readers of version `readers` need: their required fields, with the types that they
/// know. Without such a version, the readers are those of the document's own. Returns everything that is wrong.
///
/// The readers look for their own version, so the document is checked as if it had that one.
pub fn validate_as(registry: &Registry, bytes: &[u8], readers: Option<Version>) -> Result<Valid, Vec<Refusal>> {
    let one = |refusal| vec![refusal];
    let mut document = parse(bytes).map_err(one)?;
    let version = known_version(registry, &document).map_err(one)?;
    header::check_history(&document).map_err(one)?;
    let wanted = readers.unwrap_or(version);
    let schema = TargetSchema::new(registry, wanted);
    let mut root = document.root().id();
    if wanted != version {
        let text = format!("\"{wanted}\"");
        let text = document.parse_fragment(&text).map_err(|fault| one(fault.into()))?;
        let changed = document.with(root, &[VERSION.to_owned()], text).map_err(|fault| one(fault.into()))?;
        root = changed.unwrap_or(root);
    }
    let faults = schema.faults(&document, root);
    if !faults.is_empty() {
        let of = |fault: super::steps::target_schema::SchemaFault| Refusal {
            at: fault.at,
            from: Some(version),
            ..Refusal::new(fault.code, fault.text)
        };
        return Err(faults.into_iter().map(of).collect());
    }
    let warnings = if wanted == version { schema.warnings(document.root(), version) } else { Vec::new() };
    Ok((version, warnings))
}

/// Fails if no step knows the version of the readers.
pub fn check_readers(registry: &Registry, readers: Option<Version>) -> Result<(), Error> {
    let versions = registry.versions();
    match readers.filter(|version| !versions.contains(version)) {
        None => Ok(()),
        Some(version) => Err(Error::Usage {
            what: format!("no step knows version {version}"),
            next: format!("use --as {}, or add the steps with --steps-file", registry.latest()),
        }),
    }
}

/// Validates the document at `path` within this memory, as [`validate_as`] does. The outer error says that it cannot be
/// read.
pub fn validate_file(
    disk: &dyn Disk,
    registry: &Registry,
    (path, readers): (&Path, Option<Version>),
    memory_budget_bytes: u64,
) -> Result<Result<Valid, Vec<Refusal>>, DiskError> {
    let root = disk.root(parent_of(path))?;
    let validate = |bytes: &[u8], _: &FileState| validate_as(registry, bytes, readers);
    match read_within(&*root, path, (memory_budget_bytes, DEPTH_MAX), validate) {
        Ok(validated) => Ok(validated),
        Err(NotRead::TooLarge(refusal)) => Ok(Err(vec![refusal])),
        Err(NotRead::Item(error) | NotRead::Failed(error)) => Err(error),
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Document<'_>, Refusal> {
    Document::parse(bytes, &ReadOptions::default()).map_err(|fault| Refusal::of_fault(&fault, bytes))
}

fn known_version(registry: &Registry, document: &Document<'_>) -> Result<Version, Refusal> {
    let options = TransformOptions::default();
    header::check_is_manifest(document.root(), &options)?;
    let version = header::version(document, &options)?;
    if registry.versions().contains(&version) {
        return Ok(version);
    }
    Err(Refusal::new(ErrorCode::VersionUnknown, format!("no step knows version {version}")))
}
