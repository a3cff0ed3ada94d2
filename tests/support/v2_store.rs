//! A v2 store of fourteen objects that was migrated from an old store, and ways to damage it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::format::digest::{blake3_key, key_of};
use haul::cas::format::encoding::Encoding;
use haul::cas::format::record::{ObjectRecord, parse};
use haul::cas::migrate::migrate;
use haul::cas::options::MigrateOptions;
use haul::cas::paths::{TargetPaths, blob_path, sidecar_path};
use haul::cas::source::location::Shape;
use haul::cas::{Algorithm, Key};
use haul::durable::RealDisk;
use haul::pipeline::{Control, Silent, StopToken};

use super::old_objects::zstd;
use super::old_store::OldStore;

/// Objects of the store.
pub const OBJECTS: usize = 14;
/// The objects that are stored as zstd.
const ZSTD: [usize; 5] = [0, 5, 6, 8, 9];

/// The contents: empty, short, around a page, text, noise, a megabyte of zeros.
pub fn contents() -> Vec<Vec<u8>> {
    let noise = |seed: u8, len: usize| -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    };
    let text =
        |len: usize| b"the quick brown fox jumps over the lazy dog\n".iter().copied().cycle().take(len).collect();
    vec![
        Vec::new(),
        b"x".to_vec(),
        b"hello".to_vec(),
        b"\n".to_vec(),
        noise(4, 4095),
        text(4096),
        text(64 << 10),
        noise(7, 4097),
        text(1 << 20),
        vec![0; 1 << 20],
        noise(10, 300 << 10),
        br#"{"a":[1,2,3],"b":null}"#.to_vec(),
        "Grüße, 世界".as_bytes().to_vec(),
        noise(13, 100),
    ]
}

/// A store in a directory that is removed after the test.
pub struct V2Store {
    old: OldStore,
}

impl V2Store {
    /// The store, as it is migrated.
    pub fn new() -> Self {
        let old = OldStore::new();
        for (number, content) in contents().iter().enumerate() {
            put_old_object(&old, number, content);
        }
        let store = Self { old };
        let (stop, paths) = (StopToken::new(), TargetPaths::new(&store.root()).expect("a name"));
        let control = Control { stop: &stop, observer: &Silent };
        let (disk, source) = (Arc::new(RealDisk), store.old.root());
        let end = migrate(disk, &source, &paths, &MigrateOptions::default(), &control).expect("a migration");
        assert_eq!(end.counts.migrated, OBJECTS as u64);
        fs::remove_dir_all(&source).expect("removed");
        fs::remove_dir_all(paths.run_directory().path()).expect("removed");
        store
    }

    pub fn directory(&self) -> &Path {
        self.old.place()
    }

    pub fn root(&self) -> PathBuf {
        self.directory().join("store")
    }

    pub fn key(number: usize) -> Key {
        key_of(Algorithm::Cas, &contents()[number])
    }

    pub fn blob(&self, number: usize) -> PathBuf {
        blob_path(&self.root(), Self::key(number))
    }

    pub fn sidecar(&self, number: usize) -> PathBuf {
        sidecar_path(&self.root(), Self::key(number))
    }

    pub fn index(&self) -> PathBuf {
        self.root().join("index.ndjson")
    }

    /// Changes the bytes of a file.
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).expect("a file");
        change(&mut bytes);
        fs::write(path, bytes).expect("a file");
    }

    /// Replaces a text in a file, which must contain it.
    pub fn replace(&self, path: &Path, from: &str, to: &str) {
        self.edit(path, |bytes| {
            let text = String::from_utf8(bytes.clone()).expect("text");
            assert!(text.contains(from), "{text} holds {from}");
            *bytes = text.replacen(from, to, 1).into_bytes();
        });
    }

    /// Replaces a text in the sidecar and in the line of the index.
    pub fn replace_both(&self, number: usize, from: &str, to: &str) {
        self.replace(&self.sidecar(number), from, to);
        let line = self.line(number);
        let changed = line.replacen(from, to, 1);
        self.replace(&self.index(), &line, &changed);
    }

    /// The line of an object, without its newline.
    pub fn line(&self, number: usize) -> String {
        let index = fs::read_to_string(self.index()).expect("an index");
        let key = Self::key(number).to_string();
        index.lines().find(|line| line.contains(&key)).expect("a line").to_owned()
    }

    pub fn record(&self, number: usize) -> ObjectRecord {
        parse(self.line(number).as_bytes()).expect("a record").record
    }

    /// Replaces an object's content, and adapts its sidecar and its line to the blob but not to the name.
    pub fn forge(&self, number: usize, content: &[u8]) {
        let record = ObjectRecord {
            encoding: Encoding::Identity,
            original_size: content.len() as u64,
            stored_size: content.len() as u64,
            stored_blob_hash: blake3_key(content),
            ..self.record(number)
        };
        let mut text = Vec::new();
        record.push_json(&mut text);
        let line = self.line(number);
        self.replace(&self.index(), &line, std::str::from_utf8(&text).expect("text"));
        fs::write(self.sidecar(number), &text).expect("a sidecar");
        fs::write(self.blob(number), content).expect("a blob");
    }
}

/// An object of the documented flat layout, with a sidecar that gives its time and, for some, says zstd.
fn put_old_object(store: &OldStore, number: usize, content: &[u8]) {
    let blob = if ZSTD.contains(&number) { zstd(content) } else { content.to_vec() };
    let created_at = 1_700_000_000 + number as u64;
    store.stored(Algorithm::Sha256, content, &blob, Shape::Flat);
    store.sidecar_of(Algorithm::Sha256, content, &blob, Shape::Flat, created_at);
}
