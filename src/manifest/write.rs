//! Validation of documents, alone and before they are written (§12).

use std::path::Path;

use super::assess::MANIFEST_BYTES_MAX;
use super::code::Code;
use super::head;
use super::json::{Document, JsonFault, Layout, NodeId, Numbers, ReadOptions, Value, is_equal, push_layout};
use super::read::corrupt;
use super::target_schema::TargetSchema;
use super::{Notice, Refusal, Registry, TransformOptions, Version};
use crate::durable::{Disk, parent_of, replace_file_with};
use crate::migration::Error;

/// Members that a write may not change once they are there (§11, invariants 1 to 4).
const FIXED: [(&str, Code); 5] = [
    ("input_snapshots", Code::InputSnapshots),
    ("run_id", Code::RunId),
    ("job_id", Code::JobId),
    ("job_ref", Code::JobId),
    ("doctrine", Code::Doctrine),
];

/// Checks a document against the schema of its own version. Its version, and the warnings.
pub fn validate(registry: &Registry, bytes: &[u8]) -> Result<(Version, Vec<Notice>), Refusal> {
    let document = parse(bytes)?;
    let version = known_version(registry, &document)?;
    head::check_history(&document)?;
    let schema = TargetSchema::new(registry, version);
    if let Some(fault) = schema.faults(&document, document.root().id()).into_iter().next() {
        return Err(Refusal { at: fault.at, from: Some(version), ..Refusal::new(fault.code, fault.text) });
    }
    Ok((version, schema.warnings(document.root(), version)))
}

/// Puts a document at `path`, atomically and durably, in the format of §6: what was validated, and keeps what must not
/// change of the file that it replaces. The version, and the warnings.
///
/// A document that is refused is [`Error::Corrupt`]; the file stays as it is.
pub fn write_manifest(
    disk: &dyn Disk,
    registry: &Registry,
    path: &Path,
    bytes: &[u8],
) -> Result<(Version, Vec<Notice>), Error> {
    let refuse = |refusal: Refusal| corrupt(path, &refusal);
    let (version, notices) = validate(registry, bytes).map_err(refuse)?;
    let document = parse(bytes).map_err(refuse)?;
    let root = disk.root(parent_of(path))?;
    let name = Path::new(path.file_name().unwrap_or_default());
    let mut old = Vec::new();
    let state = root.file_state(name)?;
    if state.is_some() {
        root.read_file(name, MANIFEST_BYTES_MAX, &mut old)?;
        check_replacement(&old, &document).map_err(refuse)?;
    }
    let mut out = Vec::new();
    push_layout(&mut out, document.root(), Layout { numbers: Numbers::Lexemes, final_newline: true });
    replace_file_with(disk, path, state.map(|state| state.mode), |file| file.write_all_at(0, &out))?;
    Ok((version, notices))
}

fn parse(bytes: &[u8]) -> Result<Document<'_>, Refusal> {
    let refuse = |fault: JsonFault| {
        let at = Some(fault.place(bytes));
        Refusal { at, ..Refusal::new(fault.code, fault.what.into()) }
    };
    Document::parse(bytes, &ReadOptions::default()).map_err(refuse)
}

fn known_version(registry: &Registry, document: &Document<'_>) -> Result<Version, Refusal> {
    let options = TransformOptions::default();
    head::check_shape(document.root(), &options)?;
    let version = head::version(document, &options)?;
    if registry.versions().contains(&version) {
        return Ok(version);
    }
    Err(Refusal::new(Code::VersionUnknown, format!("version {version} is none that steps know")))
}

/// What must not change is what it was, and the history only grows. A file that is no JSON keeps nobody from replacing it.
fn check_replacement(old: &[u8], new: &Document<'_>) -> Result<(), Refusal> {
    let Ok(old) = Document::parse(old, &ReadOptions::default()) else { return Ok(()) };
    for (name, code) in FIXED {
        let (was, is) = (old.root().get(name), new.root().get(name));
        let is_kept = was.is_none_or(|was| is.is_some_and(|is| is_equal(was, is, Numbers::Values)));
        if !is_kept {
            return Err(Refusal::new(code, format!("{name} is not what the file has")));
        }
    }
    let records = |document: &Document<'_>| -> Vec<NodeId> {
        document.root().get(head::HISTORY).map_or(Vec::new(), |history| history.items().map(Value::id).collect())
    };
    let (was, is) = (records(&old), records(new));
    let is_same = |(&was, &is): (&NodeId, &NodeId)| is_equal(old.value(was), new.value(is), Numbers::Values);
    if was.len() > is.len() || !was.iter().zip(&is).all(is_same) {
        return Err(Refusal::new(Code::Drift, "migration_history lacks records that the file has".into()));
    }
    Ok(())
}
