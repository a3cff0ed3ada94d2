//! All rows of a map, from the first to the last.

use super::reader::KeyMap;
use super::row::{HEADER_LINE, MapRow, ROW_TEXT_BYTES_MAX};
use crate::migration::Error;

/// Bytes that one read fetches.
const READ_BYTES: u64 = 256 << 10;

/// A row and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedRow {
    /// Number of its line; the header is line 1.
    pub line: u64,
    /// Where the line starts, in bytes.
    pub offset: u64,
    /// What it says.
    pub row: MapRow,
}

/// The rows of a map in the order of its lines. Nothing follows an error.
pub struct Rows<'a> {
    map: &'a KeyMap,
    /// What was read and not yet given out, and where it stands in the map.
    buffer: Vec<u8>,
    used: usize,
    offset: u64,
    line: u64,
    failed: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(map: &'a KeyMap) -> Self {
        Self { map, buffer: Vec::new(), used: 0, offset: HEADER_LINE.len() as u64, line: 1, failed: false }
    }

    fn next_row(&mut self) -> Result<Option<NumberedRow>, Error> {
        if self.buffer.len() - self.used < ROW_TEXT_BYTES_MAX {
            self.load()?;
        }
        let rest = &self.buffer[self.used..];
        if rest.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let (row, line_bytes) = self.map.parse(rest, self.offset, || Ok(self.line))?;
        let found = NumberedRow { line: self.line, offset: self.offset, row };
        self.used += line_bytes;
        self.offset += line_bytes as u64;
        Ok(Some(found))
    }

    /// Keeps what is left of the buffer and reads on behind it.
    fn load(&mut self) -> Result<(), Error> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let kept = self.buffer.len();
        let at = self.offset + kept as u64;
        let more_bytes = READ_BYTES.min(self.map.len_bytes() - at);
        self.buffer.resize(kept + more_bytes as usize, 0);
        self.map.read_at(at, &mut self.buffer[kept..])
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<NumberedRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_row().transpose();
        self.failed = next.as_ref().is_some_and(Result::is_err);
        next
    }
}
