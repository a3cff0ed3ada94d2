//! Derives `inputs_hash` from the snapshot files (docs/source-sigilzero.md, "The document").

use super::edit::Edit;
use super::error_codes::ErrorCode;
use super::inputs::DocumentInputs;
use super::json::{Document, Kind, ReadOptions, Value, push_compact, push_string};
use super::key_path::KeyPath;
use super::value_types::ValueType;
use super::verdict::Refusal;
use crate::manifest::document::checksum::Checksum;

/// Sets `path` to the hash of the snapshots if it is absent or null and the document lists snapshots.
///
/// Each snapshot file must have the digest and the length that the document records.
pub(in crate::manifest) fn fill(edit: &mut Edit<'_, '_>, path: &KeyPath) -> Result<(), Refusal> {
    if edit.get(path).is_some_and(|value| value.kind() != Kind::Null) {
        return edit.keep(path, &ValueType::DigestOrNull);
    }
    let Some(snapshots) = edit.root().get("input_snapshots").filter(|value| value.members().len() > 0) else {
        return Ok(());
    };
    let hash = derive(snapshots, edit.inputs())?;
    edit.overwrite(path, &format!("\"{hash}\""))
}

fn derive(snapshots: Value<'_>, inputs: &dyn DocumentInputs) -> Result<Checksum, Refusal> {
    for (name, snapshot) in snapshots.members() {
        let name = name.as_str().unwrap_or_default();
        check_file(&name, snapshot, inputs).map_err(|what| Refusal::new(ErrorCode::Snapshot, what))?;
    }
    recorded_hash(snapshots)
        .ok_or_else(|| Refusal::new(ErrorCode::Snapshot, "a snapshot in input_snapshots has no digest".into()))
}

/// Returns the hash of the digests that `snapshots` records, or `None` if a digest is missing.
pub fn recorded_hash(snapshots: Value<'_>) -> Option<Checksum> {
    let mut json = b"{".to_vec();
    for (name, snapshot) in snapshots.members() {
        if json.len() > 1 {
            json.push(b',');
        }
        push_string(&mut json, &name.as_str()?);
        json.push(b':');
        push_string(&mut json, &snapshot.get("sha256")?.as_str()?);
    }
    json.push(b'}');
    // Parsing sorts the names by code point, which the hash requires.
    let digests = Document::parse(&json, &ReadOptions::default()).ok()?;
    let mut compact = Vec::new();
    push_compact(&mut compact, digests.root());
    Some(Checksum::of_bytes(&compact))
}

fn check_file(name: &str, snapshot: Value<'_>, inputs: &dyn DocumentInputs) -> Result<(), String> {
    let text = |key| snapshot.get(key).and_then(Value::as_str);
    let (Some(path), Some(recorded)) = (text("path"), text("sha256")) else {
        return Err(format!("snapshot {name} has no path or no sha256"));
    };
    match inputs.digest(&path)? {
        None => Err(format!("{path}, the file of snapshot {name}, is missing")),
        Some((digest, _)) if Checksum(digest).to_string() != *recorded => {
            Err(format!("{path}, the file of snapshot {name}, differs from the sha256 in the manifest"))
        }
        Some((_, len_bytes)) => {
            let is_len = snapshot.get("bytes").is_none_or(|value| value.lexeme() == len_bytes.to_string());
            if is_len { Ok(()) } else { Err(format!("{path}, the file of snapshot {name}, is {len_bytes} bytes long")) }
        }
    }
}
