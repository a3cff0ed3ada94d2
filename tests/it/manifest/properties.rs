//! Properties of trees and history records: checksums follow the documented formula, and a rollback leaves nothing of a
//! run behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::support::manifest::{Files, NOW, Root, manifests};
use crate::support::manifest_files::manifest;
use haul::durable::RealDisk;
use haul::manifest::migrate::{MigrationEnd, migrate};
use haul::manifest::rollback::{RollbackRequest, rollback};
use haul::manifest::run_options::MigrateOptions;
use haul::manifest::{Mode, NoInputs, Registry, TransformOptions, Transformer, Verdict, prove};
use haul::migration::{Durability, RunOptions};
use haul::pipeline::{Control, Silent, StopToken};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// The text of docs/source-sigilzero.md, "Canonical text and checksums", written from its table without code of haul.
fn canonical(value: &Json) -> String {
    let joined = |parts: Vec<String>, open: char, close: char| format!("{open}{}{close}", parts.join(", "));
    match value {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) if number.is_f64() => float(number.as_f64().unwrap()),
        Json::Number(number) => number.to_string(),
        Json::String(text) => string(text),
        Json::Array(items) => joined(items.iter().map(canonical).collect(), '[', ']'),
        Json::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let member = |(name, value): (&String, &Json)| format!("{}: {}", string(name), canonical(value));
            joined(sorted.into_iter().map(member).collect(), '{', '}')
        }
    }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        match char::from_u32(u32::from(unit)) {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(plain @ ' '..='~') => out.push(plain),
            _ => out.push_str(&format!("\\u{unit:04x}")),
        }
    }
    out + "\""
}

fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let fixed = format!("{value}");
    if fixed.contains('.') { fixed } else { fixed + ".0" }
}

fn checksum(value: &Json) -> Json {
    let digest = Sha256::digest(canonical(value));
    json!(format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON", |value| value.is_finite()).prop_map(Json::from),
        prop_oneof![Just(1e16), Just(1e-5), Just(-0.0), Just(123456789012345680.0), Just(5e-324)].prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ]
}

fn member() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// A manifest of one of the old versions, with additional members.
fn document() -> impl Strategy<Value = Json> {
    let extra = prop::collection::btree_map("x_[a-zé]{0,6}", member(), 0..4);
    (extra, any::<bool>(), any::<bool>()).prop_map(|(extra, is_newer, has_history)| {
        let mut made: Json = serde_json::from_str(&manifest("job", "run", "1.0.0")).unwrap();
        extra.into_iter().for_each(|(name, value)| made[name] = value);
        if is_newer {
            made["schema_version"] = json!("1.1.0");
        }
        if has_history {
            made["migration_history"] = json!([{"to_version": made["schema_version"]}]);
        }
        made
    })
}

/// The content of a file in a tree: mostly manifests, some of them current, and some other files.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => document().prop_map(|document| serde_json::to_vec_pretty(&document).unwrap()),
        1 => Just(manifest("job", "run", "1.2.0").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn tree() -> impl Strategy<Value = Vec<(Vec<u8>, u32)>> {
    let mode = prop::sample::select(vec![0o600, 0o644, 0o440, 0o775]);
    prop::collection::vec((content(), mode), 1..6)
}

fn laid_out(files: &[(Vec<u8>, u32)]) -> Root {
    let root = Root::new();
    for (number, (bytes, mode)) in files.iter().enumerate() {
        let path = root.put_bytes(&format!("job-{}", number % 2), &format!("run-{number}"), bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        let inputs = path.with_file_name("inputs");
        fs::create_dir(&inputs).unwrap();
        fs::write(inputs.join("manifest.json"), b"{}").unwrap();
    }
    root
}

fn migrated(root: &Path, mode: Mode) -> MigrationEnd {
    let options = MigrateOptions {
        transform: TransformOptions { mode, ..TransformOptions::default() },
        durability: Durability::None,
        now: Some(NOW.parse().unwrap()),
        run: RunOptions { batch_records: 2, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    let control = Control { stop: &StopToken::new(), observer: &Silent };
    migrate(Arc::new(RealDisk), root, &options, &control).unwrap()
}

fn rolled_back(root: &Path, run_id: &str) -> u64 {
    let control = Control { stop: &StopToken::new(), observer: &Silent };
    let request = RollbackRequest {
        run_id,
        files: &BTreeSet::new(),
        registry: &Registry::built_in(),
        durability: Durability::Group,
    };
    let end = rollback(Arc::new(RealDisk), root, request, &control).unwrap();
    assert_eq!(end.refused, 0, "{:?}", end.findings);
    end.restored
}

/// The files of a tree except backups.
fn without_backups(files: Files) -> Files {
    files.into_iter().filter(|(path, _)| !path.to_str().unwrap().ends_with(".backup")).collect()
}

proptest! {
    #[test]
    fn checksums_follow_the_documented_formula(document in document(), compat in any::<bool>()) {
        let mode = if compat { Mode::Compat } else { Mode::Strict };
        let options = TransformOptions { mode, ..TransformOptions::default() };
        let registry = Arc::new(Registry::built_in());
        let target = registry.latest();
        let transformer = Transformer::new(prove(registry).unwrap(), target, NOW.parse().unwrap(), options).unwrap();
        let input = serde_json::to_vec(&document).unwrap();
        let Verdict::Migrated(migrated) = transformer.transform(&input, &NoInputs) else { panic!("{document}") };
        let mut output: Json = serde_json::from_slice(&migrated.bytes).unwrap();
        let record = output["migration_history"].as_array_mut().unwrap().pop().unwrap();
        if document.get("migration_history").is_none() {
            output.as_object_mut().unwrap().remove("migration_history");
        }
        prop_assert_eq!(&record["checksum_before"], &checksum(&document), "{}", canonical(&document));
        prop_assert_eq!(&record["checksum_after"], &checksum(&output), "{}", canonical(&output));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rollback_restores_every_byte_and_mode_and_a_second_migration_gives_the_same(
        files in tree(),
        compat in any::<bool>(),
    ) {
        let mode = if compat { Mode::Compat } else { Mode::Strict };
        let root = laid_out(&files);
        let before = root.files();
        let first = migrated(root.path(), mode);
        let after = root.files();
        let replaced = manifests(&after).into_iter().filter(|(path, file)| before[path] != *file).count() as u64;
        prop_assert_eq!(first.counts.migrated, replaced);
        prop_assert_eq!(migrated(root.path(), mode).counts.migrated, 0);
        prop_assert_eq!(&root.files(), &after);
        prop_assert_eq!(rolled_back(root.path(), &first.run_id), first.counts.migrated);
        prop_assert_eq!(without_backups(root.files()), before);
        let second = migrated(root.path(), mode);
        prop_assert_eq!(second.counts.migrated, first.counts.migrated);
        prop_assert_eq!(root.files(), after);
    }
}
