//! Each line of a sidecar or an index is refused, or it is a record that is written as the same bytes again.

use std::collections::BTreeMap;
use std::path::Path;

use haul::cas::Key;
use haul::cas::format::encoding::Encoding;
use haul::cas::format::record::{ObjectRecord, Parsed, RecordFault, parse, parse_hint};
use haul::cas::store::index::{IndexReader, LineContent};
use haul::cas::store::sorted_index::{IndexFinding, SortedIndex};
use haul::pipeline::SortedRuns;

use crate::support::edits::edited;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    let seed = how >> 2;
    match how & 0x03 {
        0 => check_text(script),
        1 => check_flipped(&json(&record(seed)), script),
        2 => check_index(script),
        _ => check_index(&edited(&index(seed), script)),
    }
}

fn record(seed: u8) -> ObjectRecord {
    ObjectRecord {
        digest: Key([seed & 7; 32]),
        encoding: if seed & 1 == 0 { Encoding::Identity } else { Encoding::Zstd },
        original_size: u64::from(seed).wrapping_pow(9),
        stored_size: u64::MAX >> (seed & 63),
        stored_blob_hash: Key([!seed; 32]),
        created_at: u64::from(seed >> 3),
    }
}

fn json(record: &ObjectRecord) -> Vec<u8> {
    let mut text = Vec::new();
    record.push_json(&mut text);
    text
}

fn without_created_at(record: &ObjectRecord) -> Vec<u8> {
    let mut text = Vec::new();
    record.push_json_without_created_at(&mut text);
    text
}

fn index(seed: u8) -> Vec<u8> {
    let lines = (0..seed % 8).flat_map(|n| [json(&record(seed.wrapping_add(n * 11))), b"\n".to_vec()]);
    lines.flatten().collect()
}

fn canonical(parsed: &Parsed) -> Vec<u8> {
    if parsed.created_at_present { json(&parsed.record) } else { without_created_at(&parsed.record) }
}

fn check_text(text: &[u8]) {
    let hint = parse_hint(text);
    match parse(text) {
        Err(fault) => assert_eq!(hint.fault, Some(fault)),
        Ok(parsed) => {
            assert_eq!(parsed.is_canonical, canonical(&parsed) == text);
            let again = parse(&canonical(&parsed)).expect("what is written is read");
            assert_eq!(again, Parsed { is_canonical: true, ..parsed });
            assert_eq!(hint.fault, None);
            assert_eq!((hint.digest, hint.encoding), (Some(parsed.record.digest), Some(parsed.record.encoding)));
            assert_eq!(hint.created_at, parsed.created_at_present.then_some(parsed.record.created_at));
        }
    }
}

/// Every edit of a sidecar is detected.
fn check_flipped(text: &[u8], script: &[u8]) {
    let changed = edited(text, script);
    check_text(&changed);
    if let Ok(parsed) = parse(&changed) {
        assert!(changed == text || !parsed.is_canonical || canonical(&parsed) != text);
    }
}

fn check_index(bytes: &[u8]) {
    let mut reader = IndexReader::new(bytes);
    let (mut end, mut records, mut odd_lines) = (0, BTreeMap::new(), 0);
    while let Some(line) = reader.next().expect("memory does not fail") {
        assert_eq!(line.offset, end);
        end += line.len_bytes;
        let text = &bytes[line.offset as usize..end as usize];
        assert_eq!(line.is_torn, !text.ends_with(b"\n"));
        match line.content {
            LineContent::Record(parsed) => records.entry(parsed.record.digest).or_insert_with(Vec::new).push(parsed),
            LineContent::Blank => odd_lines += 1,
            LineContent::Bad(fault) => {
                assert_ne!(fault, RecordFault::Empty);
                odd_lines += 1;
            }
        }
    }
    assert_eq!(end, bytes.len() as u64);
    check_sorted(bytes, records, odd_lines);
}

fn check_sorted(bytes: &[u8], records: BTreeMap<Key, Vec<Parsed>>, odd_lines: usize) {
    let mut findings: Vec<IndexFinding> = Vec::new();
    let mut reader = IndexReader::new(bytes);
    let runs = SortedRuns::in_memory();
    let note = |finding| {
        findings.push(finding);
        Ok(())
    };
    let mut index = SortedIndex::read(&mut reader, Path::new("index"), runs, note).expect("memory does not fail");
    assert!(findings.len() >= odd_lines);
    for (key, lines) in records {
        let object = index.next(|_| Ok(())).expect("memory does not fail").expect("a key");
        assert_eq!((object.parsed.record.digest, object.lines), (key, lines.len() as u64));
        assert_eq!(Some(&object.parsed), lines.last());
    }
    assert_eq!(index.next(|_| Ok(())).expect("memory does not fail"), None);
}
