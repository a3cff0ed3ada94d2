//! Sorts the index by key in bounded memory: each key once, with the record of its last line.

use std::io::{self, Read};
use std::path::Path;

use super::index::{IndexLine, IndexReader, LineContent};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, Parsed, RecordFault};
use crate::durable::DiskError;
use crate::migration::Error;
use crate::pipeline::{Merged, SortedRuns};

/// Length of a line in the sort. Numbers are big-endian, because byte order must be the order of the sort:
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 32 | key |
/// | 32 | 8 | number of the line, so that of equal keys the last line comes last |
/// | 40 | 8 | offset of the line |
/// | 48 | 8 | `original_size` |
/// | 56 | 8 | `stored_size` |
/// | 64 | 32 | `stored_blob_hash` |
/// | 96 | 8 | `created_at`, 0 where there is none |
/// | 104 | 1 | encoding |
/// | 105 | 1 | 1 if there is a `created_at` |
/// | 106 | 1 | 1 if the line is canonical |
pub const INDEX_ENTRY_BYTES: usize = 107;

/// A line of an index that is not as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFinding {
    /// Number of the line, from 1.
    pub line: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    /// What is wrong with the line.
    pub kind: IndexFindingKind,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexFindingKind {
    /// The line is empty.
    #[error("an empty line")]
    Blank,
    /// The line is not a record.
    #[error("not a record: {0}")]
    Bad(RecordFault),
    /// The last line has no newline.
    #[error("no newline at the end: the next append would be lost")]
    Torn,
    /// The line begins with a byte order mark.
    #[error("a byte order mark, after which other readers see no record")]
    ByteOrderMark,
    /// The line ends with a carriage return.
    #[error("a carriage return at its end")]
    CarriageReturn,
    /// The key occurs in several lines, of which the last one counts.
    #[error("the key {key} again: {lines} lines have it, and this one counts")]
    Repeated {
        /// The key.
        key: Key,
        /// How many lines have it.
        lines: u64,
    },
    /// A record in another form than the one that is written.
    #[error("not in canonical form")]
    NotCanonical,
    /// A record without `created_at`, as before the end of February 2026.
    #[error("no created_at")]
    NoCreatedAt,
}

/// A key of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedObject {
    /// The record in its last line.
    pub parsed: Parsed,
    /// Number of that line, from 1.
    pub line: u64,
    /// Where that line begins, in bytes.
    pub offset: u64,
    /// How many lines have the key.
    pub lines: u64,
}

/// All records of an index by key.
pub struct SortedIndex {
    entries: Merged<INDEX_ENTRY_BYTES>,
    head: Option<[u8; INDEX_ENTRY_BYTES]>,
    lines: u64,
}

impl SortedIndex {
    /// Reads `index` to its end into `runs`, which bound the memory. `path` is for errors; `on_finding` gets everything
    /// that a single line shows, in the order of the lines.
    pub fn read<R: Read>(
        index: &mut IndexReader<R>,
        path: &Path,
        mut runs: SortedRuns<INDEX_ENTRY_BYTES>,
        mut on_finding: impl FnMut(IndexFinding) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let wrap = |e: io::Error| DiskError::new("read", path, e);
        let mut lines = 0;
        while let Some(line) = index.next().map_err(wrap)? {
            lines = line.number;
            for kind in findings(&line) {
                on_finding(IndexFinding { line: line.number, offset: line.offset, kind })?;
            }
            if let LineContent::Record(parsed) = &line.content {
                runs.push(encode(parsed, line.number, line.offset))?;
            }
        }
        let mut entries = runs.finish()?;
        let head = entries.next()?;
        Ok(Self { entries, head, lines })
    }

    /// Returns the next key in order, `None` after the last. `on_finding` gets the keys that occur in several lines.
    pub fn next(
        &mut self,
        mut on_finding: impl FnMut(IndexFinding) -> Result<(), Error>,
    ) -> Result<Option<IndexedObject>, Error> {
        let Some(mut last) = self.head.take() else { return Ok(None) };
        let mut lines = 1;
        loop {
            match self.entries.next()? {
                Some(entry) if entry[..32] == last[..32] => last = entry,
                next => {
                    self.head = next;
                    break;
                }
            }
            lines += 1;
        }
        let object = decode(&last, lines);
        if lines > 1 {
            let kind = IndexFindingKind::Repeated { key: object.parsed.record.digest, lines };
            on_finding(IndexFinding { line: object.line, offset: object.offset, kind })?;
        }
        Ok(Some(object))
    }

    /// Returns the number of lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns the number of lines that are records, repeated keys included.
    pub fn records(&self) -> u64 {
        self.entries.records()
    }
}

fn findings(line: &IndexLine) -> impl Iterator<Item = IndexFindingKind> {
    let (of_content, no_created_at) = match &line.content {
        LineContent::Blank => (Some(IndexFindingKind::Blank), false),
        LineContent::Bad(fault) => (Some(IndexFindingKind::Bad(fault.clone())), false),
        LineContent::Record(parsed) => {
            ((!parsed.is_canonical).then_some(IndexFindingKind::NotCanonical), !parsed.created_at_present)
        }
    };
    [
        line.has_byte_order_mark.then_some(IndexFindingKind::ByteOrderMark),
        of_content,
        no_created_at.then_some(IndexFindingKind::NoCreatedAt),
        line.has_carriage_return.then_some(IndexFindingKind::CarriageReturn),
        line.is_torn.then_some(IndexFindingKind::Torn),
    ]
    .into_iter()
    .flatten()
}

fn encode(parsed: &Parsed, line: u64, offset: u64) -> [u8; INDEX_ENTRY_BYTES] {
    let record = &parsed.record;
    let mut entry = [0; INDEX_ENTRY_BYTES];
    entry[..32].copy_from_slice(&record.digest.0);
    entry[32..40].copy_from_slice(&line.to_be_bytes());
    entry[40..48].copy_from_slice(&offset.to_be_bytes());
    entry[48..56].copy_from_slice(&record.original_size.to_be_bytes());
    entry[56..64].copy_from_slice(&record.stored_size.to_be_bytes());
    entry[64..96].copy_from_slice(&record.stored_blob_hash.0);
    entry[96..104].copy_from_slice(&record.created_at.to_be_bytes());
    entry[104] = record.encoding as u8;
    entry[105] = u8::from(parsed.created_at_present);
    entry[106] = u8::from(parsed.is_canonical);
    entry
}

fn decode(entry: &[u8; INDEX_ENTRY_BYTES], lines: u64) -> IndexedObject {
    let key = |at: usize| Key(*entry[at..].first_chunk().expect("32 bytes are there"));
    let number = |at: usize| u64::from_be_bytes(*entry[at..].first_chunk().expect("8 bytes are there"));
    let record = ObjectRecord {
        digest: key(0),
        encoding: Encoding::from_number(entry[104]).expect("an encoding was pushed"),
        original_size: number(48),
        stored_size: number(56),
        stored_blob_hash: key(64),
        created_at: number(96),
    };
    let parsed = Parsed { record, created_at_present: entry[105] == 1, is_canonical: entry[106] == 1 };
    IndexedObject { parsed, line: number(32), offset: number(40), lines }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::durable::SimulatedDisk;

    fn record(key: u8, size: u64) -> ObjectRecord {
        let encoding = if size.is_multiple_of(2) { Encoding::Identity } else { Encoding::Zstd };
        let (digest, stored_blob_hash) = (Key([key; 32]), Key([!key; 32]));
        ObjectRecord {
            digest,
            encoding,
            original_size: size,
            stored_size: size + 1,
            stored_blob_hash,
            created_at: size,
        }
    }

    fn line(record: &ObjectRecord) -> String {
        let mut text = Vec::new();
        record.push_json(&mut text);
        text.push(b'\n');
        String::from_utf8(text).unwrap()
    }

    /// Returns all keys in order, and every finding.
    fn sorted(bytes: &[u8], runs: SortedRuns<INDEX_ENTRY_BYTES>) -> (Vec<IndexedObject>, Vec<IndexFinding>) {
        let mut findings = Vec::new();
        let mut objects = Vec::new();
        let mut note = |finding| {
            findings.push(finding);
            Ok(())
        };
        let path = Path::new("index.ndjson");
        let mut index = SortedIndex::read(&mut IndexReader::new(bytes), path, runs, &mut note).unwrap();
        while let Some(object) = index.next(&mut note).unwrap() {
            objects.push(object);
        }
        assert_eq!(index.records(), objects.iter().map(|object| object.lines).sum::<u64>());
        (objects, findings)
    }

    #[test]
    fn each_key_is_given_once_with_its_last_line() {
        let bytes = [record(7, 1), record(3, 2), record(7, 4), record(5, 3), record(7, 5)].map(|r| line(&r)).concat();
        let (objects, findings) = sorted(bytes.as_bytes(), SortedRuns::in_memory());
        let found: Vec<_> = objects.iter().map(|o| (o.parsed.record, o.line, o.lines)).collect();
        assert_eq!(found, [(record(3, 2), 2, 1), (record(5, 3), 4, 1), (record(7, 5), 5, 3)]);
        let kind = IndexFindingKind::Repeated { key: Key([7; 32]), lines: 3 };
        let offset = objects[2].offset;
        assert_eq!(findings, [IndexFinding { line: 5, offset, kind }]);
        assert!(bytes[offset as usize..].starts_with(&line(&record(7, 5))));
    }

    #[test]
    fn every_finding_has_its_line() {
        let early = line(&record(2, 2)).replace(",\"created_at\":2", "");
        let spaced = line(&record(3, 4)).replace("\"encoding\":", "\"encoding\": ");
        let returned = line(&record(4, 6)).replace('\n', "\r\n");
        let torn = line(&record(5, 8));
        let parts = ["\u{feff}", &line(&record(1, 0)), &early, "\n", "foreign\n", &spaced, &returned, torn.trim_end()];
        let (objects, findings) = sorted(parts.concat().as_bytes(), SortedRuns::in_memory());
        assert_eq!(objects.len(), 5);
        assert_eq!((objects[1].parsed.created_at_present, objects[1].parsed.is_canonical), (false, true));
        assert_eq!((objects[2].parsed.created_at_present, objects[2].parsed.is_canonical), (true, false));
        let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.kind.to_string())).collect();
        let expected = [
            (1, "a byte order mark, after which other readers see no record"),
            (2, "no created_at"),
            (3, "an empty line"),
            (4, "not a record: it is not a JSON object: expected ident at offset 1"),
            (5, "not in canonical form"),
            (6, "a carriage return at its end"),
            (7, "no newline at the end: the next append would be lost"),
        ];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn a_refused_finding_ends_the_reading() {
        let refuse = |_| Err(Error::Accounting { what: "enough".into() });
        let mut reader = IndexReader::new(&b"\n\n"[..]);
        let result = SortedIndex::read(&mut reader, Path::new("index"), SortedRuns::in_memory(), refuse);
        assert_eq!(result.err().unwrap().to_string(), "counts do not add up: enough");
        assert_eq!(reader.next().unwrap().unwrap().number, 2);
    }

    proptest! {
        /// Spilled or not, the sort gives what a map would have in which later lines overwrite earlier ones.
        #[test]
        fn it_is_a_map_in_which_later_lines_win(keys in proptest::collection::vec((0_u8..20, 0_u64..9), 0..120)) {
            let bytes: String = keys.iter().map(|&(key, size)| line(&record(key, size))).collect();
            let mut expected = std::collections::BTreeMap::new();
            for &(key, size) in &keys {
                let lines = expected.get(&key).map_or(0, |&(_, lines)| lines);
                expected.insert(key, (record(key, size), lines + 1));
            }
            let scratch = Path::new("/scratch");
            let disk = Arc::new(SimulatedDisk::with_directories(&[scratch]));
            let spilling = SortedRuns::new(disk, scratch.into(), 10 * INDEX_ENTRY_BYTES as u64);
            for runs in [SortedRuns::in_memory(), spilling] {
                let (objects, _) = sorted(bytes.as_bytes(), runs);
                let found: Vec<_> = objects.iter().map(|object| (object.parsed.record, object.lines)).collect();
                prop_assert_eq!(&found, &expected.values().copied().collect::<Vec<_>>());
                prop_assert!(objects.iter().all(|object| object.parsed.is_canonical && object.parsed.created_at_present));
            }
        }
    }
}
