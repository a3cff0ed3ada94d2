//! Reads v2 stores: those that the reference wrote, and damaged ones, from which no content may be delivered.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::support::conformance::conformance;
use crate::support::files::tree;
use haul::cas::format::digest::key_of;
use haul::cas::format::encoding::{Compress, Encoding};
use haul::cas::format::frame::compress_stream;
use haul::cas::format::record::{ObjectRecord, parse};
use haul::cas::paths::StorePaths;
use haul::cas::store::CasStore;
use haul::cas::store::put::{PutEnd, PutOptions, put};
use haul::cas::{Algorithm, Key};
use haul::durable::RealDisk;
use haul::migration::{Error, exit};

/// A store that is removed after the test.
struct Store {
    directory: tempfile::TempDir,
}

impl Store {
    /// Creates a store with an uncompressed object for each content, and nothing else.
    fn with(contents: &[&[u8]]) -> Self {
        let store = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(store.root()).unwrap();
        contents.iter().for_each(|content| _ = store.put(content, Compress::Identity));
        store
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("v2")
    }

    fn paths(&self) -> StorePaths {
        StorePaths::new(self.root())
    }

    fn open(&self) -> CasStore {
        CasStore::open(&self.root()).unwrap()
    }

    fn put(&self, mut content: &[u8], compress: Compress) -> PutEnd {
        let options = PutOptions { compress, created_at: 1_795_207_503 };
        put(&RealDisk, &self.root(), &mut content, Path::new("content"), options).unwrap()
    }

    fn change_sidecar(&self, key: Key, old: &str, new: &str) {
        let path = self.paths().sidecar(key);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(path, text.replace(old, new)).unwrap();
    }

    /// Returns the error of reading an object. No bytes may be delivered, neither to a writer nor to a file.
    #[track_caller]
    fn damage(&self, key: Key) -> String {
        let store = self.open();
        let out = self.directory.path().join("out");
        let mut written = Vec::new();
        let error = store.get(key, &mut written).expect_err("damage");
        let file_error = store.get_to_file(key, &out).expect_err("damage");
        assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
        assert_eq!(error.to_string(), file_error.to_string());
        assert_eq!((written.len(), fs::read_dir(self.directory.path()).unwrap().count()), (0, 2), "{error}");
        error.to_string()
    }
}

fn cas_key(content: &[u8]) -> Key {
    key_of(Algorithm::Cas, content)
}

fn content_of(store: &CasStore, key: Key) -> Vec<u8> {
    let mut content = Vec::new();
    store.get(key, &mut content).unwrap().expect("the object");
    content
}

/// The contents of every conformance store, by key.
fn inputs(data: &Path) -> BTreeMap<Key, Vec<u8>> {
    tree(&data.join("inputs")).into_values().map(|content| (cas_key(&content), content)).collect()
}

#[test]
fn a_missing_store_is_an_error_and_is_not_created() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("v2");
    let open = || CasStore::open(&root).err().expect("an error");
    assert!(open().to_string().contains("there is no") && open().exit_code() == exit::USAGE, "{}", open());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    fs::create_dir(&root).unwrap();
    assert!(open().to_string().contains("no objects directory") && open().exit_code() == exit::USAGE, "{}", open());
    fs::create_dir(root.join("objects")).unwrap();
    assert!(open().to_string().contains("index.ndjson: it is missing"), "{}", open());
    assert_eq!(open().exit_code(), exit::BAD_DATA);
    std::os::unix::fs::symlink("elsewhere", root.join("index.ndjson")).unwrap();
    assert!(open().to_string().contains("not a regular file"), "{}", open());
}

#[test]
fn an_absent_object_is_none() {
    let store = Store::with(&[b"hello"]);
    let absent = cas_key(b"absent");
    assert_eq!(store.open().get(absent, &mut io::sink()).unwrap(), None);
    assert_eq!(store.open().get_to_file(absent, &store.root().join("../out")).unwrap(), None);
    assert_eq!(store.open().info(absent).unwrap(), None);
    assert!(!store.open().contains(absent).unwrap() && store.open().contains(cas_key(b"hello")).unwrap());
    assert_eq!(fs::read_dir(store.directory.path()).unwrap().count(), 2);
}

#[test]
fn the_last_line_of_a_key_wins() {
    let store = Store::with(&[b"hello"]);
    let index = store.paths().index();
    let line = fs::read_to_string(&index).unwrap();
    let later = line.replace("1795207503", "7");
    fs::write(&index, format!("{line}foreign\n\n{later}")).unwrap();
    let record: ObjectRecord = store.open().info(cas_key(b"hello")).unwrap().unwrap();
    assert_eq!(record.created_at, 7);
}

#[test]
fn a_damaged_blob_delivers_nothing() {
    let text = b"text ".repeat(100_000);
    let (hello, zstd_key) = (cas_key(b"hello"), cas_key(&text));
    let store = || {
        let store = Store::with(&[b"hello"]);
        store.put(&text, Compress::Zstd(3));
        store
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };

    let flipped = store();
    flip(&flipped.paths().blob(hello));
    assert!(flipped.damage(hello).contains("stored_blob_hash is"));
    flip(&flipped.paths().blob(zstd_key));
    flipped.damage(zstd_key);

    let truncated = store();
    let blob = fs::read(truncated.paths().blob(zstd_key)).unwrap();
    fs::write(truncated.paths().blob(zstd_key), &blob[..blob.len() - 1]).unwrap();
    assert!(truncated.damage(zstd_key).contains("zstd frame at offset 0"));
    fs::write(truncated.paths().blob(zstd_key), [&*blob, b"garbage"].concat()).unwrap();
    assert!(truncated.damage(zstd_key).contains(&format!("zstd frame at offset {}", blob.len())));

    let deleted = store();
    fs::remove_file(deleted.paths().blob(hello)).unwrap();
    assert!(deleted.damage(hello).contains("it is missing, although the index lists it"));

    let linked = store();
    let elsewhere = linked.root().join("elsewhere");
    fs::rename(linked.paths().blob(hello), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, linked.paths().blob(hello)).unwrap();
    assert!(linked.damage(hello).contains("not a regular file"));

    let foreign = store();
    let hash = haul::cas::format::digest::blake3_key(b"other").to_string();
    let old_hash = haul::cas::format::digest::blake3_key(b"hello").to_string();
    fs::write(foreign.paths().blob(hello), b"other").unwrap();
    foreign.change_sidecar(hello, &old_hash, &hash);
    assert!(foreign.damage(hello).contains(&format!("the content has the key {}", cas_key(b"other"))));

    let unlisted = store();
    fs::write(unlisted.paths().index(), "").unwrap();
    assert!(unlisted.damage(hello).contains("the index does not list it"));
}

#[test]
fn a_damaged_sidecar_delivers_nothing() {
    let text = b"text ".repeat(1000);
    let (hello, zstd_key) = (cas_key(b"hello"), cas_key(&text));
    let changes: &[(Key, &str, &str, &str)] = &[
        (hello, "identity", "zstd", "neither a frame"),
        (hello, "identity", "gzip", "encoding is neither"),
        (hello, "\"digest\":\"888c", "\"digest\":\"999c", "its digest is 999c"),
        (hello, "\"digest\":\"888c", "\"digest\":\"\",\"x\":\"", "digest is not a text"),
        (hello, "ea8f163d", "", "stored_blob_hash is not a text"),
        (hello, "\"original_size\":5", "\"original_size\":4", "longer than original_size, 4 bytes"),
        (hello, "\"original_size\":5", "\"original_size\":6", "original_size is 5, the sidecar says 6"),
        (hello, "\"stored_size\":5", "\"stored_size\":6", "stored_size is 5, the sidecar says 6"),
        (hello, "{", "{\"digest\":\"\",", "occurs twice"),
        (zstd_key, "zstd", "identity", "the sidecar says 5000"),
        (zstd_key, "\"original_size\":5000", "\"original_size\":4999", "longer than original_size"),
        (zstd_key, "\"original_size\":5000", "\"original_size\":1000000000000000000", "original_size is 5000"),
    ];
    for &(key, old, new, expected) in changes {
        let store = Store::with(&[b"hello"]);
        store.put(&text, Compress::Zstd(3));
        store.change_sidecar(key, old, new);
        let damage = store.damage(key);
        assert!(damage.contains(expected), "{old} -> {new}: {damage}");
    }
    for (bytes, expected) in [(&b""[..], "it is empty"), (b"[]", "not a JSON object"), (&[b' '; 70_000], "longer than")]
    {
        let store = Store::with(&[b"hello"]);
        fs::write(store.paths().sidecar(hello), bytes).unwrap();
        assert!(store.damage(hello).contains(expected), "{}", store.damage(hello));
    }
    let store = Store::with(&[b"hello"]);
    fs::remove_file(store.paths().sidecar(hello)).unwrap();
    assert!(store.damage(hello).contains(".meta: it is missing"));
}

#[test]
fn a_file_gets_its_name_only_when_it_is_complete() {
    let store = Store::with(&[b"hello"]);
    let out = store.directory.path().join("out");
    fs::write(&out, b"old").unwrap();
    store.open().get_to_file(cas_key(b"hello"), &out).unwrap().unwrap();
    assert_eq!(fs::read(&out).unwrap(), b"hello");
    store.change_sidecar(cas_key(b"hello"), "\"stored_size\":5", "\"stored_size\":6");
    store.open().get_to_file(cas_key(b"hello"), &out).unwrap_err();
    assert_eq!(fs::read(&out).unwrap(), b"hello", "what was there stays");

    let directory = store.open().get_to_file(cas_key(b"hello"), store.directory.path()).unwrap_err();
    assert_eq!(directory.exit_code(), exit::USAGE);
    let device = store.open().get_to_file(cas_key(b"hello"), Path::new("/dev/null")).unwrap_err();
    assert_eq!(device.exit_code(), exit::USAGE);
}

#[test]
fn an_output_that_does_not_take_the_content_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let store = Store::with(&[b"hello"]);
    let error = store.open().get(cas_key(b"hello"), &mut Full).unwrap_err();
    assert!(matches!(&error, Error::Disk(e) if e.kind() == io::ErrorKind::StorageFull), "{error}");
}

#[test]
fn only_objects_in_their_place_are_listed() {
    let store = Store::with(&[b"hello", b"other", b""]);
    let hello = store.paths().blob(cas_key(b"hello"));
    fs::write(hello.with_file_name(".tmp_123"), b"").unwrap();
    fs::write(hello.with_file_name("foreign"), b"").unwrap();
    fs::write(store.paths().objects().join("stray"), b"").unwrap();
    fs::create_dir_all(store.paths().objects().join("zz/00")).unwrap();
    fs::copy(&hello, hello.with_file_name("ab".repeat(32))).unwrap();
    std::os::unix::fs::symlink(&hello, hello.with_file_name(format!("888c{}", "0".repeat(60)))).unwrap();
    let mut objects = store.open().objects().unwrap();
    let mut found = BTreeMap::new();
    while let Some(object) = objects.next().unwrap() {
        found.insert(object.key, object.stored_size);
    }
    let expected = [&b"hello"[..], b"other", b""].map(|content| (cas_key(content), content.len() as u64));
    assert_eq!(found, BTreeMap::from(expected));
}

/// Content that is too large for memory is put and read as a stream.
#[test]
fn content_beyond_one_shot_goes_in_and_out() {
    let len = (9 << 20) + 5;
    let text: Vec<u8> = b"0123456789abcdef, ".iter().copied().cycle().take(len).collect();
    let store = Store::with(&[]);
    let end = store.put(&text, Compress::Zstd(1));
    assert_eq!(fs::metadata(store.paths().blob(end.record.digest)).unwrap().len(), end.record.stored_size);
    assert!(content_of(&store.open(), cas_key(&text)) == text);
}

/// A blob of 16 KiB that is 256 MiB of zeros: legal, and read in steps.
#[test]
fn zeros_without_end_are_read_in_steps() {
    struct Steps(u64);
    impl Write for Steps {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(bytes.len() <= 256 << 10 && bytes.iter().all(|&byte| byte == 0));
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let len = 256 << 20;
    let store = Store::with(&[]);
    let options = PutOptions { compress: Compress::Zstd(3), created_at: 0 };
    let end = put(&RealDisk, &store.root(), &mut io::repeat(0).take(len), Path::new("zeros"), options).unwrap();
    assert!(end.record.stored_size < 64 << 10);
    let mut steps = Steps(0);
    store.open().get(end.record.digest, &mut steps).unwrap().unwrap();
    assert_eq!(steps.0, len);

    // A blob that claims to have five bytes is refused after the first step.
    let blob = store.paths().blob(cas_key(b"hello"));
    store.put(b"hello", Compress::Zstd(3));
    let mut bomb = Vec::new();
    compress_stream(io::repeat(0).take(len), len, 3, &mut bomb).unwrap();
    fs::write(blob, bomb).unwrap();
    assert!(store.damage(cas_key(b"hello")).contains("longer than original_size, 5 bytes"));
}

mod conformance {
    use super::*;

    #[test]
    #[ignore = "needs the conformance data"]
    fn every_object_of_the_reference_is_read() {
        let data = conformance("requiem");
        let inputs = inputs(&data);
        let store = CasStore::open(&data.join("cas-v2")).unwrap();
        let mut objects = store.objects().unwrap();
        let mut keys = Vec::new();
        while let Some(object) = objects.next().unwrap() {
            assert_eq!(content_of(&store, object.key), inputs[&object.key]);
            let record = store.info(object.key).unwrap().expect("an index line");
            assert_eq!(store.verify(object.key).unwrap(), Some(record));
            assert_eq!(object.stored_size, record.stored_size);
            keys.push(object.key);
        }
        assert!(keys.is_sorted());
        assert_eq!(keys, inputs.into_keys().collect::<Vec<_>>());
    }

    #[test]
    #[ignore = "needs the conformance data"]
    fn every_sidecar_of_the_reference_is_canonical() {
        let data = conformance("requiem");
        for (generation, has_created_at) in
            [("cas-v2", true), ("cas-v2-noindex", false), ("cas-blake3-unprefixed", false), ("cas-blake2s", false)]
        {
            let mut sidecars = 0;
            for (path, bytes) in tree(&data.join(generation)) {
                if path.extension().is_some_and(|extension| extension == "meta") {
                    let parsed = parse(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    assert!(parsed.is_canonical && parsed.created_at_present == has_created_at, "{}", path.display());
                    sidecars += 1;
                }
            }
            assert_eq!(sidecars, 14, "{generation}");
        }
    }

    /// Putting the same contents gives the reference's tree, byte for byte, except for parts that depend on the version
    /// of
    /// zstd.
    #[test]
    #[ignore = "needs the conformance data"]
    fn putting_makes_the_tree_of_the_reference() {
        let data = conformance("requiem");
        let reference = CasStore::open(&data.join("cas-v2")).unwrap();
        let store = Store::with(&[]);
        let mut zstd_differs = Vec::new();
        for (key, content) in inputs(&data) {
            let record = reference.info(key).unwrap().expect("an object");
            let compress = match record.encoding {
                Encoding::Identity => Compress::Identity,
                Encoding::Zstd => Compress::Zstd(3),
            };
            let options = PutOptions { compress, created_at: record.created_at };
            let end = put(&RealDisk, &store.root(), &mut &*content, Path::new("content"), options).unwrap();
            let blob = |paths: &StorePaths| fs::read(paths.blob(key)).unwrap();
            if blob(&store.paths()) != blob(reference.paths()) {
                assert_eq!(record.encoding, Encoding::Zstd);
                zstd_differs.push(key);
                continue;
            }
            assert_eq!(end.record, record);
            let sidecar = |paths: &StorePaths| fs::read(paths.sidecar(key)).unwrap();
            assert_eq!(sidecar(&store.paths()), sidecar(reference.paths()));
        }
        let names = |root: &Path| tree(root).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&store.root()), names(&data.join("cas-v2")));
        assert!(!zstd_differs.contains(&cas_key(b"")), "the empty frame is the same in every version");
    }
}
