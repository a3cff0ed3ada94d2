//! What a document says of itself: checks 3 to 5 of docs/source-sigilzero.md, "Order of checks".

use super::error_codes::ErrorCode;
use super::fields::{HISTORY, VERSION};
use super::json::{Document, Kind, Value};
use super::options::{Mode, TransformOptions};
use super::verdict::Refusal;
use super::version::Version;

/// Check 3: an object, and one that looks like a manifest.
pub(in crate::manifest) fn check_is_manifest(root: Value<'_>, options: &TransformOptions) -> Result<(), Refusal> {
    if root.kind() != Kind::Object {
        return Err(Refusal::new(ErrorCode::Root, "the document is no object".into()));
    }
    let is_manifest =
        root.get("run_id").is_some() && ["job_id", "job_ref", "job_type"].iter().any(|name| root.get(name).is_some());
    if is_manifest || options.shape_any || options.mode == Mode::Compat {
        return Ok(());
    }
    let text = "no manifest: it lacks run_id, or all of job_id, job_ref and job_type; --shape any takes it for one";
    Err(Refusal::new(ErrorCode::NotAManifest, text.into()))
}

/// Check 4, first half: the version that the document is of.
pub(in crate::manifest) fn version(document: &Document<'_>, options: &TransformOptions) -> Result<Version, Refusal> {
    let Some(value) = document.root().get(VERSION) else {
        let assumed = options.assume_version.or((options.mode == Mode::Compat).then_some(Version::FIRST));
        let text = "schema_version is missing; --assume-version says which version such documents are of";
        return assumed.ok_or_else(|| Refusal::new(ErrorCode::Unversioned, text.into()));
    };
    let at = value.offset().or_else(|| document.root().key_offset(VERSION)).map(|offset| document.position(offset));
    let Some(text) = value.as_str() else {
        return Err(Refusal { at, ..Refusal::new(ErrorCode::VersionType, "schema_version is not a string".into()) });
    };
    let unknown = |_| Refusal { at, ..Refusal::new(ErrorCode::VersionUnknown, format!("{text:?} is no version")) };
    text.parse().map_err(unknown)
}

/// Check 5: the history is an array.
pub(in crate::manifest) fn check_history(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document.root();
    if root.get(HISTORY).is_none_or(|history| history.kind() == Kind::Array) {
        return Ok(());
    }
    let at = root.key_offset(HISTORY).map(|offset| document.position(offset));
    Err(Refusal { at, ..Refusal::new(ErrorCode::HistoryType, "migration_history is not an array".into()) })
}
