//! Properties of documents and steps: what is added, kept, refused and proved.

use std::sync::Arc;

use haul::manifest::document::edit::Edit;
use haul::manifest::document::json::{Document, Numbers, ReadOptions, first_difference, is_equal, push_canonical};
use haul::manifest::document::value_types::ValueType;
use haul::manifest::transform::step_check::check_steps;
use haul::manifest::{
    Checksum, DeriveJobId, DocumentInputs, ErrorCode, KeyPath, Migrated, Mode, NoInputs, Refusal, Registry, Step,
    Touch, TransformOptions, Transformer, Verdict, Version, check_inverse, prove,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const NOW: &str = "2026-03-01T12:34:56Z";

fn registry(declared: &str) -> Result<Registry, String> {
    let mut registry = Registry::built_in();
    if !declared.is_empty() {
        registry.add_file(declared, "steps.toml").map_err(|error| error.to_string())?;
    }
    let proven = prove(Arc::new(registry.clone())).map_err(|error| error.to_string());
    proven.map(|_| registry)
}

fn transformer(registry: Registry, options: TransformOptions) -> Transformer {
    let target = registry.latest();
    Transformer::new(prove(Arc::new(registry)).unwrap(), target, NOW.parse().unwrap(), options).unwrap()
}

fn built_in() -> Transformer {
    transformer(Registry::built_in(), TransformOptions::default())
}

fn manifest() -> Json {
    json!({"schema_version": "1.0.0", "job_id": "j", "run_id": "r", "job_ref": "b", "job_type": "t", "status": "s"})
}

fn with(mut manifest: Json, name: &str, value: Json) -> Json {
    manifest[name] = value;
    manifest
}

fn bytes(manifest: &Json) -> Vec<u8> {
    serde_json::to_vec(manifest).unwrap()
}

#[track_caller]
fn migrated(transformer: &Transformer, manifest: &Json) -> (Migrated, Json) {
    match transformer.transform(&bytes(manifest), &NoInputs) {
        Verdict::Migrated(migrated) => {
            let output = serde_json::from_slice(&migrated.bytes).unwrap();
            (migrated, output)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(transformer: &Transformer, manifest: &Json) -> Refusal {
    match transformer.transform(&bytes(manifest), &NoInputs) {
        Verdict::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn half_of_a_field_is_kept_and_half_is_added() {
    let half = with(manifest(), "chain_metadata", json!({"prior_stages": [{"run_id": "x"}]}));
    let (migrated, output) = migrated(&built_in(), &half);
    assert_eq!(output["chain_metadata"], json!({"is_chainable_stage": false, "prior_stages": [{"run_id": "x"}]}));
    let changes = [
        "Add input_snapshots field (empty dict)",
        "Add inputs_hash field (null)",
        "Add chain_metadata.is_chainable_stage (false)",
        "Keep existing chain_metadata.prior_stages",
        "Bump schema_version to 1.2.0",
    ];
    assert_eq!(migrated.changes, [changes]);
}

#[test]
fn a_complete_field_is_kept_as_a_whole() {
    let whole = with(manifest(), "chain_metadata", json!({"prior_stages": [], "is_chainable_stage": true, "x": 1}));
    let (migrated, output) = migrated(&built_in(), &whole);
    assert_eq!(output["chain_metadata"], whole["chain_metadata"]);
    assert_eq!(migrated.changes[0][2..], ["Keep existing chain_metadata", "Bump schema_version to 1.2.0"]);
}

#[test]
fn fields_of_the_wrong_type_are_refused_with_their_place() {
    for (name, value) in [
        ("input_snapshots", json!({"brief": {"path": "p", "sha256": "s"}})),
        ("inputs_hash", json!("sha256:ABC")),
        ("chain_metadata", json!([])),
        ("chain_metadata", json!({"prior_stages": [1]})),
        ("chain_metadata", json!({"is_chainable_stage": 1})),
        ("artifacts", json!([])),
        ("doctrine", json!("d")),
        ("status", json!(null)),
        ("error", json!(7)),
    ] {
        let refusal = refused(&built_in(), &with(manifest(), name, value));
        assert_eq!(refusal.code, ErrorCode::FieldType, "{name}: {refusal:?}");
        assert!(refusal.at.is_some() && refusal.text.starts_with(name), "{refusal:?}");
        assert_eq!(refusal.from, Some(Version::FIRST));
    }
}

#[test]
fn an_incomplete_result_is_refused_or_reported() {
    let incomplete = json!({"schema_version": "1.0.0", "run_id": "r", "job_ref": "b"});
    let refusal = refused(&built_in(), &incomplete);
    assert_eq!((refusal.code, refusal.text.as_str()), (ErrorCode::RequiredField, "required field job_id is missing"));
    let options = TransformOptions { accept_incomplete: true, ..TransformOptions::default() };
    let (accepted, _) = migrated(&transformer(Registry::built_in(), options), &incomplete);
    assert_eq!(accepted.notices.iter().filter(|notice| notice.code == "E_REQUIRED_FIELD").count(), 3);
}

struct Beside;

impl DocumentInputs for Beside {
    fn digest(&self, _: &str) -> Result<Option<([u8; 32], u64)>, String> {
        Ok(Some((Checksum::of_bytes(b"{}").0, 2)))
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, String> {
        Ok((path == "inputs/brief.yaml").then(|| b"job_id: from-brief\n".to_vec()))
    }

    fn job_directory(&self) -> Option<String> {
        Some("from-directory".into())
    }
}

#[test]
fn a_missing_job_id_is_derived_on_request_and_recorded() {
    let mut orphan = manifest();
    orphan.as_object_mut().unwrap().remove("job_id");
    for (how, id, text) in [
        (DeriveJobId::Brief, "from-brief", "Add job_id field (from inputs/brief.yaml)"),
        (DeriveJobId::Directory, "from-directory", "Add job_id field (from the job's directory)"),
    ] {
        let options = TransformOptions { derive_job_id: Some(how), ..TransformOptions::default() };
        let deriving = transformer(Registry::built_in(), options);
        let Verdict::Migrated(migrated) = deriving.transform(&bytes(&orphan), &Beside) else { panic!("{how:?}") };
        let output: Json = serde_json::from_slice(&migrated.bytes).unwrap();
        assert_eq!((output["job_id"].as_str(), migrated.changes[0][0].as_str()), (Some(id), text));
        assert_eq!(refused(&deriving, &orphan).code, ErrorCode::RequiredField, "no file to derive it from");
        assert_eq!(migrated_job_id(&deriving), "j", "an id that is there stays");
    }
}

fn migrated_job_id(transformer: &Transformer) -> String {
    migrated(transformer, &manifest()).1["job_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_repair_adds_what_steps_would_have_added() {
    let hollow = with(manifest(), "schema_version", json!("1.2.0"));
    let Verdict::Current(current) = built_in().transform(&bytes(&hollow), &NoInputs) else { panic!() };
    assert_eq!(current.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["W_SHAPE"; 4]);
    let options = TransformOptions { repair: true, ..TransformOptions::default() };
    let repairing = transformer(Registry::built_in(), options);
    let (repaired, output) = migrated(&repairing, &hollow);
    assert_eq!((repaired.from, repaired.to), (Version::new(1, 2, 0), Version::new(1, 2, 0)));
    assert_eq!(repaired.changes[0].len(), 4);
    assert!(matches!(repairing.transform(&bytes(&output), &NoInputs), Verdict::Current(_)));
}

#[test]
fn instants_have_six_digits_of_fraction_and_compat_drops_zeros() {
    for (mode, now, text) in [
        (Mode::Strict, NOW, "2026-03-01T12:34:56.000000Z"),
        (Mode::Compat, NOW, "2026-03-01T12:34:56Z"),
        (Mode::Strict, "2026-03-01T13:34:56.7+01:00", "2026-03-01T12:34:56.700000Z"),
        (Mode::Compat, "2026-03-01T13:34:56.7+01:00", "2026-03-01T12:34:56.700000Z"),
    ] {
        let options = TransformOptions { mode, ..TransformOptions::default() };
        let registry = Arc::new(Registry::built_in());
        let target = registry.latest();
        let registry = prove(registry).unwrap();
        let (_, output) =
            migrated(&Transformer::new(registry, target, now.parse().unwrap(), options).unwrap(), &manifest());
        assert_eq!(output["migration_history"][0]["applied_at"], text);
    }
}

#[test]
fn a_history_that_leads_to_another_version_is_reported() {
    let odd = with(manifest(), "migration_history", json!([{"to_version": "1.1.0"}]));
    let (migrated, output) = migrated(&built_in(), &odd);
    assert_eq!(migrated.notices[0].code, "W_HISTORY");
    assert_eq!(output["migration_history"].as_array().unwrap().len(), 2);
}

#[test]
fn files_that_are_not_manifests_are_skipped_unless_named() {
    for foreign in [json!([1]), json!({"name": "package"})] {
        assert!(matches!(built_in().transform(&bytes(&foreign), &NoInputs), Verdict::Skipped(_)));
        let named = TransformOptions { named: true, ..TransformOptions::default() };
        refused(&transformer(Registry::built_in(), named), &foreign);
        let compat = TransformOptions { mode: Mode::Compat, ..TransformOptions::default() };
        let verdict = transformer(Registry::built_in(), compat).transform(&bytes(&foreign), &NoInputs);
        assert!(!matches!(verdict, Verdict::Skipped(_)));
    }
}

/// A step that changes more than it declares, as a user of the library might write it by mistake.
struct Careless(fn(&mut Edit<'_, '_>) -> Result<(), Refusal>);

impl Step for Careless {
    fn from(&self) -> Version {
        Version::new(1, 2, 0)
    }

    fn to(&self) -> Version {
        Version::new(1, 3, 0)
    }

    fn changes(&self) -> Vec<String> {
        vec!["Bump schema_version to 1.3.0".into()]
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Add { path: path("declared"), value_type: ValueType::Any }]
    }

    fn apply(&self, edit: &mut Edit<'_, '_>) -> Result<(), Refusal> {
        edit.add(&path("declared"), "1", &ValueType::Any)?;
        (self.0)(edit)
    }
}

fn path(text: &str) -> KeyPath {
    KeyPath::new(text).unwrap()
}

#[test]
fn steps_that_break_an_invariant_are_refused() {
    type Break = fn(&mut Edit<'_, '_>) -> Result<(), Refusal>;
    let cases: [(Break, ErrorCode); 8] = [
        (|edit| edit.overwrite(&path("input_snapshots"), "{}"), ErrorCode::InputSnapshots),
        (|edit| edit.overwrite(&path("run_id"), "\"other\""), ErrorCode::RunId),
        (|edit| edit.remove(&path("job_id")), ErrorCode::JobId),
        (|edit| edit.overwrite(&path("job_ref"), "\"other\""), ErrorCode::JobId),
        (|edit| edit.add(&path("doctrine"), "null", &ValueType::Any), ErrorCode::Doctrine),
        (|edit| edit.add(&path("other"), "1", &ValueType::Any), ErrorCode::Drift),
        (|edit| edit.remove(&path("declared")), ErrorCode::Drift),
        (|edit| edit.overwrite(&path("status"), "\"failed\""), ErrorCode::Compatibility),
    ];
    for (careless, code) in cases {
        let mut registry = Registry::built_in();
        registry.add(Arc::new(Careless(careless))).unwrap();
        let proofs = check_steps(&registry, &[]).unwrap();
        assert!(!proofs[3].faults.is_empty(), "{code}");
        let options = TransformOptions { accept_incomplete: true, ..TransformOptions::default() };
        let snapshots = json!({"brief": {"path": "p", "sha256": "s", "bytes": 1}});
        let refusal = refused(&transformer(registry, options), &with(manifest(), "input_snapshots", snapshots));
        assert_eq!(refusal.code, code, "{refusal:?}");
    }
}

const PRIORITY: &str = r#"
[[step]]
from = "1.2.0"
to = "1.3.0"
changes = ["Add priority_level field (default: normal)", "Bump schema_version to 1.3.0"]
add = [{ path = "priority_level", value = "normal", type = "string", one_of = ["low", "normal", "high"] }]
"#;

#[test]
fn a_declared_step_adds_and_keeps() {
    let registry = registry(PRIORITY).unwrap();
    assert!(check_steps(&registry, &[]).unwrap().iter().all(|proof| proof.faults.is_empty() && proof.manifests == 3));
    let declared = transformer(registry, TransformOptions::default());
    let (first, output) = migrated(&declared, &manifest());
    assert_eq!(output["priority_level"], "normal");
    assert_eq!(first.applied[..], ["1.0.0 → 1.2.0", "1.2.0 → 1.3.0"]);
    assert_eq!(output["migration_history"].as_array().unwrap().len(), 1);
    let (second, output) = migrated(&declared, &with(manifest(), "priority_level", json!("high")));
    assert_eq!(output["priority_level"], "high");
    assert_eq!(second.changes[1], ["Keep existing priority_level", "Bump schema_version to 1.3.0"]);
    let refusal = refused(&declared, &with(manifest(), "priority_level", json!("urgent")));
    assert_eq!(refusal.code, ErrorCode::FieldType);
}

const BREAKING: &str = r#"
[[step]]
from = "1.2.0"
to = "2.0.0"
breaking = true
changes = ["Rename status to state", "Remove error", "Bump schema_version to 2.0.0"]
rename = [{ from = "status", to = "run.state" }]
overwrite = [{ path = "meta.format", value = 2 }]
remove = ["error"]
copy = [{ from = "job_type", to = "run.kind", type = "string" }]
[step.inverse]
rename = [{ from = "run.state", to = "status" }]
restore = ["error", "meta.format"]
"#;

#[test]
fn a_breaking_step_can_be_undone() {
    let registry = registry(BREAKING).unwrap();
    let proofs = check_steps(&registry, &[]).unwrap();
    assert!(proofs.iter().all(|proof| proof.faults.is_empty()), "{proofs:?}");
    let old = with(with(manifest(), "error", json!("e")), "meta", json!({"format": 1, "other": true}));
    let forward = transformer(registry, TransformOptions::default());
    let (migrated, output) = migrated(&forward, &old);
    let check = |before: &Json| {
        let (from, to) = (migrated.from, migrated.to);
        check_inverse(forward.registry(), from, to, &bytes(before), &migrated.bytes, Mode::Strict)
    };
    assert_eq!(check(&old), Ok(()));
    assert!(check(&with(old.clone(), "status", json!("other"))).is_err(), "not its backup");
    assert_eq!(output["run"], json!({"state": "s", "kind": "t"}));
    assert_eq!(output["meta"], json!({"format": 2, "other": true}));
    assert_eq!((output.get("status"), output.get("error")), (None, None));
}

#[test]
fn steps_that_undo_each_other_are_undone_in_reverse_order() {
    let step = |from: &str, to: &str, rest: &str| {
        format!("[[step]]\nfrom = \"{from}\"\nto = \"{to}\"\nchanges = [\"x\"]\nbreaking = true\n{rest}\n")
    };
    let declared = [
        step(
            "1.2.0",
            "2.0.0",
            "add = [{ path = \"a.b\", value = 1, type = \"integer\" }]\nrename = [{ from = \"status\", to = \"state\" }]\n[step.inverse]\nrename = [{ from = \"state\", to = \"status\" }]",
        ),
        step(
            "2.0.0",
            "3.0.0",
            "overwrite = [{ path = \"state\", value = \"x\" }]\nremove = [\"a.b\"]\n[step.inverse]\nrestore = [\"state\", \"a.b\"]",
        ),
        step(
            "3.0.0",
            "4.0.0",
            "rename = [{ from = \"state\", to = \"status\" }]\n[step.inverse]\nrename = [{ from = \"status\", to = \"state\" }]",
        ),
    ];
    let registry = registry(&declared.concat()).unwrap();
    let (_, output) = migrated(&transformer(registry, TransformOptions::default()), &manifest());
    assert_eq!((&output["status"], &output["a"]), (&json!("x"), &json!({})));
}

#[test]
fn an_inputs_hash_is_derived_only_from_files_that_match_the_manifest() {
    let declared = "[[step]]\nfrom = \"1.2.0\"\nto = \"1.3.0\"\nchanges = [\"Set inputs_hash\"]\n\
                    inputs_hash = \"inputs_hash\"";
    let deriving = transformer(registry(declared).unwrap(), TransformOptions::default());
    let snapshot = |digest: &str| json!({"brief": {"path": "inputs/b.json", "sha256": digest, "bytes": 2}});
    let digest = Checksum::of_bytes(b"{}").to_string();
    let good = with(manifest(), "input_snapshots", snapshot(&digest));
    let Verdict::Migrated(migrated) = deriving.transform(&bytes(&good), &Beside) else { panic!() };
    let output: Json = serde_json::from_slice(&migrated.bytes).unwrap();
    let expected = Checksum::of_bytes(format!("{{\"brief\":\"{digest}\"}}").as_bytes()).to_string();
    assert_eq!(output["inputs_hash"], expected);
    assert_eq!(refused(&deriving, &good).code, ErrorCode::Snapshot, "the file is missing");
    let bad = with(manifest(), "input_snapshots", snapshot(&digest.replace('4', "5")));
    let Verdict::Refused(refusal) = deriving.transform(&bytes(&bad), &Beside) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::Snapshot);
}

#[test]
fn a_step_file_with_a_fault_is_refused_as_a_whole() {
    let step = |rest: &str| format!("[[step]]\nfrom = \"1.2.0\"\nto = \"1.3.0\"\nchanges = [\"x\"]\n{rest}");
    let other = |from: &str, to: &str, rest: &str| {
        format!("[[step]]\nfrom = \"{from}\"\nto = \"{to}\"\nchanges = [\"x\"]\n{rest}\n")
    };
    for (text, reason) in [
        ("".replace('x', "") + "# nothing", "no [[step]]"),
        (step("unknown = 1"), "unknown field"),
        (other("1.2", "1.3.0", ""), "not a version"),
        (other("1.3.0", "1.2.0", ""), "does not lead to a higher version"),
        (other("1.0.0", "1.2.0", ""), "two steps lead from 1.0.0 to 1.2.0"),
        (other("3.0.0", "3.1.0", ""), "no steps lead from 1.0.0 to 3.0.0"),
        (step("add = [{ path = \"a\", value = 1, type = \"string\" }]"), "its value is not string"),
        (step("add = [{ path = \"a\", value = 1, json = \"1\", type = \"integer\" }]"), "either `value` or `json`"),
        (
            step("add = [{ path = \"a\", json = \"{\", type = \"object\" }]"),
            "expected the name of a member at offset 1",
        ),
        (step("add = [{ path = \"a..b\", value = 1, type = \"integer\" }]"), "1 to 32 names"),
        (step("add = [{ path = \"run_id\", value = \"x\", type = \"string\" }]"), "no step may change"),
        (
            step(
                "add = [{ path = \"a\", value = 1, type = \"integer\" }, { path = \"a.b\", value = 1, type = \"integer\" }]",
            ),
            "two operations change",
        ),
        (step("remove = [\"error\"]"), "need `breaking = true`"),
        (step("breaking = true\nremove = [\"error\"]"), "new major version: at least 2.0.0"),
        (other("1.2.0", "2.0.0", "breaking = true\nremove = [\"error\"]"), "`inverse.restore` must name"),
        (
            other("1.2.0", "2.0.0", "breaking = true\nrename = [{ from = \"status\", to = \"state\" }]"),
            "`inverse.rename` must name",
        ),
        (step("schema = \"s.json\""), "schema s.json"),
        (
            PRIORITY.to_owned() + &other("1.0.0", "1.3.0", "add = [{ path = \"x\", value = 1, type = \"integer\" }]"),
            "give a different",
        ),
    ] {
        let error = registry(&text).map(|_| ()).unwrap_err();
        assert!(error.contains(reason), "{text}\n{error}");
    }
}

/// The digest is part of the plan of a run and stands in the ledger. It is computed from the `Debug` text of the steps, so a
/// renamed variant changes it unnoticed, and no run that a former haul began could be resumed.
#[test]
fn the_digest_of_the_built_in_steps_is_stable() {
    let digest = blake3::Hash::from_bytes(Registry::built_in().digest());
    assert_eq!(digest.to_hex().as_str(), "6585a8e9bdf5d590e2a1ea5963958aa3aa545d9eefe99c39b809ca97753ca429");
}

#[test]
fn the_digest_of_a_registry_depends_on_its_definitions() {
    let digest = |text: &str| registry(text).unwrap().digest();
    assert_eq!(digest(PRIORITY), digest(&format!("# a comment\n{PRIORITY}")));
    assert_ne!(digest(PRIORITY), digest(&PRIORITY.replace("value = \"normal\"", "value = \"low\"")));
    assert_ne!(digest(PRIORITY), digest(""));
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON", |value| value.is_finite()).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ]
}

fn json_value() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn odd_manifest() -> impl Strategy<Value = Json> {
    (prop::collection::btree_map("x_[a-z]{0,6}", json_value(), 0..6), any::<bool>()).prop_map(|(extra, is_newer)| {
        let mut made = manifest();
        extra.into_iter().for_each(|(name, value)| made[name] = value);
        if is_newer {
            made["schema_version"] = json!("1.1.0");
            made["input_snapshots"] = json!({});
            made["inputs_hash"] = json!(null);
        }
        made
    })
}

fn parse(bytes: &[u8]) -> Document<'_> {
    Document::parse(bytes, &ReadOptions::default()).unwrap()
}

fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_canonical(&mut out, parse(bytes).root());
    out
}

proptest! {
    #[test]
    fn migration_adds_and_changes_nothing_else(manifest in odd_manifest()) {
        let (_, mut output) = migrated(&built_in(), &manifest);
        let members = output.as_object_mut().unwrap();
        for (name, value) in manifest.as_object().unwrap() {
            let is_same = members.remove(name).as_ref() == Some(value);
            prop_assert!(is_same || name == "schema_version");
        }
        members.retain(|name, _| !["input_snapshots", "inputs_hash", "chain_metadata", "migration_history"].contains(&&**name));
        prop_assert!(members.is_empty());
    }

    #[test]
    fn a_second_migration_and_a_chain_change_nothing(manifest in odd_manifest()) {
        let (direct, _) = migrated(&built_in(), &manifest);
        prop_assert!(matches!(built_in().transform(&direct.bytes, &NoInputs), Verdict::Current(_)));
        let registry = prove(Arc::new(Registry::built_in())).unwrap();
        let half = Transformer::new(registry, Version::new(1, 1, 0), NOW.parse().unwrap(), TransformOptions::default());
        let chained = match half.unwrap().transform(&bytes(&manifest), &NoInputs) {
            Verdict::Migrated(half) => built_in().transform(&half.bytes, &NoInputs),
            _ => built_in().transform(&bytes(&manifest), &NoInputs),
        };
        let Verdict::Migrated(chained) = chained else { panic!("{chained:?}") };
        let difference = first_difference(parse(&direct.bytes).root(), parse(&chained.bytes).root(), Numbers::Lexemes);
        prop_assert!(difference.is_none_or(|name| name == "migration_history"));
    }

    #[test]
    fn checksums_depend_on_values_only(value in json_value()) {
        let compact = serde_json::to_vec(&value).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(canonical(&compact), canonical(&pretty));
        prop_assert_eq!(canonical(&canonical(&compact)), canonical(&compact));
    }

    #[test]
    fn documents_are_parsed_as_by_another_parser(value in json_value()) {
        let text = serde_json::to_vec(&value).unwrap();
        let own: Json = serde_json::from_slice(&canonical(&text)).unwrap();
        prop_assert_eq!(own, value);
    }

    #[test]
    fn any_bytes_get_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[\\[\\]{}:,\"\\\\eE0-9.+\\-untrfals ]{0,40}") {
        for input in [&bytes[..], text.as_bytes()] {
            let verdict = built_in().transform(input, &NoInputs);
            prop_assert!(!matches!(verdict, Verdict::Migrated(_) | Verdict::Current(_)));
            let own = Document::parse(input, &ReadOptions { last_member_wins: true, ..ReadOptions::default() });
            let other = serde_json::from_slice::<Json>(input);
            if let (Ok(own), Ok(other)) = (&own, &other) {
                let text = serde_json::to_vec(other).unwrap();
                prop_assert!(is_equal(own.root(), parse(&text).root(), Numbers::Values));
            }
            let is_out_of_range = other.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
            prop_assert!(own.is_ok() == other.is_ok() || is_out_of_range, "{:?} {:?}", own.err(), other.err());
        }
    }
}
