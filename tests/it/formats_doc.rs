//! Holds the byte tables of `docs/formats.md` against the layouts that the code reads and writes.

use std::collections::BTreeMap;
use std::mem::offset_of;

use haul::cas::map::{MapRow, REVERSE_MAGIC, REVERSE_VERSION, ROW_TEXT_BYTES_MAX, ReverseEntry, ReverseHeader};
use haul::cas::{Algorithm, Key};
use haul::space::limits::*;
use haul::space::log::extent::RegionKind;
use haul::space::store::layout::*;

const DOCUMENT: &str = include_str!("../../docs/formats.md");

/// A field: offset, bytes, name.
type Field = (usize, usize, String);

/// The section below the heading that ends in `` `name`, N bytes ``, and that N.
fn section(name: &str) -> (&'static str, usize) {
    let mark = format!(": `{name}`, ");
    let (_, rest) = DOCUMENT.split_once(&mark).unwrap_or_else(|| panic!("no heading of {name}"));
    let (heading, body) = rest.split_once('\n').expect("a line");
    let bytes = heading.trim_end_matches(" bytes").parse().expect("a size");
    let end = body.find("\n#").unwrap_or(body.len());
    (&body[..end], bytes)
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

fn documented(name: &str) -> (Vec<Field>, usize) {
    let (body, bytes) = section(name);
    let lines = body.lines().skip_while(|line| !line.starts_with("| offset")).skip(2);
    let fields = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = cells(line);
        (cells[0].parse().expect("an offset"), cells[1].parse().expect("a size"), cells[2].trim_matches('`').to_owned())
    });
    (fields.collect(), bytes)
}

fn bytes_of<S, F>(_: impl Fn(&S) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! check {
    ($layout:ident { $($field:ident),+ $(,)? }) => {{
        let coded: Vec<Field> = vec![$((
            offset_of!($layout, $field),
            bytes_of(|layout: &$layout| &layout.$field),
            stringify!($field).to_owned(),
        )),+];
        // Names every field: a new one does not compile until it stands here.
        let _ = |layout: $layout| { let $layout { $($field: _),+ } = layout; };
        let (fields, bytes) = documented(stringify!($layout));
        assert_eq!(fields, coded, "{}", stringify!($layout));
        assert_eq!(bytes, size_of::<$layout>(), "{}", stringify!($layout));
        let end = fields.iter().fold(0, |end, (offset, bytes, name)| {
            assert_eq!(*offset, end, "{name} leaves a gap");
            end + bytes
        });
        assert_eq!(end, bytes, "{} is covered", stringify!($layout));
    }};
}

#[test]
fn every_table_is_the_layout() {
    check!(SegmentHeader { magic, version, segment });
    check!(BlockHeader {
        magic,
        version,
        row_bytes,
        block,
        node_rows,
        other_rows,
        matrix_offset,
        heap_offset,
        heap_bytes,
        block_bytes,
        source_file,
        flags,
        source_offset,
        source_bytes,
        source_digest,
        reserved,
    });
    check!(Row {
        uuid,
        id_digest,
        sequence,
        source_offset,
        wal_timestamp_ns,
        entry_type,
        payload_bytes,
        payload_crc,
        kind,
        created_at_seconds,
        last_access_seconds,
        created_at_nanos,
        last_access_nanos,
        strength,
        activation,
        confidence,
        consolidation_score,
        access_count,
        heap_offset,
        heap_bytes,
        embedding_offset,
        id_bytes,
        content_offset,
        content_bytes,
        node_type,
        notes,
        reserved,
    });
    check!(IndexHeader { magic, version, entry_bytes, reserved });
    check!(TableEntry {
        segment,
        source_file,
        block_offset,
        block_bytes,
        source_offset,
        source_bytes,
        node_rows,
        other_rows,
        region,
        reserved,
        block_digest,
        source_digest,
    });
    check!(IdEntry { uuid, block, row, rekeyed });
    check!(MarkEntry { block, row, kind, uuid });
    check!(ReverseHeader { magic, version, entry_bytes, map_bytes, rows, map_digest });
    check!(ReverseEntry { new_key, offset });
}

/// Numbers and names of the table whose first column has this title, below a heading.
fn numbered(layout: &str, title: &str) -> BTreeMap<u32, String> {
    let lines = section(layout).0.lines().skip_while(|line| !line.starts_with(&format!("| {title} |"))).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells = cells(line);
        (cells[0].parse().expect("a number"), cells[1].trim_matches('`').to_owned())
    });
    rows.collect()
}

fn named<T: std::fmt::Debug>(from_number: impl Fn(u32) -> Option<T>) -> BTreeMap<u32, String> {
    (0..64).filter_map(|number| Some((number, format!("{:?}", from_number(number)?)))).collect()
}

#[test]
fn lines_of_a_map_are_as_long_as_the_text_says() {
    let row = |size, old_algorithm| MapRow { old_key: Key([0; 32]), old_algorithm, new_key: Key([0; 32]), size };
    let length = |row: MapRow| {
        let mut line = Vec::new();
        row.push_line(&mut line);
        line.len()
    };
    assert!(DOCUMENT.contains("A line is 136 to 159 bytes long"));
    assert_eq!(length(row(0, Algorithm::Cas)), 136);
    assert_eq!((length(row(u64::MAX, Algorithm::Blake2s)), ROW_TEXT_BYTES_MAX), (159, 159));
}

#[test]
fn every_number_has_its_name() {
    assert_eq!(numbered("Row", "`kind`"), named(RowKind::from_number));
    assert_eq!(numbered("TableEntry", "`region`"), named(RegionKind::from_number));
    assert_eq!(numbered("MarkEntry", "`kind`"), named(MarkKind::from_number));
    let notes = [
        (NOTE_HEADER_BYTES, "NOTE_HEADER_BYTES"),
        (NOTE_UNKNOWN_TYPE, "NOTE_UNKNOWN_TYPE"),
        (NOTE_TRAILING_BYTES, "NOTE_TRAILING_BYTES"),
        (NOTE_REPEATED_KEY, "NOTE_REPEATED_KEY"),
        (NOTE_NON_FINITE, "NOTE_NON_FINITE"),
        (NOTE_TIME_FORM, "NOTE_TIME_FORM"),
        (NOTE_OUT_OF_RANGE, "NOTE_OUT_OF_RANGE"),
    ];
    let notes = notes.map(|(bit, name)| (bit.trailing_zeros(), name.to_owned())).into();
    assert_eq!(numbered("Row", "bit of `notes`"), notes);
}

#[test]
fn constants_are_those_of_the_text() {
    let stated: [(&str, u64); 9] = [
        ("`version` | u32 | 1 |", FORMAT_VERSION.into()),
        ("at most 250 records", BLOCK_RECORDS_MAX as u64),
        ("at most 1 MiB of source", BLOCK_SOURCE_BYTES_MAX >> 20),
        ("a multiple of\n4,096 bytes long", BLOCK_ALIGN_BYTES),
        ("rounded up to 64", MATRIX_ALIGN_BYTES as u64),
        ("a header of 4,096 bytes", SEGMENT_HEADER_BYTES),
        ("3,072 × `node_rows`", EMBEDDING_BYTES as u64),
        ("`node_rows` × 768 f32", DIMENSIONS as u64),
        ("longer than 1 GiB", haul::space::options::SEGMENT_BYTES_MAX >> 30),
    ];
    for (text, value) in stated {
        assert!(DOCUMENT.contains(text), "{text}");
        let numbers: Vec<u64> = text
            .replace(',', "")
            .split(|character: char| !character.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        assert!(numbers.contains(&value), "{text} says {numbers:?}, the code {value}");
    }
    for magic in [SEGMENT_MAGIC, BLOCK_MAGIC, TABLE_MAGIC, IDS_MAGIC, MARKS_MAGIC, REVERSE_MAGIC] {
        let text = String::from_utf8(magic.to_vec()).expect("ASCII");
        assert!(DOCUMENT.contains(&format!("`{text}`")), "{text}");
    }
    assert_eq!((REVERSE_VERSION, size_of::<ReverseEntry>()), (1, 40));
    assert_eq!((NO_SEGMENT, NO_CONTENT, BLOCK_REBUILDS_SOURCE, NODE_TYPE_EPISODE), (u32::MAX, u32::MAX, 1, 0));
}

#[test]
fn every_code_of_a_refusal_stands_in_its_table() {
    use haul::manifest::ErrorCode::{self, *};
    let all = [
        TooLarge,
        Empty,
        Bom,
        Encoding,
        Json,
        Depth,
        DuplicateKey,
        Nonfinite,
        Surrogate,
        Number,
        Root,
        NotAManifest,
        Unversioned,
        VersionType,
        VersionUnknown,
        VersionFuture,
        Downgrade,
        HistoryType,
        FieldType,
        RequiredField,
        Snapshot,
        Schema,
        InputSnapshots,
        RunId,
        JobId,
        Doctrine,
        Authority,
        Drift,
        Compatibility,
        Hardlink,
        Changed,
        Io,
    ];
    assert_eq!(all.len(), ErrorCode::Io as usize + 1);
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `E_")).map(cells);
    let documented: Vec<_> = rows.map(|cells| (cells[0].trim_matches('`'), cells[1])).collect();
    assert_eq!(documented, all.map(|code| (code.name(), code.status().name())));
}
