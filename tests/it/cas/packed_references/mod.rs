//! References in files that are not plain text, which are rewritten on request.

mod gzip;
mod sqlite;

use std::fs;
use std::path::PathBuf;

use super::runs::cas_in;
use crate::support::haul::Done;
use crate::support::old_store::OldStore;

/// A store of three objects that was migrated, and the old and the new key of one.
fn migrated() -> (OldStore, String, String) {
    let store = OldStore::with_objects(3);
    store.cas("migrate --source old --target new").expect(0);
    fs::create_dir(store.place().join("refs")).unwrap();
    let map = fs::read_to_string(store.paths().map()).unwrap();
    let row: Vec<_> = map.lines().nth(1).unwrap().split('\t').collect();
    (store, row[0].to_owned(), row[2].to_owned())
}

/// Writes a file into the directory with references.
fn write(store: &OldStore, name: &str, bytes: &[u8]) -> PathBuf {
    let path = store.place().join("refs").join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn rewrite(store: &OldStore, options: &str) -> Done {
    cas_in(store.place(), &format!("rewrite-refs --map new.migration/key-map.tsv --yes --json refs {options}"))
}

fn line(key: &str) -> Vec<u8> {
    format!("{{\"digest\":\"{key}\"}}\n").into_bytes()
}
