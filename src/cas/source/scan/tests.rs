#![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::cas::format::digest::key_of;
use crate::cas::format::key::Algorithm;
use crate::cas::source::inventory::{InventoryBuilder, Item};

struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn root(&self) -> SourceRoot {
        SourceRoot::open(self.0.path()).unwrap()
    }

    fn scan(&self, workers: usize) -> (ScanSums, Vec<Item>, BTreeMap<PathBuf, String>) {
        let mut builder = InventoryBuilder::in_memory();
        let mut others = BTreeMap::new();
        let sums = scan(&self.root(), workers, &StopToken::new(), |found| {
            match found {
                Found::Object(entry) => builder.push_object(&entry)?,
                Found::Sidecar(location) => builder.push_sidecar(&location)?,
                Found::Skipped { path, reason } => _ = others.insert(path, format!("{reason:?}")),
                Found::Refused { path, reason, .. } => _ = others.insert(path, format!("{reason:?}")),
            }
            Ok(())
        });
        let mut inventory = builder.finish().unwrap();
        let mut items = Vec::new();
        while let Some(item) = inventory.next().unwrap() {
            items.push(item);
        }
        (sums.unwrap().unwrap(), items, others)
    }
}

fn key(number: u32) -> String {
    key_of(Algorithm::Sha256, &number.to_le_bytes()).to_string()
}

fn sharded(number: u32) -> String {
    let key = key(number);
    format!("objects/{}/{}/{key}", &key[..2], &key[2..4])
}

#[test]
fn objects_are_found_in_every_layout_in_the_order_of_their_paths() {
    let store = Store::new();
    for number in 0..300 {
        store.file(&sharded(number), b"x");
        if number % 3 == 0 {
            store.file(&format!("{}.meta", sharded(number)), b"{}");
        }
    }
    store.file(&format!("objects/{}", key(1000)), b"four");
    store.file(&format!("objects/{}/{}", &key(1001)[..2], &key(1001)[2..]), b"four");
    store.file(&format!("objects/00/{}", key(1002)), b"four");
    store.file(&format!("objects/00/{}.meta", key(1003)), b"lone");
    let (sums, items, others) = store.scan(1);
    assert_eq!((sums.objects, sums.sidecars, sums.object_bytes), (303, 101, 300 + 12));
    assert_eq!(sums.shapes, [1, 1, 1, 300]);
    assert!(others.is_empty());
    assert_eq!(items.len(), 304);
    let locations = items.iter().map(|item| match item {
        Item::Object { entry, .. } => entry.location,
        Item::LoneSidecar(location) => *location,
    });
    assert!(locations.is_sorted());
    let with_sidecar = items.iter().filter(|item| matches!(item, Item::Object { has_sidecar: true, .. })).count();
    let lone = items.iter().filter(|item| matches!(item, Item::LoneSidecar(_))).count();
    assert_eq!((with_sidecar, lone), (100, 1));
    for workers in [2, 7] {
        let (other_sums, other_items, _) = store.scan(workers);
        assert_eq!((other_sums.digest(), other_items), (sums.digest(), items.clone()));
    }
}

#[test]
fn what_is_no_object_is_named_with_its_reason() {
    let store = Store::new();
    let objects = store.0.path().join("objects");
    store.file("objects/ab/cd/.tmp_123", b"").file("objects/x.tmp", b"").file("objects/ab/rest.sig", b"");
    store.file("objects/index.ndjson", b"").file("objects/README", b"").file("objects/v2/objects/ab/x", b"");
    fs::create_dir_all(objects.join(format!("ab/cd/{}", key(1)))).unwrap();
    std::os::unix::fs::symlink("/nowhere", objects.join("ab/cd").join(key(2))).unwrap();
    std::os::unix::fs::symlink("ab", objects.join("ef")).unwrap();
    let pipe = objects.join(key(3));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let (sums, items, others) = store.scan(2);
    let expected = [
        ("README", "Foreign"),
        ("ab/cd/.tmp_123", "Temporary"),
        ("ab/rest.sig", "Signature"),
        ("ef", "NotAFile"),
        ("index.ndjson", "Index"),
        ("v2", "Foreign"),
        ("x.tmp", "Temporary"),
    ];
    let expected = expected.map(|(path, reason)| (objects.join(path), reason.to_owned()));
    assert_eq!(others, BTreeMap::from(expected));
    let kinds: Vec<_> = items
        .iter()
        .map(|item| match item {
            Item::Object { entry, .. } => entry.kind,
            Item::LoneSidecar(_) => panic!("there is none"),
        })
        .collect();
    assert_eq!((sums.objects, sums.others), (3, 7));
    assert!([EntryKind::Directory, EntryKind::Link, EntryKind::Other].iter().all(|kind| kinds.contains(kind)));
}

#[test]
fn a_bare_root_is_taken_without_objects() {
    let store = Store::new();
    store.file(&key(1), b"1").file("ab/cd/x", b"");
    let (sums, _, others) = store.scan(1);
    assert_eq!((sums.objects, others.len()), (1, 1));
}

#[test]
#[ignore = "needs a user who is not root"]
fn a_directory_closed_to_an_unprivileged_user_is_refused_and_the_others_are_read() {
    let store = Store::new();
    store.file(&sharded(1), b"1").file(&sharded(2), b"2");
    let closed = store.0.path().join(sharded(1)).parent().unwrap().to_path_buf();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let is_readable = fs::read_dir(&closed).is_ok();
    let (sums, _, others) = store.scan(2);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!is_readable, "this user reads every directory");
    assert_eq!(sums.objects, 1);
    assert_eq!(others, BTreeMap::from([(closed, "Unreadable".to_owned())]));
}

#[test]
fn every_change_of_an_object_changes_the_digest() {
    let store = Store::new();
    store.file(&sharded(1), b"1").file(&sharded(2), b"2");
    let before = store.scan(1).0;
    assert_eq!(store.scan(1).0.digest(), before.digest());
    before.check_unchanged(&store.root()).unwrap();
    store.file(&sharded(1), b"other");
    let grown = store.scan(1).0;
    assert_ne!(grown.digest(), before.digest());
    store.file(&sharded(3), b"3");
    assert_ne!(store.scan(1).0.digest(), grown.digest());
    let error = grown.check_unchanged(&store.root()).unwrap_err();
    assert!(error.to_string().contains("names in it were added or removed"), "{error}");
}

#[test]
fn a_scan_stops_and_a_sink_that_fails_ends_it() {
    let store = Store::new();
    (0..50).for_each(|number| _ = store.file(&sharded(number), b""));
    let stop = StopToken::new();
    stop.request();
    assert!(scan(&store.root(), 2, &stop, |_| Ok(())).unwrap().is_none());
    let failing =
        scan(&store.root(), 2, &StopToken::new(), |_| Err(Error::Accounting { what: "the sink is full".into() }));
    assert!(failing.is_err());
}
