//! Spaces that Engram wrote, migrated: every node against an independent checker, every edge case as prescribed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::conformance::{conformance, run_checker};
use crate::support::space::Space;
use haul::migration::{Error, Severity, Stage};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Corruption, Duplicates, OutOfRange, Policies, Updates};
use serde_json::Value;

fn with(policies: Policies) -> MigrateOptions {
    MigrateOptions { policies, ..MigrateOptions::default() }
}

/// A migrated copy of an edge case under these policies.
fn edge(case: &str, policies: Policies) -> (Space, Result<(), Error>) {
    let space = Space::copy_of(&conformance("engram").join("edge").join(case).join("default"));
    let result = space.migrate(&with(policies)).map(|end| assert_eq!(end.stage, Stage::Published));
    (space, result)
}

fn live(case: &str, policies: Policies) -> Vec<String> {
    let (space, result) = edge(case, policies);
    result.expect("a published store");
    space.live_ids()
}

fn engram_would_keep(case: &str) -> Vec<String> {
    let path = conformance("engram").join("edge/observed.json");
    let observed: Value = serde_json::from_slice(&std::fs::read(path).expect("observed.json")).expect("JSON");
    let mut ids: Vec<_> = observed[case]["surviving"]
        .as_array()
        .expect("surviving ids")
        .iter()
        .map(|pair| pair[0].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
#[ignore = "needs the conformance data"]
fn accepted_edge_cases_end_as_on_engram() {
    for case in [
        "dup_ids_one_file",
        "delete_entries",
        "delete_then_seq_reset",
        "memory_update_ignored",
        "header_pad_nonzero",
        "torn_header_tail",
        "zero_tail",
        "empty_file",
        "other_names",
        "nan_embedding",
    ] {
        let ids = live(case, Policies::default());
        assert_eq!(ids, engram_would_keep(case), "{case}");
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn duplicates_are_counted_and_listed() {
    let (space, result) = edge("dup_ids_one_file", Policies::default());
    result.unwrap();
    let report = space.report();
    assert_eq!(report["counts"]["duplicate_different"], 1);
    assert_eq!(report["counts"]["migrated"], 2);
    assert_eq!(space.findings(Severity::Note).len(), 1);
}

#[test]
#[ignore = "needs the conformance data"]
fn deletions_skip_two_records() {
    let (space, result) = edge("delete_entries", Policies::default());
    result.unwrap();
    let report = space.report();
    assert_eq!(report["counts"]["skipped_deleted"], 1);
    assert_eq!(report["counts"]["skipped_delete_entry"], 1);
}

#[test]
#[ignore = "needs the conformance data"]
fn latest_order_applies_the_later_deletion() {
    let policies = Policies { duplicates: Duplicates::Latest, ..Policies::default() };
    let ids = live("delete_then_seq_reset", policies);
    assert_eq!(ids, ["b"]);
}

#[test]
#[ignore = "needs the conformance data"]
fn updates_can_be_imported() {
    let policies = Policies { updates: Updates::Import, ..Policies::default() };
    let ids = live("memory_update_ignored", policies);
    assert_eq!(ids, ["a", "m"]);
}

#[test]
#[ignore = "needs the conformance data"]
fn a_damaged_header_fails_skips_or_resyncs() {
    let (space, result) = edge("header_bitflip", Policies::default());
    assert_eq!(result.unwrap_err().exit_code(), 65);
    assert_eq!(space.findings(Severity::Fatal).len(), 1);
    assert!(!space.root().join("CURRENT").exists());

    let skip = Policies { corruption: Corruption::Skip, ..Policies::default() };
    let (space, result) = edge("header_bitflip", skip);
    result.unwrap();
    assert_eq!(space.live_ids(), ["a"]);
    assert_eq!(space.report()["source_bytes"]["damaged"], 6560);

    let resync = Policies { corruption: Corruption::Resync, ..Policies::default() };
    let (space, result) = edge("header_bitflip", resync);
    result.unwrap();
    assert_eq!(space.live_ids(), ["a", "c"]);
    let found = space.findings(Severity::Refused);
    assert_eq!((found[0].1, found[0].2), (3278, 3282));
}

#[test]
#[ignore = "needs the conformance data"]
fn tails_are_accepted_and_reported() {
    for (case, bytes, key) in [("torn_header_tail", 40, "torn_tail"), ("zero_tail", 4096, "zero_tail")] {
        let (space, result) = edge(case, Policies::default());
        result.unwrap();
        assert_eq!(space.report()["source_bytes"][key], bytes, "{case}");
        assert_eq!(space.findings(Severity::Note)[0].1, 3278, "{case}");
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn other_names_are_listed() {
    let (space, result) = edge("other_names", Policies::default());
    result.unwrap();
    assert_eq!(space.live_ids(), ["a", "z"]);
    assert_eq!(space.report()["details"]["not_read"].as_array().unwrap().len(), 2);
}

#[test]
#[ignore = "needs the conformance data"]
fn a_nan_confidence_fails_is_skipped_or_kept() {
    let (space, result) = edge("nan_confidence", Policies::default());
    assert_eq!(result.unwrap_err().exit_code(), 65);
    assert!(!space.root().join("CURRENT").exists());

    let skip = Policies { out_of_range: OutOfRange::Skip, ..Policies::default() };
    let (space, result) = edge("nan_confidence", skip);
    result.unwrap();
    assert_eq!(space.live_ids(), ["a"]);
    assert_eq!(space.report()["counts"]["refused_out_of_range"], 1);

    let keep = Policies { out_of_range: OutOfRange::Keep, ..Policies::default() };
    let (space, result) = edge("nan_confidence", keep);
    result.unwrap();
    let store = space.store();
    let kept: Vec<_> = store.iter().map(|node| node.unwrap()).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().any(|node| node.node().row().confidence.get().to_bits() == 0x7fc0_0000));
}

mod python {
    use super::*;

    /// What the independent checker expects of a log, by node id.
    fn expected_nodes(wal: &Path) -> BTreeMap<String, Value> {
        let checker = conformance("engram").join("decode_wal.py");
        let output = run_checker(&checker, &["nodes".as_ref(), wal.as_os_str()]);
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        let nodes = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        nodes.map(|node| (node["id"].as_str().expect("an id").to_owned(), node)).collect()
    }

    #[test]
    #[ignore = "needs the conformance data and python3"]
    fn every_node_of_the_thousand_is_what_the_checker_expects() {
        let engram = conformance("engram");
        let space = Space::copy_of(&engram.join("space-1k/default"));
        space.migrate(&MigrateOptions::default()).expect("a published store");
        let mut expected = expected_nodes(&space.wal());
        assert_eq!(expected.len(), 1000);
        for found in space.store().iter() {
            let found = found.expect("a sound block");
            let node = found.node();
            let want = expected.remove(&found.id.to_string()).expect("a node of the checker");
            let row = node.row();
            assert_eq!(node.episode_id(), want["episode_id"]);
            assert_eq!(format!("{:08x}", row.strength.get().to_bits()), want["strength"]);
            assert_eq!(format!("{:08x}", row.activation.get().to_bits()), want["activation"]);
            assert_eq!(format!("{:08x}", row.confidence.get().to_bits()), want["confidence"]);
            assert_eq!(format!("{:08x}", row.consolidation_score.get().to_bits()), want["consolidation_score"]);
            let embedding: Vec<u8> = node.embedding().iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(format!("{:08x}", crc32c::crc32c(&embedding)), want["embedding_crc32c"]);
            assert_eq!(node.created_at().to_writer_form(), want["created_at"]);
            assert_eq!(node.last_access().to_writer_form(), want["last_access"]);
        }
        assert!(expected.is_empty(), "{} nodes are missing", expected.len());
    }
}
