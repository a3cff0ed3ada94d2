//! Generated sample manifests, on which steps are proved.

use serde_json::{Map, Value as Json, json};

use super::step::Touch;
use crate::manifest::document::checksum::Checksum;
use crate::manifest::document::inputs::DocumentInputs;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::{TypeName, ValueType};
use crate::manifest::document::version::Version;
use crate::manifest::steps::registry::Registry;

const SNAPSHOT: &[u8] = b"{}";

/// The directory of a sample manifest, which contains one snapshot file.
pub(in crate::manifest) struct SampleInputs;

impl DocumentInputs for SampleInputs {
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String> {
        let digest = Checksum::of_bytes(SNAPSHOT).0;
        Ok((path == "inputs/brief.resolved.json").then_some((digest, SNAPSHOT.len() as u64)))
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "inputs/brief.resolved.json").then(|| SNAPSHOT.to_vec()))
    }

    fn job_directory(&self) -> Option<String> {
        None
    }
}

/// Returns sample manifests at `version`: a minimal one, one with unusual values, and one that has snapshots as well.
/// They have what the steps of `registry` require.
pub(in crate::manifest) fn sample_manifests(registry: &Registry, version: Version) -> Vec<Vec<u8>> {
    let minimal = json!({
        "schema_version": version.to_string(), "job_id": "job-1", "run_id": "0123456789abcdef0123456789abcdef",
        "job_ref": "jobs/one/brief.yaml", "job_type": "copy", "status": "succeeded",
    });
    let mut odd = minimal.clone();
    odd["meta"] = json!({"list": [1, 2.50, {"z": null}], "text": "\u{e9}\u{1f600}\u{1}"});
    odd["zz_unknown"] = json!([[], {}, "x"]);
    odd["migration_history"] = json!([]);
    let mut full = odd.clone();
    let digest = Checksum::of_bytes(SNAPSHOT).to_string();
    full["input_snapshots"] = json!({"brief": {
        "path": "inputs/brief.resolved.json", "sha256": digest, "bytes": SNAPSHOT.len(),
    }});
    full["doctrine"] = json!({"doctrine_id": "d", "version": "1", "sha256": digest, "resolved_path": "p"});
    full["error"] = Json::Null;
    let required = required(registry);
    let ready = |mut sample: Json| {
        required.iter().for_each(|(path, value_type)| put(&mut sample, path, value_of(value_type)));
        serde_json::to_vec(&sample).expect("a tree of plain values")
    };
    [minimal, odd, full].into_iter().map(ready).collect()
}

/// Returns the required paths that no step adds.
fn required(registry: &Registry) -> Vec<(KeyPath, ValueType)> {
    let touches: Vec<_> = registry.steps().iter().flat_map(|step| step.touches()).collect();
    let is_made = |path: &KeyPath| {
        touches.iter().any(|touch| match touch {
            Touch::Add { path: made, .. }
            | Touch::Rename { to: made, .. }
            | Touch::Overwrite(made)
            | Touch::Fill(made) => path.is_within(made) || made.is_within(path),
            Touch::Remove(_) => false,
        })
    };
    registry.steps().iter().flat_map(|step| step.requires()).filter(|(path, _)| !is_made(path)).collect()
}

fn put(sample: &mut Json, path: &KeyPath, value: Json) {
    let [parents @ .., last] = &path[..] else { return };
    let mut object = sample;
    for name in parents {
        let Some(members) = object.as_object_mut() else { return };
        object = members.entry(name.clone()).or_insert_with(|| Json::Object(Map::new()));
    }
    if let Some(members) = object.as_object_mut() {
        members.entry(last.clone()).or_insert(value);
    }
}

fn value_of(value_type: &ValueType) -> Json {
    let first = match value_type {
        ValueType::Declared { types, .. } => types.first(),
        _ => None,
    };
    match first {
        None | Some(TypeName::String) => json!("sample"),
        Some(TypeName::Integer) => json!(7),
        Some(TypeName::Number) => json!(7.5),
        Some(TypeName::Boolean) => json!(true),
        Some(TypeName::Object) => json!({"k": "v"}),
        Some(TypeName::Array) => json!(["v"]),
        Some(TypeName::Null) => Json::Null,
    }
}
