//! Nodes taken out of a space again: exported as a log, or looked up one by one in either format.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::read_only::ReadOnly;
use crate::support::space::{DELETE, STORE, Space, episode, episode_about, records};
use crate::support::space_runs::{UPDATE, disk, eager, memory};
use haul::durable::{CrashFault, Disk, InjectedFault, ReaderKind, SimulatedDisk};
use haul::migration::{Error, exit, pointer};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::export::{ExportEnd, export};
use haul::space::generate::samples;
use haul::space::get::get;
use haul::space::log::decay::DecayFunction;
use haul::space::log::node_id::{node_id, uuid_v5_of};
use haul::space::log::provenance::Provenance;
use haul::space::log::wal::{HEADER_BYTES, WalHeader, encode_record, is_wal_name};
use haul::space::migrate::migrate;
use haul::space::options::MigrateOptions;
use haul::space::policy::{Collisions, Deletes, Duplicates, OutOfRange, Policies, Undecodable, Updates};
use haul::space::rollback::rollback;
use haul::space::store::node_document::NodeDocument;

const SPELT: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn export_to(space: &Space, to: &Path) -> Result<ExportEnd, Error> {
    with(|control| export(disk(), &space.paths(), None, to, control))
}

/// Id, exact payload and header time of every live node.
fn nodes(store: &DualSpace) -> BTreeMap<uuid::Uuid, (Vec<u8>, u64)> {
    let found = store.iter().map(|found| {
        let found = found.unwrap();
        let node = found.node();
        (found.id, (node.payload(), node.row().wal_timestamp_ns.get()))
    });
    found.collect()
}

/// Headers and payloads of a log without gaps.
fn walk(mut bytes: &[u8]) -> Vec<(WalHeader, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = WalHeader::parse(bytes[..HEADER_BYTES].try_into().unwrap()).unwrap();
        let end = HEADER_BYTES + header.payload_len_bytes as usize;
        let payload = bytes[HEADER_BYTES..end].to_vec();
        assert!(header.payload_matches(&payload));
        found.push((header, payload));
        bytes = &bytes[end..];
    }
    found
}

fn importing() -> Policies {
    Policies { updates: Updates::Import, ..Policies::default() }
}

/// Everything that makes an export differ from the log: duplicates, deletions, an unknown type, trailing bytes, memories.
fn mixed() -> Space {
    let space = Space::new();
    let mut trailing = episode("trailing");
    trailing.extend_from_slice(b"more");
    let mut list: Vec<_> = (0..150).map(|at| (at, STORE, episode(&format!("e-{at:03}")))).collect();
    list.push((150, 77, episode("unknown-type")));
    list.push((151, STORE, trailing));
    space.log(1, &records(&list));
    space.log(
        2,
        &[
            encode_record(200, 5_000_000_000, STORE, &episode_about("e-001", "told again")),
            encode_record(201, 9_123_456_789, DELETE, b"e-002"),
            encode_record(202, 7_000_000_000, UPDATE, &memory("imported")),
            encode_record(203, 7_000_000_000, UPDATE, &memory("e-003")),
        ]
        .concat(),
    );
    space
}

// Export.

#[test]
fn an_export_migrates_to_the_same_nodes_and_payloads() {
    let space = mixed();
    let options = MigrateOptions { policies: importing(), ..eager() };
    space.migrate(&options).unwrap();
    let to = space.root().with_file_name("exported");
    let end = export_to(&space, &to).unwrap();
    assert_eq!((end.records, end.memories, end.store.as_str(), end.stopped), (152, 1, "dual-000001", false));
    assert_eq!(end.bytes, fs::metadata(&end.path).unwrap().len());

    let paths = haul::space::paths::SpacePaths::new(&to);
    let again = with(|control| migrate(disk(), &paths, &options, control)).unwrap();
    assert_eq!((again.records, again.counts.migrated), (152, 152));
    assert_eq!(nodes(&DualSpace::open(&to.join(again.details.store)).unwrap()), nodes(&space.store()));
}

#[test]
fn an_export_is_a_log_as_engram_reads_it() {
    let space = mixed();
    space.migrate(&MigrateOptions { policies: importing(), ..eager() }).unwrap();
    let (first, second) = (space.root().with_file_name("first"), space.root().with_file_name("second"));
    fs::create_dir(&second).unwrap();
    let end = export_to(&space, &first).unwrap();
    let log = fs::read(&end.path).unwrap();
    for (number, (header, payload)) in walk(&log).iter().enumerate() {
        assert_eq!(header.sequence, number as u64);
        assert_eq!(header.entry_type, if *payload == memory("imported") { UPDATE } else { STORE });
        assert!(!header.has_extra_bytes());
    }
    let name = end.path.file_name().unwrap();
    assert!(is_wal_name(name));
    assert_eq!(name, "wal-0000000000000007.log", "the second of the newest record");
    assert_eq!(fs::read_dir(first.join("wal")).unwrap().count(), 1);
    // An empty directory is as good as none, and equal stores give equal exports.
    let again = export_to(&space, &second).unwrap();
    assert_eq!((again.path.file_name(), fs::read(&again.path).unwrap()), (Some(name), log));
}

#[test]
fn a_space_without_nodes_gives_an_empty_log() {
    let space = Space::new();
    space.log(1, b"").migrate(&eager()).unwrap();
    let end = export_to(&space, &space.root().with_file_name("exported")).unwrap();
    assert_eq!((end.records, end.bytes, fs::read(&end.path).unwrap().len()), (0, 0, 0));
}

#[test]
fn what_is_there_is_not_written_over() {
    let space = mixed();
    space.migrate(&eager()).unwrap();
    let before = space.source();
    let full = space.root().with_file_name("full");
    fs::create_dir_all(full.join("wal")).unwrap();
    fs::write(full.join("wal/wal-1.log"), b"").unwrap();
    let file = space.root().with_file_name("file");
    fs::write(&file, b"").unwrap();
    for to in [&full, &file, &space.root(), &space.wal(), &space.wal().join("deep/er")] {
        let error = export_to(&space, to).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE, "{}: {error}", to.display());
    }
    assert_eq!(space.source(), before);
    assert_eq!(fs::read_dir(full.join("wal")).unwrap().count(), 1);
}

#[test]
fn a_stopped_export_leaves_nothing() {
    let space = mixed();
    space.migrate(&eager()).unwrap();
    let to = space.root().with_file_name("exported");
    let empty = space.root().with_file_name("empty");
    fs::create_dir(&empty).unwrap();
    for to in [&to, &empty] {
        let stop = StopToken::new();
        stop.request();
        let control = Control { stop: &stop, observer: &Silent };
        assert!(export(disk(), &space.paths(), None, to, &control).unwrap().stopped);
    }
    assert!(!to.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn what_others_have_put_into_the_target_is_never_removed() {
    let space = mixed();
    space.migrate(&eager()).unwrap();
    let to = space.root().with_file_name("exported");
    let temporary = to.join("wal/.export.tmp");
    fs::create_dir_all(&temporary).unwrap();
    fs::write(temporary.join("mine"), b"precious").unwrap();
    assert_eq!(export_to(&space, &to).unwrap_err().exit_code(), exit::USAGE);
    assert_eq!(fs::read(temporary.join("mine")).unwrap(), b"precious");

    fs::remove_dir_all(&temporary).unwrap();
    fs::write(&temporary, b"precious").unwrap();
    assert_eq!(export_to(&space, &to).unwrap_err().exit_code(), exit::USAGE);
    assert_eq!(fs::read(&temporary).unwrap(), b"precious");

    // An export that was killed leaves the start of a log.
    fs::write(&temporary, encode_record(1, 1, STORE, b"x")).unwrap();
    export_to(&space, &to).unwrap();
    assert!(!temporary.exists());

    // One that fails removes what it has made, and no directory that was there before.
    let before = space.root().with_file_name("before");
    fs::create_dir_all(before.join("wal")).unwrap();
    fs::write(space.root().join("dual-000001/segment-000000.dual"), b"").unwrap();
    assert!(export_to(&space, &before).is_err());
    assert_eq!(fs::read_dir(before.join("wal")).unwrap().count(), 0);
}

#[test]
fn a_damaged_block_is_not_exported() {
    let space = mixed();
    space.migrate(&eager()).unwrap();
    let segment = space.root().join("dual-000001/segment-000000.dual");
    let mut bytes = fs::read(&segment).unwrap();
    // Within the matrix: nothing but the digest tells.
    bytes[4096 + 256 + 160 * 200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let to = space.root().with_file_name("exported");
    assert_eq!(export_to(&space, &to).unwrap_err().exit_code(), exit::BAD_DATA);
    assert!(!to.exists());
}

fn simulated(space: &Space) -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[&space.root()]);
    with(|control| migrate(Arc::new(disk.clone()), &space.paths(), &eager(), control)).unwrap();
    disk
}

#[test]
fn an_export_survives_a_crash_or_a_failure_at_any_operation() {
    let space = Space::new();
    space.log(1, &records(&[(0, STORE, episode("a")), (1, STORE, episode("b"))]));
    let to = space.root().join("exported");
    let run = |disk: &SimulatedDisk| with(|control| export(Arc::new(disk.clone()), &space.paths(), None, &to, control));
    let logs = |disk: &SimulatedDisk| -> Vec<(PathBuf, Vec<u8>)> {
        let files = disk.snapshot().into_iter();
        files.filter(|(path, _)| path.starts_with(&to) && is_wal_name(path.file_name().unwrap())).collect()
    };
    let whole = simulated(&space);
    let first = whole.operations();
    run(&whole).unwrap();
    let expected = logs(&whole);
    for fault in CrashFault::ALL {
        for operations in first..=whole.operations() {
            let image = whole.crash_image(operations, fault);
            let found = logs(&image);
            assert!(found.is_empty() || found == expected, "{fault:?} after {operations}");
            if found.is_empty() {
                run(&image).unwrap();
                assert_eq!(logs(&image), expected, "{fault:?} after {operations}");
            }
        }
    }
    for n in 0..whole.operations() - first {
        let disk = simulated(&space);
        disk.fail_operation(n, InjectedFault::Enospc);
        if run(&disk).is_err() && logs(&disk).is_empty() {
            run(&disk).unwrap();
        }
        assert_eq!(logs(&disk), expected, "{n}");
    }
}

#[test]
fn a_store_is_exported_from_a_read_only_file_system() {
    // Only the space is read-only in earnest; here all is, so the export fails at its own target, not before.
    let space = mixed();
    space.migrate(&eager()).unwrap();
    let read_only: Arc<dyn Disk> = Arc::new(ReadOnly);
    let to = space.root().with_file_name("exported");
    let error = with(|control| export(read_only, &space.paths(), None, &to, control)).unwrap_err();
    assert!(format!("{error}").contains("exported"), "{error}");
}

// Get.

fn look_up(space: &Space, wanted: &str, policies: Policies) -> Option<NodeDocument> {
    get(disk(), &space.paths(), wanted, policies, ReaderKind::Auto).unwrap()
}

/// Asserts that the log and the store made from it give the same answers, and returns those of the log.
fn both(space: &Space, wanted: &[&str], policies: Policies) -> Vec<Option<NodeDocument>> {
    let before = space.source();
    let from_log: Vec<_> = wanted.iter().map(|id| look_up(space, id, policies)).collect();
    assert!(from_log.iter().flatten().all(|document| document.format == "wal"));
    assert_eq!(space.source(), before);
    space.migrate(&MigrateOptions { policies, ..eager() }).unwrap();
    for (id, from_log) in wanted.iter().zip(&from_log) {
        let mut from_store = look_up(space, id, policies);
        if let Some(document) = &mut from_store {
            assert_eq!(std::mem::replace(&mut document.format, "wal".into()), "dual-000001");
        }
        assert_eq!(&from_store, from_log, "{id}");
    }
    from_log
}

fn content(document: &Option<NodeDocument>) -> Option<&str> {
    document.as_ref().and_then(|document| document.content.as_deref())
}

#[test]
fn log_and_store_agree_on_every_kind_of_record() {
    let ids = ["e-000", "e-001", "e-002", "e-003", "imported", "unknown-type", "trailing", "missing", ""];
    for duplicates in [Duplicates::Engram, Duplicates::Latest] {
        for deletes in [Deletes::Apply, Deletes::Ignore] {
            let space = mixed();
            let found = both(&space, &ids, Policies { duplicates, deletes, ..importing() });
            let is_there: Vec<_> = found.iter().map(Option::is_some).collect();
            let deleted = deletes == Deletes::Ignore;
            assert_eq!(is_there, [true, true, deleted, true, true, true, true, false, false]);
            let told_again = duplicates == Duplicates::Latest;
            assert_eq!(content(&found[1]), Some(if told_again { "told again" } else { "e-001" }));
            assert_eq!((content(&found[4]), &found[4].as_ref().unwrap().episode), (None, &None));
            assert_eq!(found[5].as_ref().unwrap().source.entry_type, 77);
            assert_eq!(found[6].as_ref().unwrap().trailing_bytes, 4);
        }
    }
    assert!(look_up(&mixed(), "imported", Policies::default()).is_none(), "reported, not imported");
}

#[test]
fn the_order_of_stores_and_deletions_decides() {
    let space = Space::new();
    let store = |sequence, what| (sequence, STORE, episode_about("x", what));
    space.log(1, &records(&[store(5, "first written"), (6, DELETE, b"x".to_vec()), store(7, "third")]));
    space.log(2, &records(&[store(2, "lowest sequence"), (1, DELETE, b"x".to_vec())]));
    let found = both(&space, &["x"], Policies::default());
    assert_eq!(content(&found[0]), Some("third"), "stored, deleted, stored again");
}

#[test]
fn a_node_is_found_by_its_id_and_by_its_node_id() {
    let space = Space::new();
    let upper = SPELT.to_uppercase();
    space.log(1, &records(&[(0, STORE, episode(&upper)), (1, STORE, episode("named"))]));
    let named = node_id("named").to_string();
    let found = both(&space, &[&upper, SPELT, &named, "named", &format!("urn:uuid:{SPELT}")], Policies::default());
    let ids: Vec<_> = found.iter().map(|document| document.as_ref().unwrap().episode_id.as_str()).collect();
    assert_eq!(ids, [&upper, &upper, "named", "named", &upper]);
    assert_eq!(found[0].as_ref().unwrap().id, SPELT);
}

#[test]
fn rekeyed_nodes_are_found_under_their_new_id() {
    let space = Space::new();
    let upper = SPELT.to_uppercase();
    space.log(1, &records(&[(0, STORE, episode(SPELT)), (1, STORE, episode(&upper))]));
    let policies = Policies { collisions: Collisions::Rekey, ..Policies::default() };
    let rekeyed = uuid_v5_of(&upper).to_string();
    let unused = uuid_v5_of(SPELT).to_string();
    let found = both(&space, &[SPELT, &upper, &rekeyed, &unused], policies);
    let ids: Vec<_> = found
        .iter()
        .map(|document| document.as_ref().map(|node| (node.id.as_str(), node.episode_id.as_str())))
        .collect();
    let second = Some((rekeyed.as_str(), upper.as_str()));
    assert_eq!(ids, [Some((SPELT, SPELT)), second, second, None]);
}

#[test]
fn what_a_migration_leaves_out_is_not_found() {
    let space = Space::new();
    let mut odd = samples::episode("odd");
    odd.encoding_confidence_bits = f32::NAN.to_bits();
    let mut damaged = encode_record(1, 7, STORE, &episode("damaged"));
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let torn = encode_record(4, 7, STORE, &episode("torn"));
    let list = [
        encode_record(0, 7, STORE, &odd.encode()),
        damaged,
        encode_record(2, 7, STORE, &episode("cut")[..3000]),
        encode_record(3, 7, STORE, &episode("whole")),
        torn[..500].to_vec(),
    ];
    space.log(1, &list.concat());
    let policies = Policies {
        corruption: haul::space::policy::Corruption::Skip,
        undecodable: Undecodable::Skip,
        out_of_range: OutOfRange::Skip,
        ..Policies::default()
    };
    let found = both(&space, &["odd", "damaged", "cut", "whole", "torn"], policies);
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, false, true, false]);
    let space = Space::new();
    space.log(1, &list[0]);
    let kept = both(&space, &["odd"], Policies { out_of_range: OutOfRange::Keep, ..policies });
    let confidence = &kept[0].as_ref().unwrap().confidence;
    assert!(confidence.value.is_null() && confidence.bits == "7fc00000", "{confidence:?}");
}

#[test]
fn a_document_holds_everything_of_an_episode() {
    let mut episode = samples::episode("full");
    episode.when = "2024-1-2 3:4:5+02:00".into();
    episode.where_location = Some("here".into());
    episode.who = Some(Vec::new());
    episode.what = "what".into();
    episode.recall_count = 9;
    episode.encoding_confidence_bits = 0.5_f32.to_bits();
    episode.decay_function = Some(DecayFunction::Exponential { tau_hours_bits: 1.5_f32.to_bits() });
    episode.metadata = vec![("b".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())];
    episode.provenance = Some(Provenance {
        model_name: "model".into(),
        model_version: "1".into(),
        dimension: 768,
        language: None,
        created_at_secs: 12,
        quality_score_bits: Some(f32::INFINITY.to_bits()),
        metadata: Vec::new(),
    });
    let space = Space::new();
    space.log(
        1,
        &[
            encode_record(0, 1, STORE, &crate::support::space::episode("x")),
            encode_record(3, 99, STORE, &episode.encode()),
        ]
        .concat(),
    );
    let found = both(&space, &["full"], Policies::default()).remove(0).unwrap();
    let json = serde_json::to_value(&found).unwrap();
    let expected = serde_json::json!({
        "format": "wal", "id": node_id("full").to_string(), "node_type": "Episode", "episode_id": "full",
        "content": "what", "access_count": 9, "where": "here", "who": [], "trailing_bytes": 0,
        "strength": { "value": 0.5, "bits": "3f000000" }, "consolidation_score": { "value": 0.0, "bits": "00000000" },
        "created_at": { "at": "2024-01-02T01:04:05Z", "text": "2024-1-2 3:4:5+02:00" },
        "decay_function": { "function": "exponential", "tau_hours": { "value": 1.5, "bits": "3fc00000" } },
        "metadata": [["b", "1"], ["a", "2"], ["b", "3"]], "activation_value": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&json[key], value, "{key}");
    }
    assert_eq!(json["provenance"]["quality_score"], serde_json::json!({ "value": null, "bits": "7f800000" }));
    assert_eq!(json["source"]["sequence"], 3);
    assert_eq!(json["source"]["timestamp_ns"], 99);
    assert_eq!(json["source"]["file"], "wal-0000000000000001.log");
    assert_eq!(json["source"]["offset"], 64 + crate::support::space::episode("x").len());
    let embedding = &json["embedding"];
    assert_eq!((embedding["values"].as_u64(), embedding["first"].as_array().unwrap().len()), (Some(768), 8));
    let crc = format!("{:08x}", crc32c::crc32c(&episode.embedding[..]));
    assert_eq!(embedding["crc32c"], crc.as_str());
}

#[test]
fn after_a_rollback_the_log_is_read() {
    let space = mixed();
    space.migrate(&eager()).unwrap();
    assert_eq!(look_up(&space, "e-000", Policies::default()).unwrap().format, "dual-000001");
    with(|control| rollback(disk(), &space.paths(), &eager(), control)).unwrap();
    assert_eq!(look_up(&space, "e-000", Policies::default()).unwrap().format, "wal");
    assert_eq!(pointer::read(&*disk(), &space.root()).unwrap().as_deref(), Some("wal"));
}
