//! What is wrong with a text that is no JSON, and where.

use crate::manifest::document::error_codes::{Code, Place};

/// Why bytes are no document that haul takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct JsonFault {
    /// One of the codes of the first two checks of §10.
    pub code: Code,
    /// Bytes before the place.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl JsonFault {
    /// The place in `bytes`, the whole input.
    pub fn place(&self, bytes: &[u8]) -> Place {
        place_of(bytes, self.offset)
    }
}

/// Line and column of an offset. A column is one character, or one byte where the text is not UTF-8.
pub(in crate::manifest) fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
    let characters = before[line_start..].utf8_chunks();
    let column =
        characters.map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum::<usize>() as u64 + 1;
    Place { offset: offset as u64, line, column }
}
