//! What a document says of itself: checks 3 to 5 of §10.

use super::error_codes::Code;
use super::json::{Document, Kind, Value};
use super::options::{Mode, TransformOptions};
use super::verdict::{Notice, Refusal};
use crate::manifest::{Registry, Version};

/// The member with the version.
pub(crate) const VERSION: &str = "schema_version";
/// The member with the history.
pub(crate) const HISTORY: &str = "migration_history";

/// Check 3: an object, and one that looks like a manifest.
pub(crate) fn check_shape(root: Value<'_>, options: &TransformOptions) -> Result<(), Refusal> {
    if root.kind() != Kind::Object {
        return Err(Refusal::new(Code::Root, "the document is no object".into()));
    }
    let is_manifest =
        root.get("run_id").is_some() && ["job_id", "job_ref", "job_type"].iter().any(|name| root.get(name).is_some());
    if is_manifest || options.shape_any || options.mode == Mode::Compat {
        return Ok(());
    }
    let text = "no manifest: it lacks run_id, or all of job_id, job_ref and job_type; --shape any takes it for one";
    Err(Refusal::new(Code::NotAManifest, text.into()))
}

/// Check 4, first half: the version that the document is of.
pub(crate) fn version(document: &Document<'_>, options: &TransformOptions) -> Result<Version, Refusal> {
    let Some(value) = document.root().get(VERSION) else {
        let assumed = options.assume_version.or((options.mode == Mode::Compat).then_some(Version::FIRST));
        let text = "schema_version is missing; --assume-version says which version such documents are of";
        return assumed.ok_or_else(|| Refusal::new(Code::Unversioned, text.into()));
    };
    let at = value.offset().or_else(|| document.root().key_offset(VERSION)).map(|offset| document.place(offset));
    let Some(text) = value.as_str() else {
        return Err(Refusal { at, ..Refusal::new(Code::VersionType, "schema_version is not a string".into()) });
    };
    let unknown = |_| Refusal { at, ..Refusal::new(Code::VersionUnknown, format!("{text:?} is no version")) };
    text.parse().map_err(unknown)
}

/// Check 4, second half: whether steps can lead from `version` to `target`.
pub(crate) fn check_reachable(
    registry: &Registry,
    version: Version,
    target: Version,
    is_reachable: bool,
) -> Result<(), Refusal> {
    let path = format!("no migration path from {version} to {target}");
    let (code, text) = if is_reachable {
        return Ok(());
    } else if version > registry.latest() {
        (Code::VersionFuture, format!("{path}: the latest version is {}", registry.latest()))
    } else if version > target && registry.versions().contains(&version) {
        (Code::Downgrade, format!("{path}: going back is `haul manifest rollback`"))
    } else {
        (Code::VersionUnknown, path)
    };
    Err(Refusal::new(code, text))
}

/// Check 5: the history is an array.
pub(crate) fn check_history(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document.root();
    if root.get(HISTORY).is_none_or(|history| history.kind() == Kind::Array) {
        return Ok(());
    }
    let at = root.key_offset(HISTORY).map(|offset| document.place(offset));
    Err(Refusal { at, ..Refusal::new(Code::HistoryType, "migration_history is not an array".into()) })
}

/// `W_HISTORY` if the last record does not lead to the version that the document is of.
pub(crate) fn history_notice(root: Value<'_>, version: Version) -> Option<Notice> {
    let last = root.get(HISTORY)?.items().next_back()?;
    let reached = last.get("to_version").and_then(Value::as_str);
    let text = match &reached {
        Some(reached) if **reached == *version.to_string() => return None,
        Some(reached) => format!("the last record of migration_history leads to {reached}, the document is {version}"),
        None => "the last record of migration_history names no to_version".to_owned(),
    };
    Some(Notice { code: "W_HISTORY", text })
}
