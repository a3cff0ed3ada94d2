//! Whatever bytes the files of a store hold: reading them gives nodes or an error, in memory that their size bounds.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use haul::durable::{Disk, RealDisk, SimulatedDisk};
use haul::migration::Subset;
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::DualSpace;
use haul::space::generate::samples;
use haul::space::log::wal::encode_record;
use haul::space::migrate::migrate;
use haul::space::options::MigrateOptions;
use haul::space::paths::SpacePaths;
use haul::space::policy::{Corruption, Policies};
use haul::space::store::block_view::{AlignedBytes, Block, NodeRef};
use haul::space::store::manifest::Manifest;
use haul::space::verify::{Depth, verify_store};

use crate::support::edits::edited;
use crate::support::log::Log;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    match how & 0x07 {
        0 => check_block(script),
        1 | 2 => check_block(&edited(&BLOCK, script)),
        3 => check_manifest(script),
        4 => check_manifest(&sealed(&edited(unsealed(manifest()), script))),
        5 => check_manifest(&sealed(script)),
        // Verifying takes threads, so only some of the inputs get it.
        _ => check_store(usize::from(how >> 3 & 7), script, how & 0xC0 == 0xC0),
    }
}

/// Records of every kind, with a duplicate and a deletion.
fn records() -> Vec<u8> {
    let mut twin = samples::episode("twin");
    twin.what = "said twice".to_owned();
    let mut memory = samples::memory("a memory");
    memory.content = Some("its text".to_owned());
    let payloads = [
        (1, samples::episode("first").encode()),
        (1, twin.encode()),
        (3, b"first".to_vec()),
        (1, twin.encode()),
        (5, vec![7; 8]),
        (2, memory.encode()),
        (1, samples::episode("6ba7b812-9dad-11d1-80b4-00c04fd430c8").encode()),
    ];
    payloads.iter().zip(0..).flat_map(|((kind, payload), number)| encode_record(number, 7, *kind, payload)).collect()
}

static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let log = Log::new(records());
    let extents = log.extents(Corruption::Fail, usize::MAX);
    log.convert(extents, policies()).bytes.to_vec()
});

/// The files of a store by name.
static STORE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("default");
    std::fs::create_dir_all(root.join("wal")).expect("a directory");
    std::fs::write(root.join("wal/wal-0000000000000001.log"), records()).expect("a log");
    let options = MigrateOptions { policies: policies(), ..MigrateOptions::default() };
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let end = migrate(Arc::new(RealDisk), &SpacePaths::new(&root), &options, &control).expect("a store");
    let files = std::fs::read_dir(root.join(end.store)).expect("a store").map(|entry| entry.expect("an entry"));
    let mut files: Vec<_> = files
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).expect("a file")))
        .collect();
    files.sort();
    files
});

fn policies() -> Policies {
    Policies { updates: haul::space::policy::Updates::Import, ..Policies::default() }
}

fn manifest() -> &'static [u8] {
    &STORE.iter().find(|(name, _)| name == "MANIFEST").expect("a manifest").1
}

fn unsealed(manifest: &[u8]) -> &[u8] {
    let end = manifest[..manifest.len() - 1].iter().rposition(|&byte| byte == b'\n').expect("a seal");
    &manifest[..=end]
}

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, format!("seal blake3:{}\n", blake3::hash(body).to_hex()).as_bytes()].concat()
}

fn check_manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(Path::new("MANIFEST"), bytes) {
        let encoded = manifest.encode();
        assert_eq!(Manifest::decode(Path::new("MANIFEST"), &encoded).expect("what was encoded"), manifest);
    }
}

fn check_block(bytes: &[u8]) {
    let Ok(block) = Block::parse(AlignedBytes::from(bytes), Path::new("segment"), 0) else { return };
    walk(&block);
    let _ = block.digest_matches();
    let mut source = Vec::new();
    block.append_source(&mut source);
    assert!(source.len() <= bytes.len(), "{} source bytes out of a block of {}", source.len(), bytes.len());
}

fn walk(block: &Block) {
    assert_eq!(block.embeddings().len(), block.nodes().len());
    block.nodes().for_each(look);
    let mut payload = Vec::new();
    for number in 0..block.rows().len() as u32 {
        payload.clear();
        block.append_payload(number, &mut payload);
        assert_eq!(payload.len() as u64, u64::from(block.rows()[number as usize].payload_bytes.get()));
    }
    assert!(block.node(block.nodes().len() as u32).is_none());
}

fn look(node: NodeRef<'_>) {
    let copy = node.to_node(node.uuid());
    assert_eq!(copy.embedding.map(f32::to_bits), node.embedding().map(f32::to_bits));
    assert!(node.content().is_none_or(|content| content.len() <= node.payload().len()));
    let _ = (node.kind(), node.episode_id(), node.created_at(), node.last_access());
    let _ = node.to_memory();
}

/// Opens the store with one of its files changed, and reads all of it.
fn check_store(changed: usize, script: &[u8], verified: bool) {
    let disk = SimulatedDisk::new();
    let directory = Path::new("/store");
    disk.create_directory(directory).expect("a directory");
    for (number, (name, bytes)) in STORE.iter().enumerate() {
        let bytes = match (number == changed % STORE.len(), name.as_str()) {
            (false, _) => bytes.clone(),
            (true, "MANIFEST") => sealed(&edited(unsealed(bytes), script)),
            (true, _) => edited(bytes, script),
        };
        let file = disk.create_file(&directory.join(name)).expect("a file");
        file.write_all_at(0, &bytes).expect("room");
    }
    let Ok(store) = DualSpace::open_on(Arc::new(disk), directory) else { return };
    for found in store.iter().flatten() {
        look(found.node());
        let _ = store.get(&found.id);
    }
    for id in ["twin", "first", "a memory"] {
        if let Ok(Some(found)) = store.get_by_episode_id(id) {
            assert_eq!(found.node().episode_id(), id);
        }
    }
    if verified {
        let options = MigrateOptions { parallel_workers: std::num::NonZeroUsize::MIN, ..MigrateOptions::default() };
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let _ = verify_store(Arc::new(store), Depth::Full, Subset::ALL, None, &options.engine(), &control);
    }
}
