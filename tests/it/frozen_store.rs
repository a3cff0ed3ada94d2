//! Format version 1, frozen: `tests/fixtures/store-v1/` holds a log and the store that was made of it. The code must read
//! that store for ever, and make the same bytes of the same log as long as the version is 1.
//!
//! After a change of the format under a new version, make a fixture of its own beside this one:
//! `HAUL_WRITE_FIXTURES=1 cargo test --test it frozen_store`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::space::{DELETE, STORE, Space, records};
use crate::support::space_runs::{UPDATE, disk};
use haul::migration::{Error, Subset};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::generate::generated_episode;
use haul::space::generate::samples;
use haul::space::options::MigrateOptions;
use haul::space::policy::{Collisions, Policies, Updates};
use haul::space::store::layout::MarkKind;
use haul::space::store::manifest::Manifest;
use haul::space::verify::{Depth, verify_store};

const LOG_NAME: &str = "wal-0000000000000001.log";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1")
}

/// One of everything: plain and rich episodes, a duplicate, a deletion, an imported memory, a control record, two ids
/// with one node id, and a torn tail.
fn log() -> Vec<u8> {
    let mut twin = samples::episode("twin");
    let first_twin = twin.encode();
    twin.what = "said differently".to_owned();
    let mut memory = samples::memory("a memory");
    memory.content = Some("ذاكرة".to_owned());
    let mut log = records(&[
        (0, STORE, generated_episode(7, 1).encode()),
        (1, STORE, samples::episode("to be deleted").encode()),
        (2, STORE, first_twin),
        (3, STORE, twin.encode()),
        (4, DELETE, b"to be deleted".to_vec()),
        (5, UPDATE, memory.encode()),
        (6, 5, 6_u64.to_le_bytes().to_vec()),
        (7, STORE, samples::episode("6ba7b812-9dad-11d1-80b4-00c04fd430c8").encode()),
        (8, STORE, samples::episode("6BA7B812-9DAD-11D1-80B4-00C04FD430C8").encode()),
    ]);
    let torn = records(&[(9, STORE, b"never finished".to_vec())]);
    log.extend_from_slice(&torn[..70]);
    log
}

fn options() -> MigrateOptions {
    let policies = Policies { updates: Updates::Import, collisions: Collisions::Rekey, ..Policies::default() };
    MigrateOptions { policies, ..MigrateOptions::default() }
}

/// The files of the store that the present code makes of a log.
fn store_of(log: &[u8]) -> BTreeMap<PathBuf, Vec<u8>> {
    let space = Space::new();
    space.file(LOG_NAME, log);
    let end = space.migrate(&options()).expect("a published store");
    tree(&space.root().join(end.store))
}

/// Writes the fixture if asked to. Returns its log and its store.
fn frozen() -> (Vec<u8>, BTreeMap<PathBuf, Vec<u8>>) {
    static WRITTEN: std::sync::Once = std::sync::Once::new();
    WRITTEN.call_once(|| {
        if std::env::var_os("HAUL_WRITE_FIXTURES").is_some_and(|value| value == "1") {
            fs::create_dir_all(fixture().join("dual-000001")).expect("a directory");
            fs::write(fixture().join(LOG_NAME), log()).expect("a file");
            for (name, bytes) in store_of(&log()) {
                fs::write(fixture().join("dual-000001").join(name), bytes).expect("a file");
            }
        }
    });
    (fs::read(fixture().join(LOG_NAME)).expect("the log"), tree(&fixture().join("dual-000001")))
}

#[test]
fn the_log_is_what_the_samples_make() {
    assert!(frozen().0 == log(), "samples or generator changed; the frozen log stays as it is");
}

#[test]
fn the_same_log_gives_the_same_bytes() {
    let (log, expected) = frozen();
    let made = store_of(&log);
    assert_eq!(made.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        let differs = bytes.iter().zip(&made[name]).position(|(a, b)| a != b);
        assert!(&made[name] == bytes, "{} differs at {differs:?}: the format changed", name.display());
    }
}

/// Kind of node, id string, node id, first half of the BLAKE3 of the payload, first half of that of the node's fields.
#[rustfmt::skip]
const NODES: [[&str; 5]; 5] = [
    ["Episode", "さくら/記憶/1", "60627e44-eb46-5d73-92a4-31bff2b26331", "87b1a15158824d80acd63e63cd8e37c4", "8b82712d530149c3c97954aa3f0574a9"],
    ["Episode", "twin", "3c6c7ffb-015d-57ba-824a-56c72bd23f9d", "33b4dc323be9cf4bfa358f234e78d7f3", "2fb8c33487a050e8f673dd115ce87cfd"],
    ["Memory", "a memory", "c6560043-d5db-5aa0-b382-f31e0e9e1b0f", "6a5cce5211402e4d1322d52df4e67a7d", "76d10483b694f88986d0074a51d5e2e6"],
    ["Episode", "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "6ba7b812-9dad-11d1-80b4-00c04fd430c8", "5afd19394548d907310e794830780b29", "a84a15ef253d855c3e80a099a6f320b0"],
    ["Episode", "6BA7B812-9DAD-11D1-80B4-00C04FD430C8", "33b51893-6d2e-5380-a453-458c1b6da2c7", "23ed46b95f0a68743420aab1000893be", "b7e479b7e404725a48559e7eb17038cd"],
];

#[test]
fn every_node_reads_as_it_always_did() {
    frozen();
    let store = DualSpace::open(&fixture().join("dual-000001")).expect("a sound store");
    let short = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..32].to_owned();
    let mut found: Vec<[String; 5]> = Vec::new();
    for node in store.iter() {
        let found_node = node.expect("a sound block");
        let node = found_node.node();
        let again = store.get(&found_node.id).expect("a readable index").expect("an indexed node");
        assert_eq!(again.node().payload(), node.payload());
        let by_name = store.get_by_episode_id(node.episode_id()).expect("a readable index").expect("an indexed node");
        assert_eq!(by_name.id, found_node.id);
        let embedding: Vec<u8> = node.embedding().iter().flat_map(|value| value.to_le_bytes()).collect();
        let fields = format!(
            "{:?} {} {} {:?} {:?} {:?} {:?}",
            node.content(),
            node.row().confidence.get().to_bits(),
            node.row().access_count,
            node.created_at(),
            node.last_access(),
            node.to_node(found_node.id).node_type,
            short(&embedding),
        );
        found.push([
            format!("{:?}", node.kind()),
            node.episode_id().to_owned(),
            found_node.id.to_string(),
            short(&node.payload()),
            short(fields.as_bytes()),
        ]);
    }
    assert_eq!(found, NODES);
}

#[test]
fn marks_manifest_and_source_read_as_they_always_did() {
    let (log, _) = frozen();
    let store = DualSpace::open(&fixture().join("dual-000001")).expect("a sound store");
    let marks: Vec<_> = (0..store.mark_count())
        .map(|number| store.mark(number).expect("a mark"))
        .map(|mark| (mark.block.get(), mark.row.get(), MarkKind::from_number(mark.kind.get()).expect("a kind")))
        .collect();
    assert_eq!(marks, [(0, 1, MarkKind::Deleted), (0, 3, MarkKind::DuplicateDifferent), (0, 6, MarkKind::Rekeyed)]);
    let manifest = store.manifest();
    assert_eq!((manifest.nodes, manifest.node_rows, manifest.records, manifest.extents), (5, 7, 9, 2));
    assert_eq!((manifest.source_bytes.torn_tail, manifest.source_bytes.total), (70, log.len() as u64));
    let block = store.block(0).expect("a sound block").expect("a block");
    assert!(block.rebuilds_source() && block.digest_matches());
    let mut source = Vec::new();
    block.append_source(&mut source);
    assert!(source == log[..log.len() - 70]);
}

/// A copy of the fixture in which `name` is changed.
fn damaged(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut files = frozen().1;
    change(files.get_mut(Path::new(name)).expect("a file of the store"));
    for (path, bytes) in files {
        fs::write(directory.path().join(path), bytes).expect("a file");
    }
    directory
}

/// Opens the store and reads all of it, as `verify --full` does.
fn verify(directory: &Path) -> Result<(), Error> {
    let store = DualSpace::open_on(disk(), directory)?;
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let engine = MigrateOptions::default().engine();
    verify_store(Arc::new(store), Depth::Full, Subset::ALL, None, &engine, &control).map(|_| ())
}

#[test]
fn the_frozen_store_verifies() {
    frozen();
    verify(&fixture().join("dual-000001")).expect("a sound store");
}

#[test]
fn every_flipped_byte_is_found() {
    for (name, bytes) in frozen().1 {
        let name = name.to_str().expect("UTF-8");
        // Every byte of what is short and of headers; then one in a while.
        let is_header = |at: usize| at < 256 || (4096..4352).contains(&at);
        for at in (0..bytes.len()).filter(|at| is_header(*at) || bytes.len() < 2048 || at % 97 == 0) {
            let directory = damaged(name, |bytes| bytes[at] ^= 0x20);
            let error = verify(directory.path()).expect_err(&format!("{name} at {at}"));
            assert_eq!(error.exit_code(), 65, "{name} at {at}: {error}");
        }
    }
}

#[test]
fn every_cut_and_lengthened_file_is_found() {
    for (name, bytes) in frozen().1 {
        let name = name.to_str().expect("UTF-8");
        for len in [0, 1, 63, bytes.len() / 2, bytes.len() - 1] {
            verify(damaged(name, |bytes| bytes.truncate(len)).path()).expect_err(&format!("{name} cut to {len}"));
        }
        for more in [1, 32, 4096] {
            let directory = damaged(name, |bytes| bytes.resize(bytes.len() + more, 0));
            verify(directory.path()).expect_err(&format!("{name} with {more} more bytes"));
        }
    }
}

#[test]
fn a_newer_version_is_refused_as_such() {
    let newer = |directory: &Path| {
        let mut manifest = Manifest::read(&*disk(), directory).expect("a manifest");
        manifest.version += 1;
        fs::write(directory.join("MANIFEST"), manifest.encode()).expect("a file");
    };
    let directory = damaged("MANIFEST", |_| ());
    newer(directory.path());
    let error = verify(directory.path()).expect_err("a newer version");
    assert!(error.to_string().contains("newer than this haul reads"), "{error}");
}
