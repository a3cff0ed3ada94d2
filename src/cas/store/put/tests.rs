use std::sync::Arc;

use super::*;
use crate::cas::format::digest::{blake3_key, key_of};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::store::CasStore;
use crate::cas::store::index::{IndexLine, IndexReader, LineContent};
use crate::durable::{CrashFault, EntryKind, InjectedFault, SimulatedDisk, read_file};
use crate::migration::exit;

const ROOT: &str = "/data/v2";
const IDENTITY: PutOptions = PutOptions { compress: Compress::Identity, created_at: 7 };
const ZSTD: PutOptions = PutOptions { compress: Compress::Zstd(3), created_at: 8 };

fn paths() -> StorePaths {
    StorePaths::new(ROOT)
}

fn put_bytes(disk: &dyn Disk, mut content: &[u8], options: PutOptions) -> Result<PutEnd, Error> {
    put(disk, Path::new(ROOT), &mut content, Path::new("content"), options)
}

fn cas_key(content: &[u8]) -> Key {
    key_of(Algorithm::Cas, content)
}

/// A disk with a store that holds these contents, all of it durable.
fn disk_with(contents: &[&[u8]]) -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[Path::new("/data")]);
    for content in contents {
        put_bytes(&disk, content, IDENTITY).unwrap();
    }
    disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped)
}

fn content_of(disk: &SimulatedDisk, key: Key) -> Option<Vec<u8>> {
    let store = CasStore::open_on(Arc::new(disk.clone()), Path::new(ROOT)).ok()?;
    let mut content = Vec::new();
    store.get(key, &mut content).ok()??;
    Some(content)
}

fn bytes(disk: &SimulatedDisk, path: &Path) -> Vec<u8> {
    read_file(disk, path, u64::MAX).unwrap()
}

fn overwrite(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    if disk.kind(path).unwrap().is_some() {
        disk.remove_file(path).unwrap();
    }
    disk.create_file(path).unwrap().write_all_at(0, bytes).unwrap();
}

fn lines(disk: &SimulatedDisk) -> Vec<IndexLine> {
    let mut index = IndexReader::open(disk, &paths().index()).unwrap();
    std::iter::from_fn(|| index.next().unwrap()).collect()
}

fn records(disk: &SimulatedDisk) -> Vec<ObjectRecord> {
    let record = |line: IndexLine| match line.content {
        LineContent::Record(parsed) if parsed.is_canonical && !line.is_torn => Some(parsed.record),
        _ => None,
    };
    lines(disk).into_iter().filter_map(record).collect()
}

/// Names that no store has.
fn foreign_names(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let is_foreign = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let stem = name.strip_suffix(".meta").unwrap_or(name);
        path.starts_with(ROOT) && name != "index.ndjson" && Key::parse(stem.as_bytes()).is_none()
    };
    disk.snapshot().into_keys().filter(is_foreign).collect()
}

fn all_crashes() -> impl Iterator<Item = CrashFault> {
    let scattered = (0..20).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(scattered)
}

#[test]
fn a_new_store_is_made_as_the_reference_makes_it() {
    let disk = SimulatedDisk::with_directories(&[Path::new("/data")]);
    let end = put_bytes(&disk, b"hello", IDENTITY).unwrap();
    let expected = ObjectRecord {
        digest: Key::parse(b"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d").unwrap(),
        encoding: Encoding::Identity,
        original_size: 5,
        stored_size: 5,
        stored_blob_hash: blake3_key(b"hello"),
        created_at: 7,
    };
    assert_eq!(
        end,
        PutEnd {
            record: expected,
            blob_written: true,
            sidecar_written: true,
            index_line_written: true,
            index_tail_ended: false
        }
    );
    let mut line = Vec::new();
    expected.push_json(&mut line);
    assert_eq!(bytes(&disk, &paths().blob(expected.digest)), b"hello");
    assert_eq!(bytes(&disk, &paths().sidecar(expected.digest)), line);
    assert_eq!(bytes(&disk, &paths().index()), [&*line, b"\n"].concat());
    let files: Vec<_> = disk.snapshot().into_keys().filter(|path| path.starts_with(ROOT)).collect();
    assert_eq!(files.len(), 3);
}

#[test]
fn compressed_objects_are_one_frame() {
    let disk = disk_with(&[]);
    let text = b"text ".repeat(10_000);
    for (content, expected_blob) in [
        (&b""[..], vec![0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00]),
        (&text, {
            let mut frame = Vec::new();
            crate::cas::format::frame::Compressor::new().compress(&text, 3, &mut frame);
            frame
        }),
    ] {
        let end = put_bytes(&disk, content, ZSTD).unwrap();
        assert_eq!(bytes(&disk, &paths().blob(end.record.digest)), expected_blob);
        assert_eq!(end.record.stored_blob_hash, blake3_key(&expected_blob));
        assert_eq!((end.record.encoding, end.record.original_size), (Encoding::Zstd, content.len() as u64));
        assert_eq!(content_of(&disk, end.record.digest).as_deref(), Some(content));
    }
    assert_eq!(foreign_names(&disk), [] as [PathBuf; 0]);
}

#[test]
fn an_object_that_is_there_stays_as_it_is() {
    let disk = disk_with(&[b"hello"]);
    let before = disk.snapshot();
    let end = put_bytes(&disk, b"hello", ZSTD).unwrap();
    assert_eq!((end.record.encoding, end.record.created_at), (Encoding::Identity, 7));
    assert!(!(end.blob_written || end.sidecar_written || end.index_line_written || end.index_tail_ended));
    let is_of_store = |path: &PathBuf| path.starts_with(ROOT);
    let of_store = |files: std::collections::BTreeMap<PathBuf, Vec<u8>>| -> Vec<_> {
        files.into_iter().filter(|(path, _)| is_of_store(path)).collect()
    };
    assert_eq!(of_store(disk.snapshot()), of_store(before));
}

#[test]
fn a_sidecar_or_a_line_that_is_missing_is_written_again() {
    let key = cas_key(b"hello");
    let sidecar = paths().sidecar(key);
    let original = bytes(&disk_with(&[b"hello"]), &sidecar);
    let text = String::from_utf8(original.clone()).unwrap();
    let damages: [(&str, Vec<u8>); 5] = [
        ("empty", vec![]),
        ("torn", original[..100].to_vec()),
        ("another hash", text.replace("ea8f", "0000").into()),
        ("another encoding", text.replace("identity", "zstd").into()),
        ("another digest", text.replace("888c", "0000").into()),
    ];
    for (what, damaged) in damages {
        let disk = disk_with(&[b"hello", b"other"]);
        overwrite(&disk, &sidecar, &damaged);
        let end = put_bytes(&disk, b"hello", ZSTD).unwrap();
        assert!(!end.blob_written && end.sidecar_written && !end.index_line_written, "{what}: {end:?}");
        assert_eq!(bytes(&disk, &sidecar), original, "{what}: the age of the index is kept");
    }

    let disk = disk_with(&[b"hello", b"other"]);
    disk.remove_file(&sidecar).unwrap();
    overwrite(&disk, &paths().index(), b"");
    let end = put_bytes(&disk, b"hello", ZSTD).unwrap();
    assert!(!end.blob_written && end.sidecar_written && end.index_line_written);
    assert_eq!((end.record.created_at, end.record.encoding), (8, Encoding::Identity));
    assert_eq!(records(&disk), [end.record]);

    let disk = disk_with(&[b"hello"]);
    let wrong = text.replace("\"stored_size\":5", "\"stored_size\":6") + "\n";
    overwrite(&disk, &paths().index(), wrong.as_bytes());
    let end = put_bytes(&disk, b"hello", ZSTD).unwrap();
    assert!(!end.sidecar_written && end.index_line_written);
    assert_eq!(records(&disk).last(), Some(&end.record));
}

#[test]
fn a_blob_that_is_missing_is_written_again() {
    let disk = disk_with(&[b"hello"]);
    let key = cas_key(b"hello");
    disk.remove_file(&paths().blob(key)).unwrap();
    let end = put_bytes(&disk, b"hello", PutOptions { created_at: 7, ..IDENTITY }).unwrap();
    assert!(end.blob_written && end.sidecar_written && !end.index_line_written);
    assert_eq!(content_of(&disk, key).as_deref(), Some(&b"hello"[..]));
}

#[test]
fn other_content_under_the_key_is_a_conflict_and_stays() {
    let key = cas_key(b"hello");
    for other in [&b"hellO"[..], b"hell", b"hello, longer", b""] {
        let disk = disk_with(&[b"hello"]);
        overwrite(&disk, &paths().blob(key), other);
        let error = put_bytes(&disk, b"hello", IDENTITY).unwrap_err();
        assert_eq!(error.exit_code(), exit::CONFLICT, "{error}");
        assert_eq!(bytes(&disk, &paths().blob(key)), other);
        assert_eq!(foreign_names(&disk), [] as [PathBuf; 0]);
    }
    let disk = disk_with(&[b"hello"]);
    disk.remove_file(&paths().blob(key)).unwrap();
    disk.create_directory(&paths().blob(key)).unwrap();
    assert_eq!(put_bytes(&disk, b"hello", IDENTITY).unwrap_err().exit_code(), exit::CONFLICT);
}

#[test]
fn a_torn_index_is_ended_before_anything_is_appended() {
    let first = disk_with(&[b"first"]);
    let index = bytes(&first, &paths().index());
    let mut expected_line = Vec::new();
    put_bytes(&disk_with(&[]), b"second", IDENTITY).unwrap().record.push_json(&mut expected_line);
    expected_line.push(b'\n');

    for torn in [&b"{\"digest\":\"00"[..], b"x", &index[..index.len() - 1]] {
        let disk = disk_with(&[b"first"]);
        overwrite(&disk, &paths().index(), &[&*index, torn].concat());
        let end = put_bytes(&disk, b"second", IDENTITY).unwrap();
        assert!(end.index_tail_ended && end.index_line_written);
        assert_eq!(bytes(&disk, &paths().index()), [&*index, torn, b"\n", &expected_line].concat());
    }
    for len in [1, 50, 200, expected_line.len() - 1] {
        let disk = disk_with(&[b"first"]);
        overwrite(&disk, &paths().index(), &[&*index, &expected_line[..len]].concat());
        let end = put_bytes(&disk, b"second", IDENTITY).unwrap();
        assert!(end.index_tail_ended);
        assert_eq!(bytes(&disk, &paths().index()), [&*index, &expected_line].concat(), "completed from {len} on");
    }
    let disk = disk_with(&[b"first"]);
    overwrite(&disk, &paths().index(), &[&*index, b"torn"].concat());
    let end = put_bytes(&disk, b"first", IDENTITY).unwrap();
    assert!(end.index_tail_ended && !end.index_line_written);
    assert_eq!(bytes(&disk, &paths().index()), [&*index, b"torn\n"].concat());
}

#[test]
fn a_line_behind_a_byte_order_mark_is_written_again() {
    let disk = disk_with(&[b"first"]);
    let index = bytes(&disk, &paths().index());
    overwrite(&disk, &paths().index(), &[b"\xEF\xBB\xBF", &*index].concat());
    assert!(put_bytes(&disk, b"first", IDENTITY).unwrap().index_line_written);
    assert_eq!(bytes(&disk, &paths().index()), [b"\xEF\xBB\xBF", &*index, &*index].concat());
}

#[test]
fn what_is_no_store_is_left_alone() {
    let scenes: [(&str, &str, u8); 5] = [
        ("/data/v2", "a file", exit::USAGE),
        ("/data/v2/letters.txt", "has neither objects nor index.ndjson", exit::USAGE),
        ("/data/v2/objects", "objects is a file", exit::USAGE),
        ("/data/v2/objects/aa/bb/cc", "index.ndjson is missing", exit::BAD_DATA),
        ("/data/v2/index.ndjson", "objects is missing", exit::BAD_DATA),
    ];
    for (path, what, code) in scenes {
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new(path), b"something");
        let error = put_bytes(&disk, b"hello", IDENTITY).unwrap_err();
        assert!(error.to_string().contains(what), "{path}: {error}");
        assert_eq!((error.exit_code(), disk.operations()), (code, 0), "{path}: {error}");
    }
    for directory in ["/data/v2", "/data/v2/objects"] {
        let disk = SimulatedDisk::with_directories(&[Path::new(directory)]);
        put_bytes(&disk, b"hello", IDENTITY).unwrap();
    }
}

#[test]
fn one_put_at_a_time() {
    let disk = disk_with(&[b"hello"]);
    let run = paths().run_directory().unwrap();
    let lock = run.lock(&disk).unwrap();
    let error = put_bytes(&disk, b"other", IDENTITY).unwrap_err();
    assert_eq!(error.exit_code(), exit::TEMPORARY);
    drop(lock);
    put_bytes(&disk, b"other", IDENTITY).unwrap();
}

#[test]
fn content_that_cannot_be_read_stores_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let disk = disk_with(&[b"hello"]);
    let before = records(&disk);
    let mut content = (&b"begin"[..]).chain(Broken);
    let error = put(&disk, Path::new(ROOT), &mut content, Path::new("the input"), IDENTITY).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the input");
    assert_eq!((records(&disk), foreign_names(&disk)), (before, vec![]));
}

/// Whatever a crash leaves: what was there before is whole, a put that had returned is whole, and the same put again
/// makes it so.
#[test]
fn a_crash_anywhere_is_repaired_by_the_same_put() {
    for (options, contents) in [(IDENTITY, &[&b"before"[..]][..]), (ZSTD, &[b"before"]), (IDENTITY, &[])] {
        let content = b"content ".repeat(200);
        let start = || disk_with_or_without(contents);
        let whole = start();
        put_bytes(&whole, &content, options).unwrap();
        for fault in all_crashes() {
            for (after, disk) in whole.crash_images(fault).enumerate() {
                let place = format!("{fault:?} after {}", whole.operation_label(after.wrapping_sub(1)));
                let key = cas_key(&content);
                for before in contents {
                    assert_eq!(content_of(&disk, cas_key(before)).as_deref(), Some(*before), "{place}");
                }
                if after == whole.operations() {
                    assert_eq!(content_of(&disk, key).as_ref(), Some(&content), "{place}");
                }
                check_order(&disk, key, &place);
                let end = put_bytes(&disk, &content, options).unwrap_or_else(|e| panic!("{place}: {e}"));
                assert_eq!(content_of(&disk, key).as_ref(), Some(&content), "{place}");
                assert_eq!(records(&disk).last(), Some(&end.record), "{place}");
                assert_eq!(foreign_names(&disk), [] as [PathBuf; 0], "{place}");
                for before in contents {
                    assert_eq!(content_of(&disk, cas_key(before)).as_deref(), Some(*before), "{place}");
                }
            }
        }
    }
}

/// A put that finds what a killed one left in the memory of the system does not take it for durable.
#[test]
fn what_a_killed_put_left_is_made_durable() {
    let start = disk_with_or_without(&[]);
    put_bytes(&start, b"hello", IDENTITY).unwrap();
    for killed_after in 0..=start.operations() {
        let disk = start.kill_image(killed_after);
        put_bytes(&disk, b"hello", IDENTITY).unwrap();
        let lost = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        let place = start.operation_label(killed_after.wrapping_sub(1));
        assert_eq!(content_of(&lost, cas_key(b"hello")).as_deref(), Some(&b"hello"[..]), "killed after {place}");
    }
}

/// What comes later is not there before: objects before the index, a sidecar before its blob, a line before both.
fn check_order(disk: &SimulatedDisk, key: Key, place: &str) {
    let exists = |path: &Path| disk.kind(path).unwrap().is_some();
    let (blob, sidecar, index) = (exists(&paths().blob(key)), exists(&paths().sidecar(key)), exists(&paths().index()));
    assert!(index || !blob, "{place}");
    assert!(blob || !sidecar, "{place}");
    if index {
        assert!(sidecar || records(disk).iter().all(|record| record.digest != key), "{place}");
    }
}

/// A store with these contents, or a disk without a store.
fn disk_with_or_without(contents: &[&[u8]]) -> SimulatedDisk {
    if contents.is_empty() { SimulatedDisk::with_directories(&[Path::new("/data")]) } else { disk_with(contents) }
}

#[test]
fn every_failure_fails_and_the_same_put_succeeds_after_it() {
    for (options, contents) in [(IDENTITY, &[&b"before"[..]][..]), (ZSTD, &[])] {
        let content = b"content ".repeat(200);
        let whole = disk_with_or_without(contents);
        put_bytes(&whole, &content, options).unwrap();
        for kind in InjectedFault::ALL {
            for n in 0..whole.operations() {
                let place = format!("{kind:?} at {}", whole.operation_label(n));
                let disk = disk_with_or_without(contents);
                disk.fail_operation(n, kind);
                let error = put_bytes(&disk, &content, options).expect_err(&place);
                assert_ne!(error.exit_code(), exit::OK, "{place}");
                assert!(!disk.fault_is_pending(), "{place}");
                put_bytes(&disk, &content, options).unwrap_or_else(|e| panic!("{place}: {e}"));
                assert_eq!(content_of(&disk, cas_key(&content)).as_ref(), Some(&content), "{place}");
                assert_eq!(foreign_names(&disk), [] as [PathBuf; 0], "{place}");
            }
        }
    }
}

#[test]
fn nothing_foreign_is_left_among_the_objects() {
    let disk = disk_with(&[b"one", b"two"]);
    let entries = disk.list(&paths().objects()).unwrap();
    assert!(entries.iter().all(|entry| entry.kind == EntryKind::Directory), "{entries:?}");
    let root: Vec<_> = disk.list(Path::new(ROOT)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(root, ["index.ndjson", "objects"]);
}
