//! Verifications of a v2 store: they report every row of the damage table, and no false faults.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use crate::support::conformance::{conformance, run_checker};
use crate::support::files::tree;
use crate::support::read_only::ReadOnly;
use crate::support::space_runs::disk;
use crate::support::v2_store::{OBJECTS, V2Store, contents};
use haul::cas::format::digest::key_of;
use haul::cas::format::frame::decode;
use haul::cas::options::MigrateOptions;
use haul::cas::verify::run::check_store;
use haul::cas::verify::{FaultKind, VerifyEnd, VerifyRequest, verify_store};
use haul::cas::{Algorithm, Key};
use haul::durable::{Disk, RealDisk};
use haul::migration::{Error, JournalContents, RunDirectory, RunOptions, Sample, Subset, exit};
use haul::pipeline::{Control, Event, Observer, Phase, Silent, StopToken};
use proptest::prelude::*;

fn check_with(
    disk: &Arc<dyn Disk>,
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
) -> Result<VerifyEnd, Error> {
    let stop = StopToken::new();
    check_store(disk, root, request, options, &Control { stop: &stop, observer: &Silent })
}

fn check(root: &Path, request: &VerifyRequest) -> VerifyEnd {
    check_with(&disk(), root, request, &MigrateOptions::default()).expect("a store that can be seen")
}

fn counts(end: &VerifyEnd) -> Vec<(&str, u64)> {
    end.faults_count.iter().map(|(name, count)| (*name, *count)).collect()
}

/// Every file below a directory, and the texts of symbolic links.
fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                pending.push(path.clone());
            }
            let bytes = match fs::read_link(&path) {
                Ok(target) => target.into_os_string().into_encoded_bytes(),
                Err(_) if kind.is_file() => fs::read(&path).unwrap(),
                Err(_) => Vec::new(),
            };
            found.insert(path, bytes);
        }
    }
    found
}

/// Damages a store, and expects exactly these faults.
#[track_caller]
fn row(damage: impl FnOnce(&V2Store), expected: &[(&str, u64)]) {
    let store = V2Store::new();
    damage(&store);
    let before = everything(store.directory());
    let end = check(&store.root(), &VerifyRequest::WHOLE);
    assert_eq!(everything(store.directory()), before, "a verification reads only");
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(counts(&end), expected, "{:#?}", end.faults);
    assert_eq!(end.faults.len() as u64, end.errors + end.warnings);
    let listed_errors = end.faults.iter().filter(|fault| fault.is_error()).count() as u64;
    assert_eq!(listed_errors, end.errors);
    assert!(end.objects_ok <= end.objects_read && end.objects_read <= OBJECTS as u64);
}

/// Damages a store, and expects the same result from the checker that shares no code with haul.
#[track_caller]
fn row_judged_independently(damage: impl FnOnce(&V2Store)) {
    let store = V2Store::new();
    damage(&store);
    let end = check(&store.root(), &VerifyRequest::WHOLE);
    let checker = conformance("requiem").join("check_cas.py");
    let output = run_checker(&checker, &[store.root().as_os_str(), "--quiet".as_ref()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let counts: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let (errors, warnings) = (counts["errors"].as_u64().unwrap(), counts["warnings"].as_u64().unwrap());
    assert_eq!(errors > 0, end.errors > 0, "the independent checker counts {errors} errors");
    // If there are errors, the two may report different warnings.
    let same_warnings = end.errors > 0 || (warnings > 0) == (end.warnings > 0);
    assert!(same_warnings, "the independent checker counts {warnings} warnings");
}

/// An object that is stored as it is, one that is zstd, and one of many windows.
const PLAIN: usize = 4;
const ZSTD: usize = 6;
const LARGE: usize = 10;

/// Two tests for each row of the table: one of haul, one of the independent checker.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: |$store:ident| $damage:expr, $expected:expr;)+) => {
        $($(#[$doc])* #[test] fn $name() { row(|$store: &V2Store| { $damage; }, &$expected); })+

        mod python_blake3 {
            use super::*;

            $(
                #[test]
                #[ignore = "needs the conformance data and python3 with blake3 and zstandard"]
                fn $name() { row_judged_independently(|$store: &V2Store| { $damage; }); }
            )+
        }
    };
}

rows! {
    nothing_is_wrong_with_a_migrated_store: |_store| {}, [];

    a_flipped_byte_of_a_blob: |store| store.edit(&store.blob(PLAIN), |bytes| bytes[100] ^= 1),
        [("stored-hash-wrong", 1), ("wrong-content", 1)];
    a_flipped_byte_of_a_large_blob: |store| store.edit(&store.blob(LARGE), |bytes| *bytes.last_mut().unwrap() ^= 1),
        [("stored-hash-wrong", 1), ("wrong-content", 1)];
    a_truncated_zstd_blob: |store| store.edit(&store.blob(ZSTD), |bytes| bytes.truncate(bytes.len() - 3)),
        [("stored-hash-wrong", 1), ("stored-size-wrong", 1), ("undecodable", 1)];
    a_zstd_blob_followed_by_garbage: |store| store.edit(&store.blob(ZSTD), |bytes| bytes.extend(b"garbage")),
        [("stored-hash-wrong", 1), ("stored-size-wrong", 1), ("undecodable", 1)];
    an_emptied_blob: |store| fs::write(store.blob(PLAIN), b"").unwrap(),
        [("original-size-wrong", 1), ("stored-hash-wrong", 1), ("stored-size-wrong", 1), ("wrong-content", 1)];
    a_blob_and_its_sidecar_in_the_wrong_shard: |store| move_to_wrong_shard(store),
        [("blob-missing", 1), ("misplaced", 1)];

    a_missing_sidecar: |store| fs::remove_file(store.sidecar(PLAIN)).unwrap(), [("sidecar-missing", 1)];
    an_empty_sidecar: |store| fs::write(store.sidecar(PLAIN), b"").unwrap(), [("sidecar-malformed", 1)];
    a_sidecar_that_is_not_json: |store| fs::write(store.sidecar(PLAIN), b"not JSON").unwrap(),
        [("sidecar-malformed", 1)];
    a_sidecar_with_a_duplicate_key: |store| store.replace(&store.sidecar(PLAIN), ",\"stored", ",\"encoding\":\"identity\",\"stored"),
        [("sidecar-malformed", 1)];
    a_sidecar_with_data_behind_it: |store| store.edit(&store.sidecar(PLAIN), |bytes| bytes.extend(b"{}")),
        [("sidecar-malformed", 1)];
    an_identity_blob_said_to_be_zstd: |store| store.replace(&store.sidecar(PLAIN), "identity", "zstd"),
        [("index-differs", 1), ("undecodable", 1)];
    a_zstd_blob_said_to_be_identity: |store| store.replace_both(ZSTD, "zstd", "identity"),
        [("original-size-wrong", 1), ("wrong-content", 1)];
    a_sidecar_of_another_object: |store| { fs::copy(store.sidecar(7), store.sidecar(PLAIN)).unwrap(); },
        [("index-differs", 1), ("original-size-wrong", 1), ("sidecar-of-another", 1), ("stored-hash-wrong", 1),
         ("stored-size-wrong", 1)];
    an_empty_stored_blob_hash: |store| {
        let hash = store.record(PLAIN).stored_blob_hash.to_string();
        store.replace(&store.sidecar(PLAIN), &hash, "")
    }, [("sidecar-malformed", 1)];
    a_zstd_original_size_that_is_too_small: |store| store.replace_both(ZSTD, "\"original_size\":65536", "\"original_size\":65535"),
        [("original-size-wrong", 1)];
    an_object_whose_content_is_another: |store| store.forge(PLAIN, b"other content"), [("wrong-content", 1)];

    a_deleted_blob: |store| fs::remove_file(store.blob(PLAIN)).unwrap(), [("blob-missing", 1), ("lone-sidecar", 1)];
    a_deleted_blob_and_sidecar: |store| {
        fs::remove_file(store.blob(PLAIN)).unwrap();
        fs::remove_file(store.sidecar(PLAIN)).unwrap();
    }, [("blob-missing", 1)];
    a_deleted_index: |store| fs::remove_file(store.index()).unwrap(), [("index-missing", 1), ("not-indexed", 14)];
    an_empty_index: |store| fs::write(store.index(), b"").unwrap(), [("index-empty", 1), ("not-indexed", 14)];
    a_removed_line: |store| store.replace(&store.index(), &format!("{}\n", store.line(PLAIN)), ""),
        [("not-indexed", 1)];
    a_torn_last_line: |store| store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 20)),
        [("index-foreign-line", 1), ("index-torn", 1), ("not-indexed", 1)];
    a_byte_order_mark: |store| store.edit(&store.index(), |bytes| drop(bytes.splice(0..0, *b"\xEF\xBB\xBF"))),
        [("index-byte-order-mark", 1)];
    a_name_in_uppercase: |store| {
        let blob = store.blob(PLAIN);
        let name = blob.file_name().unwrap().to_str().unwrap().to_uppercase();
        fs::rename(&blob, blob.with_file_name(name)).unwrap();
    }, [("blob-missing", 1), ("foreign-name", 1), ("lone-sidecar", 1)];
    a_line_glued_to_a_torn_one: |store| {
        // The last line is torn, and a put appends that of its object behind it.
        let line = store.line(PLAIN);
        store.replace(&store.index(), &format!("{line}\n"), "");
        store.edit(&store.index(), |bytes| {
            bytes.truncate(bytes.len() - 30);
            bytes.extend(format!("{line}\n").as_bytes());
        });
    }, [("index-foreign-line", 1), ("not-indexed", 2)];
    an_absurd_original_size: |store| store.replace(&store.sidecar(ZSTD), "\"original_size\":65536", "\"original_size\":1000000000000000000"),
        [("index-differs", 1), ("original-size-wrong", 1)];

    a_wrong_stored_size: |store| store.replace_both(PLAIN, "\"stored_size\":4095", "\"stored_size\":4096"),
        [("stored-size-wrong", 1)];
    a_wrong_original_size: |store| store.replace_both(PLAIN, "\"original_size\":4095", "\"original_size\":4094"),
        [("original-size-wrong", 1)];
    a_zstd_original_size_that_is_too_large: |store| store.replace_both(ZSTD, "\"original_size\":65536", "\"original_size\":65537"),
        [("original-size-wrong", 1)];
    an_empty_digest: |store| store.replace(&store.sidecar(PLAIN), &V2Store::key(PLAIN).to_string(), ""),
        [("sidecar-malformed", 1)];
    an_unknown_encoding: |store| store.replace(&store.sidecar(PLAIN), "identity", "gzip"), [("sidecar-malformed", 1)];

    a_wrong_stored_size_in_the_index: |store| edit_line(store, "\"stored_size\":4095", "\"stored_size\":1"),
        [("index-differs", 1)];
    a_wrong_original_size_in_the_index: |store| edit_line(store, "\"original_size\":4095", "\"original_size\":1"),
        [("index-differs", 1)];
    a_wrong_encoding_in_the_index: |store| edit_line(store, "identity", "zstd"), [("index-differs", 1)];
    a_wrong_hash_in_the_index: |store| edit_line(store, "\"stored_blob_hash\":\"", "\"stored_blob_hash\":\"0000"),
        [("index-foreign-line", 1), ("not-indexed", 1)];
    another_hash_in_the_index: |store| {
        let (here, there) = (store.record(PLAIN).stored_blob_hash, store.record(7).stored_blob_hash);
        edit_line(store, &here.to_string(), &there.to_string())
    }, [("index-differs", 1)];
    another_time_in_the_index: |store| edit_line(store, "\"created_at\":17", "\"created_at\":18"), [("index-differs", 1)];
    a_line_for_an_object_that_is_not_there: |store| {
        let line = store.line(PLAIN).replace(&V2Store::key(PLAIN).to_string(), &"ab".repeat(32));
        store.edit(&store.index(), |bytes| bytes.extend(format!("{line}\n").as_bytes()));
    }, [("blob-missing", 1)];

    keys_that_are_listed_twice: |store| {
        let lines = format!("{}\n{}\n", store.line(PLAIN), store.line(PLAIN));
        store.edit(&store.index(), |bytes| bytes.extend(lines.as_bytes()));
    }, [("index-repeated-key", 1)];
    lines_that_end_with_carriage_returns: |store| store.edit(&store.index(), |bytes| {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    }), [("index-carriage-return", 14)];
    blank_lines: |store| store.edit(&store.index(), |bytes| bytes.extend(b"\n\n")), [("index-blank-line", 2)];
    the_last_of_several_lines_counts: |store| {
        let wrong = store.line(PLAIN).replace("\"stored_size\":4095", "\"stored_size\":1");
        store.edit(&store.index(), |bytes| bytes.extend(format!("{wrong}\n").as_bytes()));
    }, [("index-differs", 1), ("index-repeated-key", 1)];
    a_line_in_another_form: |store| store.replace(&store.index(), "\",\"encoding\"", "\", \"encoding\""),
        [("index-not-canonical", 1)];

    foreign_lines: |store| store.edit(&store.index(), |bytes| bytes.extend(b"hello\n[1]\n")), [("index-foreign-line", 2)];
    no_newline_at_the_end: |store| store.edit(&store.index(), |bytes| bytes.truncate(bytes.len() - 1)), [("index-torn", 1)];
    lines_that_hold_a_digest_only: |store| store.edit(&store.index(), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let short = |line: &str| format!("{}}}\n", line.split(",\"encoding").next().unwrap());
        *bytes = text.lines().map(short).collect::<String>().into_bytes();
    }), [("index-empty", 1), ("index-foreign-line", 14), ("not-indexed", 14)];

    a_temporary_file_left_over: |store| fs::write(store.blob(PLAIN).with_file_name(".tmp_123456"), b"half").unwrap(),
        [("temporary-file", 1)];
    foreign_files_and_directories: |store| {
        fs::write(store.root().join("objects/notes.txt"), b"x").unwrap();
        fs::create_dir(store.root().join("objects/zz")).unwrap();
        fs::write(store.blob(PLAIN).with_file_name("abc.meta"), b"x").unwrap();
    }, [("foreign-name", 3)];
    a_blob_replaced_by_a_link_to_good_content: |store| {
        let elsewhere = store.directory().join("elsewhere");
        fs::rename(store.blob(PLAIN), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.blob(PLAIN)).unwrap();
    }, [("not-a-file", 1)];
    a_directory_in_place_of_a_blob: |store| {
        fs::remove_file(store.blob(PLAIN)).unwrap();
        fs::create_dir(store.blob(PLAIN)).unwrap();
    }, [("not-a-file", 1)];
    a_shard_replaced_by_a_link: |store| {
        let shard = store.blob(PLAIN).parent().unwrap().to_path_buf();
        let elsewhere = store.directory().join("elsewhere");
        fs::rename(&shard, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &shard).unwrap();
    }, [("blob-missing", 1), ("not-a-file", 1)];
    a_sidecar_replaced_by_a_link: |store| {
        let elsewhere = store.directory().join("elsewhere");
        fs::rename(store.sidecar(PLAIN), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.sidecar(PLAIN)).unwrap();
    }, [("foreign-name", 1), ("sidecar-missing", 1)];
    no_directory_of_objects: |store| fs::remove_dir_all(store.root().join("objects")).unwrap(),
        [("blob-missing", 14), ("objects-missing", 1)];

    a_sidecar_without_a_time: |store| {
        let time = format!(",\"created_at\":{}", store.record(PLAIN).created_at);
        store.replace_both(PLAIN, &time, "")
    }, [("index-no-created-at", 1), ("sidecar-no-created-at", 1)];
    a_sidecar_in_another_form: |store| store.edit(&store.sidecar(PLAIN), |bytes| bytes.push(b'\n')),
        [("sidecar-not-canonical", 1)];
}

fn move_to_wrong_shard(store: &V2Store) {
    let shard = store.root().join("objects/00/00");
    fs::create_dir_all(&shard).unwrap();
    for path in [store.blob(PLAIN), store.sidecar(PLAIN)] {
        fs::rename(&path, shard.join(path.file_name().unwrap())).unwrap();
    }
}

/// Changes the line of an object, not its sidecar.
fn edit_line(store: &V2Store, from: &str, to: &str) {
    let line = store.line(PLAIN);
    let changed = line.replacen(from, to, 1);
    store.replace(&store.index(), &line, &changed);
}

// Shares and samples.

fn share(root: &Path, part: u64, of: u64) -> VerifyEnd {
    check(root, &VerifyRequest { subset: Subset { part, of }, ..VerifyRequest::WHOLE })
}

#[test]
fn a_share_is_verified_while_another_process_has_the_lock_unless_something_is_wrong() {
    let store = V2Store::new();
    let run = RunDirectory::new(store.root().with_extension("migration"));
    run.create(&RealDisk).unwrap();
    let lock = run.lock(&RealDisk).unwrap();
    let check = |request| check_with(&disk(), &store.root(), request, &MigrateOptions::default());
    let first = VerifyRequest { subset: Subset { part: 1, of: 2 }, ..VerifyRequest::WHOLE };
    assert!(check(&first).unwrap().is_sound());
    assert_eq!(check(&VerifyRequest::WHOLE).unwrap_err().exit_code(), exit::TEMPORARY);

    // A fault without the lock may come of a run that changes the store.
    for key in [PLAIN, ZSTD] {
        store.edit(&store.blob(key), |bytes| bytes[0] ^= 1);
    }
    fs::remove_file(store.index()).unwrap();
    assert_eq!(check(&first).unwrap_err().exit_code(), exit::TEMPORARY);
    drop(lock);
    assert!(!check(&first).unwrap().is_sound());
}

#[test]
fn shares_add_up_to_the_whole() {
    let store = V2Store::new();
    store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1);
    store.edit(&store.blob(ZSTD), |bytes| bytes.truncate(9));
    fs::remove_file(store.sidecar(7)).unwrap();
    store.replace(&store.index(), &format!("{}\n", store.line(2)), "");
    let whole = check(&store.root(), &VerifyRequest::WHOLE);
    for of in [1, 2, 3, 20] {
        let shares: Vec<_> = (1..=of).map(|part| share(&store.root(), part, of)).collect();
        let sum = |count: fn(&VerifyEnd) -> u64| shares.iter().map(count).sum::<u64>();
        assert_eq!(sum(|end| end.objects_read), whole.objects_read, "{of} shares");
        assert_eq!(sum(|end| end.objects_in_share), whole.objects_read);
        assert_eq!(sum(|end| end.objects_ok), whole.objects_ok);
        assert_eq!(sum(|end| end.blob_bytes), whole.blob_bytes);
        assert_eq!(sum(|end| end.content_bytes), whole.content_bytes);
        let count = |end: &VerifyEnd, name| end.faults_count.get(name).copied().unwrap_or(0);
        for (name, expected) in &whole.faults_count {
            // Faults that are visible without reading an object are in every share.
            let is_structural = ["not-indexed", "sidecar-missing", "stored-size-wrong"].contains(name);
            let found = shares.iter().map(|end| count(end, name)).sum::<u64>();
            assert_eq!(found, if is_structural { expected * of } else { *expected }, "{name} in {of} shares");
        }
    }
}

#[test]
fn a_verification_of_any_share_fails_without_an_index() {
    let store = V2Store::new();
    fs::remove_file(store.index()).unwrap();
    for part in 1..=20 {
        assert!(share(&store.root(), part, 20).errors > 0);
    }
    let sample = Some(Sample { records: 1, seed: 0 });
    assert!(check(&store.root(), &VerifyRequest { sample, ..VerifyRequest::WHOLE }).errors > 0);
}

#[test]
fn a_sample_reads_as_many_objects_as_were_asked_for() {
    let store = V2Store::new();
    (0..OBJECTS).for_each(|number| store.forge(number, format!("forged {number}").as_bytes()));
    let sample = |objects, seed| {
        let sample = Some(Sample { records: objects, seed });
        let end = check(&store.root(), &VerifyRequest { sample, ..VerifyRequest::WHOLE });
        assert_eq!(end.objects_read, objects.min(OBJECTS as u64));
        assert_eq!(end.errors, end.objects_read);
        assert!(end.covered.contains(&format!("seed {seed}")), "{}", end.covered);
        end.faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>()
    };
    assert_eq!(sample(4, 1), sample(4, 1));
    assert_ne!(sample(4, 1), sample(4, 2));
    sample(1000, 1);
}

// Stops and resumptions.

/// Requests a stop when the first batch of objects is written.
#[derive(Default)]
struct StopAtBatch {
    stop: StopToken,
    is_verifying: AtomicBool,
}

impl Observer for StopAtBatch {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseStarted { phase: Phase::Verify, .. } => self.is_verifying.store(true, Relaxed),
            Event::BatchWritten { .. } | Event::Progressed { .. } if self.is_verifying.load(Relaxed) => {
                self.stop.request()
            }
            _ => {}
        }
    }
}

/// Options under which batches come one at a time, and a checkpoint follows each.
fn slow() -> MigrateOptions {
    MigrateOptions {
        run: RunOptions {
            checkpoint_interval_records: 1,
            checkpoint_interval_ms_min: 0,
            memory_budget_bytes: 1,
            parallel_workers: NonZeroUsize::MIN,
            ..MigrateOptions::default().run
        },
        ..MigrateOptions::default()
    }
}

fn many_objects(store: &V2Store, count: usize) {
    let mut index = fs::read(store.index()).unwrap();
    for number in 0..count {
        let content = format!("object {number}").into_bytes();
        let key = key_of(Algorithm::Cas, &content);
        let record = haul::cas::format::record::ObjectRecord {
            digest: key,
            encoding: haul::cas::format::encoding::Encoding::Identity,
            original_size: content.len() as u64,
            stored_size: content.len() as u64,
            stored_blob_hash: haul::cas::format::digest::blake3_key(&content),
            created_at: 0,
        };
        let blob = haul::cas::paths::blob_path(&store.root(), key);
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, &content).unwrap();
        let mut text = Vec::new();
        record.push_json(&mut text);
        fs::write(haul::cas::paths::sidecar_path(&store.root(), key), &text).unwrap();
        index.extend(text);
        index.push(b'\n');
    }
    fs::write(store.index(), index).unwrap();
}

#[test]
fn a_stopped_verification_goes_on_and_counts_everything_once() {
    let store = V2Store::new();
    many_objects(&store, 3000);
    for number in [1, 4, 10] {
        store.edit(&store.blob(number), |bytes| bytes[0] ^= 1);
    }
    fs::write(store.root().join("objects/foreign"), b"").unwrap();
    let whole = check(&store.root(), &VerifyRequest::WHOLE);
    assert_eq!((whole.objects_read, whole.errors, whole.warnings), (3014, 6, 1));
    let mut stops = 0;
    let end = loop {
        let observer = StopAtBatch::default();
        let control = Control { stop: &observer.stop, observer: &observer };
        let end = check_store(&disk(), &store.root(), &VerifyRequest::WHOLE, &slow(), &control).unwrap();
        if !end.stopped {
            break end;
        }
        assert!(!end.is_sound(), "what was stopped is not said to be sound");
        assert!(end.objects_read < 3014 && end.resumed == (stops > 0));
        assert!(store.directory().join("store.migration/verify/checkpoint.bin").exists(), "its place is kept");
        stops += 1;
        assert!(stops < 100, "it gets on");
    };
    assert!(stops > 1, "stopped {stops} times");
    assert!(end.resumed);
    assert_eq!(VerifyEnd { resumed: false, ..end }, whole);
    assert!(!store.directory().join("store.migration/verify").exists(), "its place is gone at the end");
}

#[test]
fn a_resume_point_of_another_store_or_share_is_not_used() {
    let store = V2Store::new();
    many_objects(&store, 3000);
    let stop_early = || {
        let observer = StopAtBatch::default();
        let control = Control { stop: &observer.stop, observer: &observer };
        let end = check_store(&disk(), &store.root(), &VerifyRequest::WHOLE, &slow(), &control).unwrap();
        assert!(end.stopped);
    };
    stop_early();
    assert!(!share(&store.root(), 1, 2).resumed);
    stop_early();
    store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1);
    let end = check(&store.root(), &VerifyRequest::WHOLE);
    assert!(!end.resumed && end.errors == 2);
    stop_early();
    let line = store.line(1);
    store.edit(&store.index(), |bytes| bytes.extend(format!("{line}\n").as_bytes()));
    let end = check(&store.root(), &VerifyRequest::WHOLE);
    assert!(!end.resumed && end.faults_count["index-repeated-key"] == 1);
    stop_early();
    fs::write(store.directory().join("store.migration/verify/checkpoint.bin"), b"rubbish").unwrap();
    assert!(!check(&store.root(), &VerifyRequest::WHOLE).resumed);
}

#[test]
fn a_small_budget_sorts_on_disk_and_finds_the_same() {
    let store = V2Store::new();
    many_objects(&store, 3000);
    store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1);
    let whole = check(&store.root(), &VerifyRequest::WHOLE);
    let options = MigrateOptions {
        run: RunOptions { sort_memory_bytes_min: 4096, memory_budget_bytes: 1, ..MigrateOptions::default().run },
        ..MigrateOptions::default()
    };
    let sample = Some(Sample { records: 1000, seed: 5 });
    let small = check_with(&disk(), &store.root(), &VerifyRequest::WHOLE, &options).unwrap();
    assert_eq!(small, whole);
    let request = VerifyRequest { sample, ..VerifyRequest::WHOLE };
    assert_eq!(check_with(&disk(), &store.root(), &request, &options).unwrap(), check(&store.root(), &request));
}

// Read-only places, and leftovers.

#[test]
fn a_store_is_verified_where_nothing_can_be_written() {
    let store = V2Store::new();
    store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1);
    let before = everything(store.directory());
    let read_only: Arc<dyn Disk> = Arc::new(ReadOnly);
    let end = check_with(&read_only, &store.root(), &VerifyRequest::WHOLE, &MigrateOptions::default()).unwrap();
    assert_eq!((end.objects_read, end.objects_ok, end.errors), (14, 13, 2));
    assert_eq!(everything(store.directory()), before);
}

#[test]
fn a_missing_store_is_an_error_and_nothing_is_created() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"").unwrap();
    for name in ["nowhere", "file", "file/below", "no/where"] {
        let root = directory.path().join(name);
        for error in [check_with(&disk(), &root, &VerifyRequest::WHOLE, &MigrateOptions::default()).expect_err(name), {
            let stop = StopToken::new();
            let control = Control { stop: &stop, observer: &Silent };
            verify_store(&root, &VerifyRequest::WHOLE, &MigrateOptions::default(), &control).expect_err(name)
        }] {
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
            assert!(error.next_step().is_some());
        }
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(counts(&check(&empty, &VerifyRequest::WHOLE)), [("index-missing", 1), ("objects-missing", 1)]);
    // An empty store is sound, and the result says that no object was read.
    fs::create_dir(empty.join("objects")).unwrap();
    fs::write(empty.join("index.ndjson"), b"").unwrap();
    let end = check(&empty, &VerifyRequest::WHOLE);
    assert!(end.is_sound() && end.objects_read == 0 && end.covered.contains("0 of 0 read"), "{}", end.covered);
}

#[test]
fn a_locked_store_is_not_verified_and_a_verification_is_in_the_journal() {
    let store = V2Store::new();
    let run_directory = haul::cas::paths::TargetPaths::of_store(&store.root()).unwrap().run_directory();
    run_directory.create(&*disk()).unwrap();
    let lock = run_directory.lock(&*disk()).unwrap();
    let error = check_with(&disk(), &store.root(), &VerifyRequest::WHOLE, &MigrateOptions::default()).unwrap_err();
    assert_eq!(error.exit_code(), exit::TEMPORARY);
    drop(lock);
    check(&store.root(), &VerifyRequest::WHOLE);
    store.edit(&store.blob(PLAIN), |bytes| bytes[0] ^= 1);
    check(&store.root(), &VerifyRequest::WHOLE);
    let JournalContents { entries, .. } = haul::migration::journal::read(&*disk(), run_directory.path()).unwrap();
    let events: Vec<_> = entries.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(events, ["store-verified", "verification-failed"]);
}

fn copied(from: &Path) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    for (path, bytes) in tree(from) {
        fs::create_dir_all(root.join(&path).parent().unwrap()).unwrap();
        fs::write(root.join(&path), bytes).unwrap();
    }
    (directory, root)
}

// Random damage.

/// What a reader gets from the store by the rules of the reference: a key that the index lists, a sidecar, a blob with
/// the hash in the sidecar, content with the key.
fn as_readers_see(root: &Path) -> BTreeMap<Key, Vec<u8>> {
    let mut seen = BTreeMap::new();
    let Ok(index) = fs::read(root.join("index.ndjson")) else { return seen };
    for line in index.split(|&byte| byte == b'\n') {
        let Ok(record) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let Some(key) = record["digest"].as_str().and_then(|text| Key::parse(text.as_bytes())) else { continue };
        if let Some(content) = content_as_read(root, key) {
            seen.insert(key, content);
        }
    }
    seen
}

fn content_as_read(root: &Path, key: Key) -> Option<Vec<u8>> {
    let stored = fs::read(haul::cas::paths::blob_path(root, key)).ok()?;
    let sidecar = fs::read(haul::cas::paths::sidecar_path(root, key)).ok()?;
    let record: serde_json::Value = serde_json::from_slice(&sidecar).ok()?;
    if record["stored_blob_hash"].as_str()? != haul::cas::format::digest::blake3_key(&stored).to_string() {
        return None;
    }
    let mut content = Vec::new();
    if record["encoding"] == "zstd" {
        decode(stored.as_slice(), &mut Vec::new(), |piece| {
            content.extend_from_slice(piece);
            Ok::<_, std::convert::Infallible>(())
        })
        .ok()?;
    } else {
        content = stored;
    }
    (key_of(Algorithm::Cas, &content) == key).then_some(content)
}

/// A random change of a random file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove,
    Empty,
    CopyTo(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let at = any::<prop::sample::Index>;
    let damage = prop_oneof![
        4 => (at(), 1_u8..).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        2 => at().prop_map(Damage::Cut),
        2 => (at(), proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 1..4))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => Just(Damage::Remove),
        1 => Just(Damage::Empty),
        1 => at().prop_map(Damage::CopyTo),
    ];
    (at(), damage)
}

fn apply(root: &Path, which: prop::sample::Index, damage: &Damage) {
    let mut files: Vec<_> = tree(root).into_keys().collect();
    // The index is chosen as often as all other files together.
    files.extend(std::iter::repeat_n(PathBuf::from("index.ndjson"), files.len()));
    let path = root.join(&files[which.index(files.len())]);
    let Ok(mut bytes) = fs::read(&path) else { return };
    match damage {
        Damage::Flip(at, mask) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        Damage::Flip(..) => {}
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Damage::Insert(at, more) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
        }
        Damage::Remove => return fs::remove_file(path).unwrap(),
        Damage::Empty => bytes.clear(),
        Damage::CopyTo(other) => return fs::write(root.join(&files[other.index(files.len())]), bytes).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

static SOUND: LazyLock<(V2Store, BTreeMap<Key, Vec<u8>>)> = LazyLock::new(|| {
    let store = V2Store::new();
    let seen = as_readers_see(&store.root());
    assert_eq!(seen.into_values().collect::<std::collections::BTreeSet<_>>(), contents().into_iter().collect());
    let seen = as_readers_see(&store.root());
    (store, seen)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 60 } else { 600 }, ..ProptestConfig::default() })]

    /// A store without reported errors gives its readers every object, byte for byte.
    #[test]
    fn random_damage_is_seen_or_harmless(damages in proptest::collection::vec(damage(), 1..4)) {
        let (_directory, root) = copied(&SOUND.0.root());
        for (which, damage) in &damages {
            if !tree(&root).is_empty() {
                apply(&root, *which, damage);
            }
        }
        let end = check(&root, &VerifyRequest::WHOLE);
        let seen = as_readers_see(&root);
        prop_assert!(end.errors > 0 || seen == SOUND.1, "{:?}", end.faults_count);
        // Conversely, readers get every object of a sound store.
        prop_assert!(seen.len() as u64 >= end.objects_ok, "{} seen, {} sound", seen.len(), end.objects_ok);
        let kinds: u64 = FaultKind::ALL.iter().map(|kind| end.faults_count.get(kind.name()).copied().unwrap_or(0)).sum();
        prop_assert_eq!(kinds, end.errors + end.warnings);
    }
}

mod conformance {
    use super::*;

    #[test]
    #[ignore = "needs the conformance data"]
    fn the_reference_store_is_sound_and_older_stores_are_not() {
        let data = conformance("requiem");
        let end = check(&copied(&data.join("cas-v2")).1, &VerifyRequest::WHOLE);
        assert!(end.is_sound() && end.warnings == 0 && end.objects_ok == 14, "{:?}", end.faults);
        for older in ["cas-v2-noindex", "cas-blake3-unprefixed", "cas-blake2s", "cas-sha256-sharded", "cas-v1-flat"] {
            let end = check(&copied(&data.join(older)).1, &VerifyRequest::WHOLE);
            assert!(end.errors > 14 && end.objects_ok == 0 && end.objects == 14, "{older}: {:?}", end.faults_count);
        }
    }
}
