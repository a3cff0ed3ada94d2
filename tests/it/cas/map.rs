//! The key map: it is written from rows in any order, searched in both directions, and complete after every crash.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haul::cas::map::{HEADER_LINE, KeyMap, MAP_NAME, MapRow, MapSummary, MapWriter, reverse_path};
use haul::cas::{Algorithm, Key};
use haul::durable::{CrashFault, Disk, InjectedFault, RealDisk, SimulatedDisk};
use haul::migration::Error;
use haul::pipeline::StopToken;
use proptest::prelude::*;

const MAP: &str = "/store.migration/key-map.tsv";
const SCRATCH: &str = "/store.migration/scratch";

fn map_path() -> &'static Path {
    Path::new(MAP)
}

/// A key that begins with `number`, so that numbers order keys.
fn key(number: u64) -> Key {
    let mut key = [0x5a; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn row(old: u64, old_algorithm: Algorithm, new: u64) -> MapRow {
    MapRow { old_key: key(old), old_algorithm, new_key: key(new), size: new * 1000 }
}

/// Rows whose old keys are all different and lead to scattered new ones.
fn many(rows: u64) -> Vec<MapRow> {
    let scattered = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..rows).map(|n| MapRow { new_key: key(scattered(n)), ..row(n * 10, Algorithm::Sha256, n) }).collect()
}

fn write_on(disk: &SimulatedDisk, memory_bytes: u64, rows: &[MapRow]) -> Result<MapSummary, Error> {
    let mut writer = MapWriter::new(Arc::new(disk.clone()), Path::new(SCRATCH), memory_bytes)?;
    rows.iter().try_for_each(|row| writer.push(*row))?;
    Ok(writer.finish(map_path(), &StopToken::new())?.expect("nobody asked for a stop"))
}

fn disk() -> SimulatedDisk {
    SimulatedDisk::with_directories(&[Path::new("/store.migration")])
}

fn bytes_on(disk: &SimulatedDisk, path: &Path) -> Option<Vec<u8>> {
    disk.snapshot().remove(path)
}

/// The map of `rows` in a directory that is removed with the guard.
fn map_of(rows: &[MapRow]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(MAP_NAME);
    let mut writer = MapWriter::new(Arc::new(RealDisk), &directory.path().join("scratch"), 1 << 20).expect("a writer");
    rows.iter().for_each(|row| writer.push(*row).expect("room"));
    writer.finish(&path, &StopToken::new()).expect("a map").expect("no stop");
    (directory, path)
}

fn line(row: &MapRow) -> String {
    let mut line = Vec::new();
    row.push_line(&mut line);
    String::from_utf8(line).expect("ASCII")
}

#[test]
fn the_bytes_are_frozen() {
    let (_directory, path) = map_of(&[
        row(2, Algorithm::Sha256, 9),
        row(1, Algorithm::Sha256, 8),
        row(1, Algorithm::Blake2s, 9),
        row(2, Algorithm::Sha256, 9),
    ]);
    let text = fs::read_to_string(&path).expect("a map").replace(&"5a".repeat(24), "…");
    assert_eq!(
        text,
        "old_key\told_algorithm\tnew_key\tsize\n\
         0000000000000001…\tblake2s\t0000000000000009…\t9000\n\
         0000000000000001…\tsha256\t0000000000000008…\t8000\n\
         0000000000000002…\tsha256\t0000000000000009…\t9000\n"
    );
    let map = fs::read(&path).expect("a map");
    let reverse = fs::read(reverse_path(&path)).expect("a reverse file");
    let (header, entries) = reverse.split_at(64);
    assert_eq!(header[..16], *b"HAULREV1\x01\0\0\0\x28\0\0\0");
    assert_eq!(header[16..24], (map.len() as u64).to_le_bytes());
    assert_eq!(header[24..32], 3_u64.to_le_bytes());
    assert_eq!(header[32..], *blake3::hash(&map).as_bytes());
    let entry = |new: u64, offset: u64| [&key(new).0[..], &offset.to_le_bytes()].concat();
    let lines = [35, 35 + 143, 35 + 143 + 142];
    assert_eq!(entries, [entry(8, lines[1]), entry(9, lines[0]), entry(9, lines[2])].concat());
    let left: Vec<_> = fs::read_dir(path.parent().expect("a directory")).expect("a list").flatten().collect();
    assert_eq!(left.len(), 3, "map, reverse file and an empty scratch directory: {left:?}");
}

#[test]
fn an_empty_map_is_a_map() {
    let (_directory, path) = map_of(&[]);
    assert_eq!(fs::read(&path).expect("a map"), HEADER_LINE);
    let map = KeyMap::open(&path).expect("a map");
    assert_eq!((map.find_old(key(1)).expect("none"), map.find_new(key(1)).expect("none")), (vec![], vec![]));
    let check = map.check().expect("sound");
    assert_eq!((check.rows, check.has_reverse), (0, true));
}

#[test]
fn an_old_key_leads_to_one_new_key_by_an_algorithm() {
    for wrong in [row(1, Algorithm::Cas, 3), MapRow { size: 1, ..row(1, Algorithm::Cas, 2) }] {
        let disk = disk();
        let error = write_on(&disk, 1 << 20, &[row(1, Algorithm::Cas, 2), wrong]).expect_err("a contradiction");
        assert!(matches!(&error, Error::Accounting { what } if what.contains("cas key")), "{error}");
        assert_eq!(bytes_on(&disk, map_path()), None);
    }
}

#[test]
fn a_stop_leaves_no_map() {
    let (disk, stop) = (disk(), StopToken::new());
    let mut writer = MapWriter::new(Arc::new(disk.clone()), Path::new(SCRATCH), 0).expect("a writer");
    many(10).into_iter().for_each(|row| writer.push(row).expect("room"));
    stop.request();
    assert_eq!(writer.finish(map_path(), &stop).expect("no error"), None);
    assert!(disk.snapshot().is_empty(), "{:?}", disk.snapshot());
}

fn faults() -> impl Iterator<Item = CrashFault> {
    CrashFault::ALL
        .into_iter()
        .chain((0..6).flat_map(|n| [CrashFault::ScatteredWrites(n), CrashFault::ScatteredNames(n)]))
}

/// Every crash while `rows` become the map of a disk that `scene` prepared leaves one of `wholes` or nothing, and the
/// next attempt gives the same map.
fn crash_everywhere(scene: impl Fn() -> SimulatedDisk, rows: &[MapRow], wholes: &[&[u8]]) {
    let whole = scene();
    // The memory is enough for only a few rows, so that the sort writes run files.
    write_on(&whole, 800, rows).expect("no fault");
    for fault in faults() {
        for (operations, image) in whole.crash_images(fault).enumerate() {
            let place = || format!("{fault:?} after {}", whole.operation_label(operations.wrapping_sub(1)));
            if let Some(found) = bytes_on(&image, map_path()) {
                assert!(wholes.contains(&&found[..]), "half a map: {}", place());
                let check = KeyMap::open_on(&image, map_path()).and_then(|map| map.check());
                assert!(check.expect("sound").has_reverse, "{}", place());
            }
            write_on(&image, 800, rows).expect("the next try");
            let (again, once) = (image.snapshot(), whole.snapshot());
            assert_eq!(again, once, "{}", place());
        }
    }
}

#[test]
fn a_crash_leaves_no_map_or_a_whole_one() {
    let rows = many(12);
    let reference = disk();
    write_on(&reference, 1 << 20, &rows).expect("no fault");
    let bytes = bytes_on(&reference, map_path()).expect("a map");
    crash_everywhere(disk, &rows, &[&bytes]);

    let mut others = many(12);
    others.iter_mut().for_each(|row| row.new_key.0[31] ^= 1);
    write_on(&reference, 1 << 20, &others).expect("no fault");
    let other_bytes = bytes_on(&reference, map_path()).expect("a map");
    assert_eq!(bytes.len(), other_bytes.len(), "only the content tells which reverse file belongs to which");
    let with_other = || {
        let disk = disk();
        write_on(&disk, 1 << 20, &others).expect("no fault");
        disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped)
    };
    crash_everywhere(with_other, &rows, &[&bytes, &other_bytes]);
}

#[test]
fn a_failed_try_can_be_repeated() {
    let rows = many(12);
    let whole = disk();
    write_on(&whole, 800, &rows).expect("no fault");
    for kind in InjectedFault::ALL {
        for n in 0..whole.operations() {
            let disk = disk();
            disk.fail_operation(n, kind);
            if write_on(&disk, 800, &rows).is_err() {
                write_on(&disk, 800, &rows).expect("the second try");
            }
            assert_eq!(disk.snapshot(), whole.snapshot(), "{kind:?} at {n}");
        }
    }
}

/// Rows with few keys, so that they share them.
fn rows() -> impl Strategy<Value = Vec<MapRow>> {
    let row = (0..40_u64, 0..4_u8, 0..40_u64).prop_map(|(old, algorithm, new)| {
        let algorithm = Algorithm::from_number(algorithm).expect("one of four");
        row(old, algorithm, new)
    });
    proptest::collection::vec(row, 0..200).prop_map(|mut rows| {
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert((row.old_key, row.old_algorithm)));
        let repeated: Vec<_> = rows.iter().step_by(3).copied().collect();
        rows.extend(repeated);
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_rows_in_any_memory_are_found_both_ways(rows in rows(), memory_bytes in 0..20_000_u64) {
        let disk = disk();
        let summary = write_on(&disk, memory_bytes, &rows).expect("no fault");
        let sorted: Vec<MapRow> = rows.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let text: String = sorted.iter().map(line).collect();
        let bytes = [HEADER_LINE, text.as_bytes()].concat();
        prop_assert_eq!(bytes_on(&disk, map_path()).expect("a map"), bytes.clone());
        prop_assert_eq!(summary.rows + summary.repeated, rows.len() as u64);
        prop_assert_eq!((summary.rows, summary.bytes), (sorted.len() as u64, bytes.len() as u64));

        let map = KeyMap::open_on(&disk, map_path()).expect("a map");
        disk.remove_file(&reverse_path(map_path())).expect("it is there");
        let without_reverse = KeyMap::open_on(&disk, map_path()).expect("a map");
        for number in 0..41 {
            let with = |of: fn(&MapRow) -> Key| -> Vec<_> {
                sorted.iter().filter(|row| of(row) == key(number)).copied().collect()
            };
            prop_assert_eq!(map.find_old(key(number)).expect("sound"), with(|row| row.old_key));
            for map in [&map, &without_reverse] {
                prop_assert_eq!(map.find_new(key(number)).expect("sound"), with(|row| row.new_key));
            }
        }
        let listed: Vec<_> = map.rows().map(|row| row.expect("sound").row).collect();
        prop_assert_eq!(listed, sorted);
        prop_assert_eq!(map.check().expect("sound").digest, summary.digest);
        prop_assert!(!without_reverse.check().expect("sound").has_reverse);
    }
}

#[test]
fn every_row_of_a_map_of_many_windows_is_found() {
    let rows = many(10_000);
    let (_directory, path) = map_of(&rows);
    let map = KeyMap::open(&path).expect("a map");
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(map.find_old(row.old_key).expect("sound"), [*row]);
        assert_eq!(map.find_new(row.new_key).expect("sound"), [*row]);
        assert_eq!(map.find_old(key(number as u64 * 10 + 5)).expect("sound"), []);
    }
    let last = map.rows().last().expect("a row").expect("sound");
    assert_eq!((last.line, last.row), (10_001, rows[9999]));
}

#[test]
fn a_lookup_reads_a_small_part_of_the_map() {
    let rows = many(10_000);
    let (_directory, path) = map_of(&rows);
    let mut bytes = fs::read(&path).expect("a map");
    let len = bytes.len();
    bytes[len * 6 / 10..len * 7 / 10].fill(b'x');
    fs::write(&path, bytes).expect("written");
    let map = KeyMap::open(&path).expect("a map");
    assert_eq!(map.find_old(rows[17].old_key).expect("not read"), [rows[17]]);
    assert_eq!(map.find_new(rows[17].new_key).expect("not read"), [rows[17]]);
    assert!(map.check().is_err());
}

#[test]
fn rows_are_exported_as_json_lines_and_as_raw_lines() {
    let (_directory, path) = map_of(&many(3000));
    let map = KeyMap::open(&path).expect("a map");
    let (mut jsonl, mut tsv) = (Vec::new(), Vec::new());
    assert_eq!(map.export_jsonl(&mut jsonl).expect("written"), 3000);
    assert_eq!(map.export_tsv(&mut tsv).expect("written"), 3000);
    assert_eq!(tsv, fs::read(&path).expect("a map"));
    let lines = String::from_utf8(jsonl).expect("text");
    let documents: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = serde_json::json!({
        "old_key": key(10).to_string(),
        "old_algorithm": "sha256",
        "new_key": key(0x9e37_79b9_7f4a_7c15).to_string(),
        "size": 1000,
    });
    assert_eq!((documents.len(), &documents[1]), (3000, &expected));
}

/// Returns the error of opening a map of these bytes, or else of reading all of it.
fn complaint(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(MAP_NAME);
    fs::write(&path, bytes).expect("written");
    let error = KeyMap::open(&path).and_then(|map| map.check()).expect_err("a damaged map");
    assert_eq!(error.exit_code(), 65, "{error}");
    let text = error.to_string();
    text.strip_prefix(&format!("{}: ", path.display())).expect("the file is named").to_owned()
}

#[test]
fn damage_is_named_with_its_line_and_offset() {
    let good = [line(&row(1, Algorithm::Cas, 1)), line(&row(2, Algorithm::Cas, 2))];
    let with = |text: &str| [HEADER_LINE, good[0].as_bytes(), text.as_bytes()].concat();
    let second = HEADER_LINE.len() + good[0].len();
    for (text, what) in [
        ("\n".to_owned(), "line 3: there are not four columns"),
        (good[1].replace("\n", "\r\n"), "line 3: the size is not a number of bytes"),
        (good[1].replace("cas", "md5"), "line 3: the algorithm is not one of"),
        (good[1].replacen('a', "A", 1), "line 3: the old key is not"),
        (good[0].clone(), "line 3: it is not in order"),
        (line(&row(0, Algorithm::Cas, 3)), "line 3: it is not in order"),
        (line(&row(1, Algorithm::Cas, 3)), "line 3: it is not in order"),
        (format!("{}\n", "a".repeat(5000)), "line 3: the line is longer than a row"),
    ] {
        let said = complaint(&with(&text));
        assert!(said.starts_with(what) && said.ends_with(&format!(" at offset {second}")), "{said}");
    }
    let cut = with(&good[1][..100]);
    assert_eq!(complaint(&cut), format!("the last line has no end: the file was cut at offset {}", cut.len()));
    let headers: [&[u8]; 4] = [b"", b"old_key\n", b"old_key\told_algorithm\tnew_key\tsize", b"\xef\xbb\xbfold_key\n"];
    for header in headers {
        assert_eq!(complaint(header), "line 1: this is not the header of a key map at offset 0");
    }
    let crlf = String::from_utf8(with(&good[1])).expect("text").replace('\n', "\r\n");
    assert_eq!(complaint(crlf.as_bytes()), "line 1: this is not the header of a key map at offset 0");
}

#[test]
fn a_lookup_that_meets_damage_names_the_line() {
    let rows = many(2000);
    let (_directory, path) = map_of(&rows);
    let mut bytes = fs::read(&path).expect("a map");
    let at = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(776).expect("a line").0 + 1;
    bytes[at + 70] = b' ';
    fs::write(&path, bytes).expect("written");
    let map = KeyMap::open(&path).expect("the ends are sound");
    let said = map.find_old(rows[776].old_key).expect_err("damage").to_string();
    assert!(said.contains("line 778: ") && said.ends_with(&format!("at offset {at}")), "{said}");
    let said = map.find_new(rows[776].new_key).expect_err("damage").to_string();
    assert!(said.contains("line 778: "), "{said}");
}

#[test]
fn a_reverse_file_of_another_map_is_neither_used_nor_accepted() {
    let rows = many(500);
    let (_directory, path) = map_of(&rows);
    let (_other_directory, other_path) = map_of(&many(400));
    let reverse = reverse_path(&path);
    let sound = fs::read(&reverse).expect("a reverse file");
    let other = fs::read(reverse_path(&other_path)).expect("a reverse file");
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    let unusable: [&[u8]; 6] = [b"", &other, &sound[..sound.len() - 1], &sound[..64], &flipped(3), &flipped(8)];
    for bytes in unusable {
        fs::write(&reverse, bytes).expect("written");
        let map = KeyMap::open(&path).expect("the map itself is sound");
        assert_eq!(map.find_new(rows[7].new_key).expect("the whole map is read"), [rows[7]]);
        let said = map.check().expect_err("no such reverse file").to_string();
        assert!(said.starts_with(&format!("{}: ", reverse.display())), "{said}");
    }
    let swapped = {
        let mut bytes = sound.clone();
        bytes[64..144].rotate_left(40);
        bytes
    };
    // A digest, a key, an offset, the order: none of these changes a length.
    for bytes in [&flipped(40), &flipped(64 + 31), &flipped(64 + 32), &swapped] {
        fs::write(&reverse, bytes).expect("written");
        let said = KeyMap::open(&path).expect("the lengths fit").check().expect_err("damage").to_string();
        assert!(said.starts_with(&format!("{}: ", reverse.display())), "{said}");
    }
    fs::write(&reverse, flipped(64 + 32)).expect("written");
    let first = sound[64..96].try_into().map(Key).expect("a key");
    let error = KeyMap::open(&path).expect("the lengths fit").find_new(first).expect_err("it leads astray");
    assert!(error.to_string().contains("entry 0 leads to no line"), "{error}");
}

#[test]
fn only_regular_files_are_maps() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert!(KeyMap::open(directory.path()).is_err());
    assert!(KeyMap::open(&directory.path().join("absent")).is_err());
}
