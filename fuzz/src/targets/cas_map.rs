//! Reading a key map and a reverse file of any bytes gives rows or an error. A map of any rows is found
//! row by row in both directions, with the reverse file and without.

use std::collections::BTreeMap;
use std::path::Path;

use haul::cas::map::{HEADER_LINE, KeyMap, MapRow, reverse_path};
use haul::cas::{Algorithm, Key};
use haul::durable::{Disk, SimulatedDisk};

use crate::support::edits::edited;
use crate::support::key_map::{MAP, disk, put, write};

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    let disk = disk();
    match how & 0x07 {
        0 => put(&disk, Path::new(MAP), script),
        1 => put(&disk, Path::new(MAP), &[HEADER_LINE, script].concat()),
        2 | 3 => {
            write(&disk, 1 << 20, &many());
            edit(&disk, Path::new(MAP), script);
        }
        4 | 5 => {
            write(&disk, 1 << 20, &many());
            edit(&disk, &reverse_path(Path::new(MAP)), script);
        }
        _ => return find_everything(&disk, u64::from(how) * 8, &rows(script)),
    }
    read_everything(&disk);
}

/// One of a few keys, so that rows share them.
fn key(number: u8) -> Key {
    Key([number; 32])
}

/// Three bytes for each row. The first row of an old key counts.
fn rows(script: &[u8]) -> Vec<MapRow> {
    let mut rows = BTreeMap::new();
    for &[old, new, size] in script.as_chunks::<3>().0 {
        let algorithm = Algorithm::from_number(size & 3).expect("one of four");
        let row =
            MapRow { old_key: key(old), old_algorithm: algorithm, new_key: key(new), size: u64::from(size) << 50 };
        rows.entry((old, algorithm)).or_insert(row);
    }
    // Not in the order of the map, and some of them twice.
    rows.values().rev().chain(rows.values().step_by(3)).copied().collect()
}

/// Enough rows that a search takes more than one window.
fn many() -> Vec<MapRow> {
    let row = |number: u8| MapRow {
        old_key: key(number),
        old_algorithm: Algorithm::Sha256,
        new_key: key(number.wrapping_mul(77)),
        size: u64::from(number),
    };
    (0..100).map(row).collect()
}

fn edit(disk: &SimulatedDisk, path: &Path, script: &[u8]) {
    let bytes = disk.snapshot().remove(path).expect("it was written");
    put(disk, path, &edited(&bytes, script));
}

fn read_everything(disk: &SimulatedDisk) {
    let Ok(map) = KeyMap::open_on(disk, Path::new(MAP)) else { return };
    let sound = map.check();
    let mut keys: Vec<Key> = (0..4).map(|number| key(number * 50)).collect();
    for row in map.rows().take(50).flatten() {
        keys.extend([row.row.old_key, row.row.new_key]);
    }
    for key in keys {
        let (old, new) = (map.find_old(key), map.find_new(key));
        if sound.is_ok() {
            assert!(old.expect("a sound map").iter().all(|row| row.old_key == key));
            assert!(new.expect("a sound map").iter().all(|row| row.new_key == key));
        }
    }
    if sound.is_ok() {
        let mut text = Vec::new();
        map.export_tsv(&mut text).expect("a sound map");
        assert_eq!(text, disk.snapshot()[Path::new(MAP)]);
    }
}

fn find_everything(disk: &SimulatedDisk, memory_bytes: u64, rows: &[MapRow]) {
    let map = write(disk, memory_bytes, rows);
    disk.remove_file(&reverse_path(Path::new(MAP))).expect("it is there");
    let without_reverse = KeyMap::open_on(disk, Path::new(MAP)).expect("a map");
    map.check().expect("a sound map");
    let mut sorted = rows.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    for row in &sorted {
        let of = |same: fn(&MapRow, &MapRow) -> bool| -> Vec<_> {
            sorted.iter().filter(|other| same(row, other)).copied().collect()
        };
        assert_eq!(map.find_old(row.old_key).expect("a sound map"), of(|a, b| a.old_key == b.old_key));
        for map in [&map, &without_reverse] {
            assert_eq!(map.find_new(row.new_key).expect("a sound map"), of(|a, b| a.new_key == b.new_key));
        }
    }
}
