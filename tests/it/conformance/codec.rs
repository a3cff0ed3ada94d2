//! The codec against values, encodings and outcomes observed on the original engine.

use std::fs;

use crate::support::conformance::conformance;
use haul::space::log::bincode_reader::{Cursor, DecodeError, RangeCheck, embedding_bytes};
use haul::space::log::decay::DecayFunction;
use haul::space::log::episode::{self, EpisodeView};
use haul::space::log::memory::{Memory, MemoryView};
use haul::space::log::provenance::ProvenanceView;
use haul::space::log::timestamp::Timestamp;
use haul::space::log::wal::{EntryKind, HEADER_BYTES, WalHeader, is_wal_name};
use haul::space::store::node::{DualMemoryNode, LiveMemory, MemoryNodeType, memory_after_replay};
use serde_json::Value;

fn golden(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(conformance("engram").join("golden").join(name)).expect("a golden file");
    serde_json::from_str(&text).expect("a list of cases")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn option_text(value: &Value) -> Option<&str> {
    if value.is_null() { None } else { Some(text(value)) }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn bits(value: &Value) -> u32 {
    u32::from_str_radix(text(&value["bits"]), 16).expect("a bit pattern")
}

/// The bits of an f32 that the file gives as a decimal number.
fn rounded(value: &Value) -> u32 {
    (value.as_f64().expect("a number") as f32).to_bits()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).expect("hexadecimal digits");
    digits.as_chunks::<2>().0.iter().map(byte).collect()
}

fn crc_of(bytes: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(bytes))
}

fn assert_same_provenance(name: &str, expected: &Value, found: Option<ProvenanceView<'_>>) {
    let Some(found) = found else {
        assert!(expected.is_null(), "{name}: provenance");
        return;
    };
    let model = &expected["model"];
    assert_eq!(text(&model["name"]), found.model_name, "{name}");
    assert_eq!(text(&model["version"]), found.model_version, "{name}");
    assert_eq!(number(&model["dimension"]), found.dimension, "{name}");
    assert_eq!(option_text(&expected["language"]), found.language, "{name}");
    assert_eq!(number(&expected["created_at"]), found.created_at_secs, "{name}");
    let quality = &expected["quality_score"];
    assert_eq!((!quality.is_null()).then(|| rounded(quality)), found.quality_score_bits, "{name}");
    assert_same_map(name, &expected["metadata"], found.metadata.iter());
}

fn assert_same_map<'a>(name: &str, expected: &Value, found: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    let mut expected: Vec<_> =
        expected.as_object().expect("a map").iter().map(|(key, value)| (key.as_str(), text(value))).collect();
    expected.sort_unstable();
    assert_eq!(expected, found, "{name}");
}

/// Compares what does not depend on the moment of Engram's conversion.
fn assert_same_node(name: &str, expected: &Value, found: &DualMemoryNode) {
    if found.id.get_version_num() != 5 || haul::space::log::node_id::spells_uuid(episode_id(found)) {
        assert_eq!(text(&expected["id"]), found.id.to_string(), "{name}");
    }
    assert_eq!(bits(&expected["activation"]), found.activation.to_bits(), "{name}: activation");
    assert_eq!(bits(&expected["confidence"]), found.confidence.to_bits(), "{name}: confidence");
    assert_eq!(text(&expected["embedding_crc32c"]), crc_of(&*embedding_bytes(&found.embedding)), "{name}: embedding");
    let MemoryNodeType::Episode { episode_id, strength, consolidation_score } = &found.node_type else {
        panic!("{name}: not an episode");
    };
    let node_type = &expected["node_type"];
    assert_eq!(text(&node_type["variant"]), "Episode", "{name}");
    assert_eq!(text(&node_type["episode_id"]), episode_id, "{name}");
    assert_eq!(bits(&node_type["strength"]), strength.to_bits(), "{name}: strength");
    assert_eq!(bits(&node_type["consolidation_score"]), consolidation_score.to_bits(), "{name}: score");
    assert_same_type(name, &hex(&expected["node_type_encoded"]["bincode_hex"]), &found.node_type);
}

fn episode_id(node: &DualMemoryNode) -> &str {
    match &node.node_type {
        MemoryNodeType::Episode { episode_id, .. } => episode_id,
        MemoryNodeType::Concept { .. } => panic!("migration makes episodes only"),
    }
}

fn assert_same_type(name: &str, encoded: &[u8], node_type: &MemoryNodeType) {
    assert_eq!(node_type.encode(), encoded, "{name}: node type");
    let mut cursor = Cursor::new(encoded);
    assert_eq!(MemoryNodeType::decode(&mut cursor).as_ref(), Ok(node_type), "{name}: node type");
    assert_eq!(cursor.left(), 0, "{name}: node type");
}

/// Compares a memory, its times only where `times` says so.
fn assert_same_memory(name: &str, expected: &Value, found: &LiveMemory, times: bool) {
    let LiveMemory { memory, activation } = found;
    assert_eq!(text(&expected["id"]), memory.id, "{name}");
    assert_eq!(bits(&expected["activation_atomic"]), activation.to_bits(), "{name}: activation");
    assert_eq!(bits(&expected["activation_value"]), memory.activation_value_bits, "{name}: activation value");
    assert_eq!(bits(&expected["confidence"]), memory.confidence_bits, "{name}: confidence");
    assert_eq!(bits(&expected["decay_rate"]), memory.decay_rate_bits, "{name}: decay rate");
    assert_eq!(number(&expected["access_count"]), memory.access_count, "{name}: access count");
    assert_eq!(option_text(&expected["content"]), memory.content.as_deref(), "{name}: content");
    assert_eq!(text(&expected["embedding_crc32c"]), crc_of(&*memory.embedding), "{name}: embedding");
    if times {
        assert_eq!(text(&expected["created_at"]), memory.created_at, "{name}: created");
        assert_eq!(text(&expected["last_access"]), memory.last_access, "{name}: accessed");
    }
    let payload = memory.encode();
    let view = MemoryView::parse(&payload, RangeCheck::Keep).expect("own encoding");
    assert_same_provenance(name, &expected["embedding_provenance"], view.provenance);
}

#[test]
#[ignore = "needs the conformance data"]
fn memories_become_the_same_nodes() {
    let cases = golden("memory_to_dual.json");
    assert_eq!(cases.len(), 59);
    for case in &cases {
        let name = text(&case["name"]);
        let input = &case["input"];
        let payload = hex(&case["memory_bincode_hex"]);
        let accepted = case["memory_bincode_decode"]["ok"].as_bool().unwrap();
        let strict = MemoryView::parse(&payload, RangeCheck::Enforce);
        assert_eq!(strict.is_ok(), accepted, "{name}");
        assert!(strict.err().is_none_or(|error| error.is_out_of_range()), "{name}");

        let view = MemoryView::parse(&payload, RangeCheck::Keep).expect("sound in structure");
        assert_eq!(view.used_len_bytes, payload.len(), "{name}");
        assert_eq!(view.to_owned().encode(), payload, "{name}");
        assert_eq!(&hex(&input["embedding_le_hex"]), view.embedding, "{name}");
        let live =
            LiveMemory { memory: view.to_owned(), activation: f32::from_bits(bits(&input["activation_atomic"])) };
        assert_same_memory(name, input, &live, true);

        let activation = f32::from_bits(bits(&input["activation_atomic"]));
        let node = DualMemoryNode::from_memory_with_activation(&view, activation);
        assert_same_node(name, &case["output"], &node);
        assert_eq!(
            haul::space::log::node_id::spells_uuid(view.id),
            case["id_deterministic"].as_bool().unwrap(),
            "{name}"
        );
        assert_same_memory(name, &case["back_to_memory"], &node.to_memory(), false);
        assert_eq!((node.created_at, node.last_access), (view.created_at.time, view.last_access.time), "{name}");

        let decoded = DualMemoryNode::from_memory(&view);
        if accepted {
            let after = &case["memory_bincode_decode"]["dual_activation_after_roundtrip"];
            assert_eq!(bits(after), decoded.activation.to_bits(), "{name}");
            let live = LiveMemory { memory: view.to_owned(), activation: 0.0 };
            assert_same_memory(name, &case["memory_bincode_decode"]["memory"], &live, true);
        }
    }
}

fn assert_same_decay(name: &str, expected: &Value, found: Option<DecayFunction>) {
    let Some(found) = found else {
        assert!(expected.is_null(), "{name}: decay");
        return;
    };
    let (variant, fields) = expected.as_object().and_then(|map| map.iter().next()).expect("one variant");
    let expected = match variant.as_str() {
        "Exponential" => DecayFunction::Exponential { tau_hours_bits: rounded(&fields["tau_hours"]) },
        "PowerLaw" => DecayFunction::PowerLaw { beta_bits: rounded(&fields["beta"]) },
        "TwoComponent" => {
            DecayFunction::TwoComponent { consolidation_threshold: number(&fields["consolidation_threshold"]) }
        }
        "Hybrid" => DecayFunction::Hybrid {
            short_term_tau_bits: rounded(&fields["short_term_tau"]),
            long_term_beta_bits: rounded(&fields["long_term_beta"]),
            transition_point: number(&fields["transition_point"]),
        },
        other => panic!("{name}: decay function {other}"),
    };
    assert_eq!(expected, found, "{name}: decay");
}

fn assert_same_episode(name: &str, expected: &Value, found: &EpisodeView<'_>) {
    assert_eq!(text(&expected["id"]), found.id, "{name}");
    assert_eq!(text(&expected["when"]), found.when.text, "{name}");
    assert_eq!(text(&expected["last_recall"]), found.last_recall.text, "{name}");
    assert_eq!(text(&expected["what"]), found.what, "{name}");
    assert_eq!(option_text(&expected["where_location"]), found.where_location, "{name}");
    let who = expected["who"].as_array().map(|who| who.iter().map(text).collect::<Vec<_>>());
    assert_eq!(who, found.who.map(|who| who.iter().collect()), "{name}");
    assert_eq!(number(&expected["recall_count"]), u64::from(found.recall_count), "{name}");
    for (field, found) in [
        ("encoding_confidence", found.encoding_confidence_bits),
        ("vividness_confidence", found.vividness_confidence_bits),
        ("reliability_confidence", found.reliability_confidence_bits),
        ("decay_rate", found.decay_rate_bits),
    ] {
        // JSON has no NaN.
        if !expected[field].is_null() {
            assert_eq!(rounded(&expected[field]), found, "{name}: {field}");
        }
    }
    assert_same_map(name, &expected["metadata"], found.metadata.iter());
    assert_same_decay(name, &expected["decay_function"], found.decay_function);
    assert_same_provenance(name, &expected["embedding_provenance"], found.provenance);
}

#[test]
#[ignore = "needs the conformance data"]
fn episodes_become_the_same_nodes() {
    let cases = golden("episode_to_dual.json");
    assert_eq!(cases.len(), 25);
    for case in &cases {
        let name = text(&case["name"]);
        let payload = hex(&case["episode_bincode_hex"]);
        let strict = EpisodeView::parse(&payload, RangeCheck::Enforce);
        assert_eq!(strict.is_ok(), text(&case["episode_bincode_decode"]) == "ok", "{name}");
        assert!(strict.err().is_none_or(|error| error.is_out_of_range()), "{name}");

        let view = EpisodeView::parse(&payload, RangeCheck::Keep).expect("sound in structure");
        assert_eq!(view.used_len_bytes as u64, number(&case["episode_bincode_len"]), "{name}");
        assert_eq!(view.to_owned().encode(), payload, "{name}");
        assert_eq!(text(&case["episode_embedding_crc32c"]), crc_of(view.embedding), "{name}");
        assert_same_episode(name, &case["episode_serde_json"], &view);

        let strength = f32::from_bits(bits(&case["strength_arg"]));
        let direct = DualMemoryNode::from_episode_with_strength(&view, strength);
        assert_same_node(name, &case["dual_from_episode"], &direct);
        let node = DualMemoryNode::from_episode(&view);
        assert_same_node(name, &case["dual_from_wal_recovery_memory"], &node);
        let after_replay = case.as_object().unwrap().iter().find(|(key, _)| key.starts_with("wal_recovery_memory"));
        let (_, after_replay) = after_replay.expect("the memory after replay");
        assert_same_memory(name, after_replay, &memory_after_replay(&view), true);
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn concepts_have_the_same_encoding() {
    let cases = golden("concepts.json");
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let name = text(&case["name"]);
        let made = case.get("dual");
        let (centroid_crc, encoded) = match made {
            Some(dual) => (&dual["node_type"]["centroid_crc32c"], &dual["node_type_encoded"]),
            None => (&case["centroid_crc32c"], &case["encoded"]),
        };
        let bytes = hex(&encoded["bincode_hex"]);
        let node_type = MemoryNodeType::decode(&mut Cursor::new(&bytes)).expect("an encoded node type");
        assert_same_type(name, &bytes, &node_type);
        let MemoryNodeType::Concept { centroid, coherence, instance_count, formation_time } = &node_type else {
            panic!("{name}: not a concept");
        };
        assert_eq!(text(centroid_crc), crc_of(&*embedding_bytes(centroid)), "{name}");
        assert_eq!(text(&case["formation_time"]), formation_time.to_writer_form(), "{name}");
        let Some(dual) = made else { continue };
        assert_eq!(bits(&case["args"]["coherence"]), coherence.to_bits(), "{name}");
        assert_eq!(number(&dual["node_type"]["instance_count"]), u64::from(*instance_count), "{name}");

        let node = DualMemoryNode {
            id: text(&dual["id"]).parse().expect("a UUID"),
            embedding: centroid.clone(),
            activation: f32::from_bits(bits(&dual["activation"])),
            confidence: f32::from_bits(bits(&dual["confidence"])),
            last_access: *formation_time,
            created_at: *formation_time,
            node_type,
        };
        assert_eq!(hex(&case["args"]["embedding_le_hex"]), *embedding_bytes(&node.embedding), "{name}");
        assert_same_memory(name, &case["to_memory"], &node.to_memory(), true);
    }
}

/// The malformed encodings are described, not given, so they are made here from a golden episode and memory.
#[test]
#[ignore = "needs the conformance data"]
fn malformed_encodings_end_as_observed() {
    let cases = golden("decode_behaviour.json");
    let episodes = golden("episode_to_dual.json");
    let good = episodes.iter().map(|case| hex(&case["episode_bincode_hex"])).find(|payload| payload.len() == 3254);
    let good = good.expect("the episode that the cases were made from");
    let memory = Memory {
        id: "m".into(),
        embedding: Box::new([0; 3072]),
        activation_value_bits: 0,
        confidence_bits: 0,
        last_access: Timestamp::EPOCH.to_writer_form(),
        access_count: 0,
        created_at: Timestamp::EPOCH.to_writer_form(),
        decay_rate_bits: 0,
        content: None,
        provenance: None,
    };
    let episode = |payload: &[u8]| EpisodeView::parse(payload, RangeCheck::Enforce).map(|view| view.id.to_owned());
    let mut checked = 0;
    for case in &cases {
        let name = text(&case["name"]);
        let found: Result<String, DecodeError> = match (text(&case["codec"]), name) {
            ("bincode1 Episode", "good") => episode(&good),
            ("bincode1 Episode", "trailing_bytes") => episode(&[good.as_slice(), &[1, 2]].concat()),
            ("bincode1 Episode", "truncated_by_1") => episode(&good[..good.len() - 1]),
            ("bincode1 Episode", "invalid_utf8_in_id") => {
                let mut payload = good.clone();
                payload[8] = 0xFF;
                episode(&payload)
            }
            ("bincode1 Episode", "absurd_id_length") => {
                let mut payload = good.clone();
                payload[..8].copy_from_slice(&u64::MAX.to_le_bytes());
                episode(&payload)
            }
            ("bincode1 Episode", "empty") => episode(&[]),
            ("bincode1 Memory", "memory_bincode_missing_last_option_byte") => {
                let payload = memory.encode();
                MemoryView::parse(&payload[..payload.len() - 1], RangeCheck::Enforce).map(|view| view.id.to_owned())
            }
            // haul reads no JSON of these types.
            ("serde_json Memory", _) => continue,
            other => panic!("unknown case {other:?}"),
        };
        match (text(&case["result"]).strip_prefix("ok id="), found) {
            (Some(expected), Ok(found)) => assert_eq!(expected, found, "{name}"),
            (None, Err(error)) => assert!(!error.is_out_of_range(), "{name}"),
            (expected, found) => panic!("{name}: expected {expected:?}, found {found:?}"),
        }
        checked += 1;
    }
    assert_eq!(checked, 7);
}

/// Every record of a log that is sound from end to end.
fn records(log: &[u8]) -> Vec<(WalHeader, &[u8])> {
    let mut records = Vec::new();
    let mut rest = log;
    while let Some((head, tail)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let header = WalHeader::parse(head).expect("a sound header");
        assert_eq!(header.encode(), *head);
        let (payload, tail) = tail.split_at(header.payload_len_bytes as usize);
        assert!(header.payload_matches(payload));
        records.push((header, payload));
        rest = tail;
    }
    assert!(rest.is_empty());
    records
}

#[test]
#[ignore = "needs the conformance data"]
fn a_real_log_is_rebuilt_byte_for_byte() {
    let engram = conformance("engram");
    let mut found = 0;
    let mut uuids = 0;
    for entry in fs::read_dir(engram.join("space-1k/default/wal")).expect("the log's directory") {
        let entry = entry.unwrap();
        assert!(is_wal_name(&entry.file_name()));
        let log = fs::read(entry.path()).unwrap();
        for (header, payload) in records(&log) {
            assert_eq!((header.sequence, header.kind(), header.has_extra_bytes()), (found, EntryKind::Store, false));
            let view = EpisodeView::parse(payload, RangeCheck::Enforce).expect("a sound episode");
            assert!(!(view.has_repeated_key() || view.has_non_finite_embedding() || view.has_foreign_timestamp()));
            assert_eq!(view.to_owned().encode(), payload, "{}", view.id);
            assert!(episode::same_fields(&view, &view));
            assert_eq!(view.when.time.to_writer_form(), view.when.text);
            let node = DualMemoryNode::from_episode(&view);
            assert_eq!(node.activation.to_bits(), view.encoding_confidence_bits);
            uuids += u32::from(haul::space::log::node_id::spells_uuid(view.id));
            found += 1;
        }
    }
    assert_eq!((found, uuids), (1_000, 333));
}
