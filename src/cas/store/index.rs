//! Reads `index.ndjson` line by line: one line for each object in the order of writing, and anything else that a file
//! may have (docs/source-requiem.md, "Index" and "What a verification must find").

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use super::file_bytes::FileBytes;
use crate::cas::format::record::{Parsed, RECORD_BYTES_MAX, RecordFault, parse};
use crate::durable::{Disk, DiskError};

const READ_BYTES: usize = 256 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Bytes of a line that are kept: a record, a byte order mark, a carriage return, and one more byte to see that the
/// line is longer.
const LINE_BYTES_KEPT: usize = RECORD_BYTES_MAX + BYTE_ORDER_MARK.len() + 2;

/// The longest line that is passed over. A file with a longer one is no index: its size was changed, for example.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// One line of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexLine {
    /// Number of the line, from 1.
    pub number: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    /// Length of the line in bytes, with its end.
    pub len_bytes: u64,
    /// The content without byte order mark and line end.
    pub content: LineContent,
    /// True for a first line after a byte order mark: the reference does not see its object.
    pub has_byte_order_mark: bool,
    /// True if the line ends with a carriage return.
    pub has_carriage_return: bool,
    /// True for a last line without a newline: the next line that the reference appends is glued to it, and lost.
    pub is_torn: bool,
}

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineContent {
    /// The record of an object.
    Record(Parsed),
    /// Nothing, or white space.
    Blank,
    /// Something else. The reference skips it silently.
    Bad(RecordFault),
}

/// Reads the lines of an index. Its memory is bounded, however long a line is.
pub struct IndexReader<R> {
    bytes: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

impl IndexReader<FileBytes> {
    /// Opens the index at `path`.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        Ok(Self::new(FileBytes::open(disk, path)?))
    }
}

impl<R: Read> IndexReader<R> {
    /// Creates a reader of an index from its first byte.
    pub fn new(bytes: R) -> Self {
        Self { bytes: BufReader::with_capacity(READ_BYTES, bytes), line: Vec::new(), number: 0, offset: 0 }
    }

    /// Returns the next line, `None` after the last.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is called with `?`")]
    pub fn next(&mut self) -> io::Result<Option<IndexLine>> {
        let (line_bytes, is_torn) = self.read_line()?;
        let len_bytes = line_bytes + u64::from(!is_torn);
        if len_bytes == 0 {
            return Ok(None);
        }
        self.number += 1;
        let offset = self.offset;
        self.offset += len_bytes;
        let marked = self.line.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.number == 1);
        let text = marked.unwrap_or(&self.line);
        let returned = text.strip_suffix(b"\r").filter(|_| line_bytes == self.line.len() as u64);
        let text = returned.unwrap_or(text);
        Ok(Some(IndexLine {
            number: self.number,
            offset,
            len_bytes,
            content: content(text),
            has_byte_order_mark: marked.is_some(),
            has_carriage_return: returned.is_some(),
            is_torn,
        }))
    }

    /// Reads to the next newline and keeps the beginning. Returns the length of the line, and whether the newline is
    /// missing.
    fn read_line(&mut self) -> io::Result<(u64, bool)> {
        self.line.clear();
        let mut line_bytes = 0;
        loop {
            let chunk = match self.bytes.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Ok((line_bytes, true));
            }
            let newline = memchr::memchr(b'\n', chunk);
            let part = &chunk[..newline.unwrap_or(chunk.len())];
            let kept = part.len().min(LINE_BYTES_KEPT - self.line.len());
            self.line.extend_from_slice(&part[..kept]);
            line_bytes += part.len() as u64;
            if line_bytes > LINE_BYTES_MAX {
                let what = format!("line {} is longer than 64 MiB: this is no index", self.number + 1);
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
            let taken = part.len() + usize::from(newline.is_some());
            self.bytes.consume(taken);
            if newline.is_some() {
                return Ok((line_bytes, false));
            }
        }
    }
}

fn content(text: &[u8]) -> LineContent {
    match parse(text) {
        Ok(parsed) => LineContent::Record(parsed),
        Err(RecordFault::Empty) => LineContent::Blank,
        Err(fault) => LineContent::Bad(fault),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cas::format::encoding::Encoding;
    use crate::cas::format::key::Key;
    use crate::cas::format::record::ObjectRecord;
    use crate::durable::SimulatedDisk;

    fn record(number: u8) -> ObjectRecord {
        let size = u64::from(number);
        let (digest, stored_blob_hash) = (Key([number; 32]), Key([!number; 32]));
        let encoding = Encoding::Identity;
        ObjectRecord { digest, encoding, original_size: size, stored_size: size, stored_blob_hash, created_at: 7 }
    }

    fn text(number: u8) -> String {
        let mut text = Vec::new();
        record(number).push_json(&mut text);
        String::from_utf8(text).unwrap()
    }

    fn lines(bytes: &[u8]) -> Vec<IndexLine> {
        let mut reader = IndexReader::new(bytes);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().unwrap() {
            lines.push(line);
        }
        lines
    }

    fn is_record(line: &IndexLine, number: u8) -> bool {
        matches!(&line.content, LineContent::Record(parsed) if parsed.record == record(number) && parsed.is_canonical)
    }

    #[test]
    fn whole_lines_are_records() {
        let bytes = format!("{}\n{}\n", text(1), text(2));
        let found = lines(bytes.as_bytes());
        assert_eq!(found.len(), 2);
        assert!(is_record(&found[0], 1) && is_record(&found[1], 2));
        let len = text(1).len() as u64 + 1;
        assert_eq!((found[0].number, found[0].offset, found[0].len_bytes), (1, 0, len));
        assert_eq!((found[1].number, found[1].offset, found[1].len_bytes), (2, len, len));
        assert!(!found.iter().any(|line| line.has_byte_order_mark || line.has_carriage_return || line.is_torn));
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn lines_that_are_no_records_are_distinguished() {
        let bytes =
            format!("\u{feff}{}\r\n\n \r\n{{\"digest\":1}}\nforeign\n\u{feff}{}\n{}", text(1), text(2), text(3));
        let found = lines(bytes.as_bytes());
        assert_eq!(found.len(), 7);
        assert!(is_record(&found[0], 1) && found[0].has_byte_order_mark && found[0].has_carriage_return);
        assert!(found[1].content == LineContent::Blank && !found[1].has_carriage_return);
        assert!(found[2].content == LineContent::Blank && found[2].has_carriage_return);
        for bad in &found[3..6] {
            assert!(matches!(bad.content, LineContent::Bad(_)), "{bad:?}");
        }
        assert!(!found[5].has_byte_order_mark, "only a file begins with one");
        assert!(is_record(&found[6], 3) && found[6].is_torn);
        let torn = lines(&text(1).as_bytes()[..50]);
        assert!(matches!(torn[..], [IndexLine { is_torn: true, content: LineContent::Bad(_), len_bytes: 50, .. }]));
    }

    #[test]
    fn a_long_line_is_skipped_without_being_held() {
        let len = 10 << 20;
        let long = io::repeat(b'x').take(len);
        let tail = format!("\n{}\n", text(9));
        let mut reader = IndexReader::new(long.chain(tail.as_bytes()));
        let line = reader.next().unwrap().unwrap();
        assert_eq!((line.content, line.len_bytes), (LineContent::Bad(RecordFault::TooLong), len + 1));
        assert!(reader.line.capacity() <= 2 * LINE_BYTES_KEPT);
        let next = reader.next().unwrap().unwrap();
        assert!(is_record(&next, 9) && next.offset == len + 1);
    }

    #[test]
    fn a_file_that_was_made_longer_is_no_index() {
        let mut reader = IndexReader::new(io::repeat(0).take(u64::MAX));
        let error = reader.next().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("line 1 is longer"), "{error}");
    }

    #[test]
    fn a_line_of_just_the_length_that_is_allowed_is_read() {
        let padded = |len: usize| format!("{}{}", " ".repeat(len - text(1).len()), text(1));
        for end in ["\n", "\r\n"] {
            let fits = lines(format!("\u{feff}{}{end}", padded(RECORD_BYTES_MAX)).as_bytes());
            assert!(matches!(fits[..], [IndexLine { content: LineContent::Record(_), .. }]), "{end:?}");
            let longer = lines(format!("\u{feff}{}{end}", padded(RECORD_BYTES_MAX + 1)).as_bytes());
            assert!(matches!(longer[..], [IndexLine { content: LineContent::Bad(RecordFault::TooLong), .. }]));
        }
    }

    #[test]
    fn an_index_is_read_from_any_disk() {
        let disk = SimulatedDisk::new();
        let path = Path::new("/store/index.ndjson");
        disk.install_file(path, format!("{}\n", text(5)).as_bytes());
        let mut reader = IndexReader::open(&disk, path).unwrap();
        assert!(is_record(&reader.next().unwrap().unwrap(), 5));
        assert_eq!(reader.next().unwrap(), None);
        assert!(IndexReader::open(&disk, Path::new("/store/absent")).is_err());
    }

    proptest! {
        #[test]
        fn lines_cover_arbitrary_bytes(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300)) {
            let found = lines(&bytes);
            let mut end = 0;
            for (index, line) in found.iter().enumerate() {
                prop_assert_eq!((line.number, line.offset), (index as u64 + 1, end));
                end += line.len_bytes;
                prop_assert_eq!(line.is_torn, bytes[end as usize - 1] != b'\n');
            }
            prop_assert_eq!(end, bytes.len() as u64);
            let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(found.len(), newlines + usize::from(bytes.last().is_some_and(|&byte| byte != b'\n')));
        }
    }
}
