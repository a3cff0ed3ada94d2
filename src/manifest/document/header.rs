//! Checks 3 to 5 of docs/source-sigilzero.md, "Order of checks": the kind of document, its version and its history.

use super::error_codes::ErrorCode;
use super::fields::{HISTORY, VERSION};
use super::json::{Document, Kind, Value};
use super::options::{Mode, TransformOptions};
use super::verdict::Refusal;
use super::version::Version;

/// Checks that the document is an object with the members that every manifest has (check 3).
pub(in crate::manifest) fn check_is_manifest(root: Value<'_>, options: &TransformOptions) -> Result<(), Refusal> {
    if root.kind() != Kind::Object {
        return Err(Refusal::new(ErrorCode::Root, "the document is not an object".into()));
    }
    // `job_id` alone would not do: manifests of 1.0.0 often lack it.
    let is_manifest =
        root.get("run_id").is_some() && ["job_id", "job_ref", "job_type"].iter().any(|name| root.get(name).is_some());
    if is_manifest || options.shape_any || options.mode == Mode::Compat {
        return Ok(());
    }
    let text = "not a manifest: it lacks run_id, or all of job_id, job_ref and job_type; --shape any accepts it";
    Err(Refusal::new(ErrorCode::NotAManifest, text.into()))
}

/// Returns the version of the document (first part of check 4).
pub(in crate::manifest) fn version(document: &Document<'_>, options: &TransformOptions) -> Result<Version, Refusal> {
    let Some(value) = document.root().get(VERSION) else {
        let assumed = options.assume_version.or((options.mode == Mode::Compat).then_some(Version::FIRST));
        let text = "schema_version is missing; --assume-version sets the version of such documents";
        return assumed.ok_or_else(|| Refusal::new(ErrorCode::Unversioned, text.into()));
    };
    let at = value.offset().or_else(|| document.root().key_offset(VERSION)).map(|offset| document.position(offset));
    let Some(text) = value.as_str() else {
        return Err(Refusal { at, ..Refusal::new(ErrorCode::VersionType, "schema_version is not a string".into()) });
    };
    let unknown = |_| Refusal { at, ..Refusal::new(ErrorCode::VersionUnknown, format!("\"{text}\" is not a version")) };
    text.parse().map_err(unknown)
}

/// Checks that the history, if there is one, is an array (check 5).
pub(in crate::manifest) fn check_history(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document.root();
    if root.get(HISTORY).is_none_or(|history| history.kind() == Kind::Array) {
        return Ok(());
    }
    let at = root.key_offset(HISTORY).map(|offset| document.position(offset));
    Err(Refusal { at, ..Refusal::new(ErrorCode::HistoryType, "migration_history is not an array".into()) })
}
