//! Faults of a text that is not JSON.

use crate::manifest::document::error_codes::{ErrorCode, TextPosition};

/// The reason why bytes are not a document, and its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct JsonFault {
    /// A code of check 1 or 2 (docs/source-sigilzero.md, "Order of checks").
    pub code: ErrorCode,
    /// Number of bytes before the fault.
    pub offset: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl JsonFault {
    /// Returns the position of the fault in `bytes`, the whole input.
    pub fn position(&self, bytes: &[u8]) -> TextPosition {
        position_of(bytes, self.offset)
    }
}

/// Returns the line and column of an offset. A column is one character, or one byte where the text is not UTF-8.
pub(in crate::manifest) fn position_of(bytes: &[u8], offset: usize) -> TextPosition {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
    let characters = before[line_start..].utf8_chunks();
    let column =
        characters.map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum::<usize>() as u64 + 1;
    TextPosition { offset: offset as u64, line, column }
}
