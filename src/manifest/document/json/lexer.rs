//! The lexer: finds the ends of strings and numbers and checks them.
//!
//! Strings are scanned eight bytes at a time, because they are most of a manifest.

use super::fault::JsonFault;
use super::node::{Kind, flag};
use crate::manifest::document::error_codes::ErrorCode;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of `word` that are below `limit` (at most 0x80). Marks are exact up to the first marked byte: behind
/// it a borrow may set more.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Marks the bytes of `word` that equal `byte`. Marks are exact up to the first marked byte.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Marks the bytes that end a run of ordinary characters: quotes, backslashes and control characters.
const fn special(word: u64) -> u64 {
    equal(word, b'"') | equal(word, b'\\') | below(word, 0x20)
}

const fn not_plain(word: u64) -> bool {
    (word & HIGHS) | equal(word, 0x7f) != 0
}

/// Scans the string whose first byte after the quote is at `start`. Returns the offset of the closing quote and the
/// flags of the string.
pub(super) fn string(text: &[u8], start: usize) -> Result<(usize, u8), JsonFault> {
    let mut at = start;
    let mut flags = 0;
    loop {
        at = run(text, at, &mut flags);
        match text.get(at) {
            Some(b'"') => return Ok((at, flags)),
            Some(b'\\') => {
                flags |= flag::ESCAPED | flag::NOT_PLAIN;
                at = escape(text, at)?;
            }
            Some(_) => return fault(ErrorCode::Json, at, "a control character in a string; write it as an escape"),
            None => return fault(ErrorCode::Json, at, "the text ends in a string"),
        }
    }
}

/// Skips ordinary characters and returns the offset of the first other one.
fn run(text: &[u8], mut at: usize, flags: &mut u8) -> usize {
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let marks = special(word);
        if marks != 0 {
            let len = marks.trailing_zeros() as usize / 8;
            let before = word & !(!0 << (len * 8));
            *flags |= if not_plain(before) { flag::NOT_PLAIN } else { 0 };
            return at + len;
        }
        *flags |= if not_plain(word) { flag::NOT_PLAIN } else { 0 };
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        *flags |= if byte >= 0x7f { flag::NOT_PLAIN } else { 0 };
        at += 1;
    }
    at
}

/// Checks the escape sequence at `at` and returns the offset of its end.
fn escape(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => surrogates(text, at),
        Some(_) => fault(ErrorCode::Json, at, "an escape that JSON does not have"),
        None => fault(ErrorCode::Json, at, "the text ends in an escape"),
    }
}

fn surrogates(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let Some(unit) = code_unit(text, at) else {
        return fault(ErrorCode::Json, at, "\\u without four hexadecimal digits");
    };
    match unit {
        0xD800..0xDC00 => match code_unit(text, at + 6) {
            Some(0xDC00..0xE000) => Ok(at + 12),
            _ => fault(ErrorCode::Surrogate, at, "half of a surrogate pair, which UTF-8 cannot express"),
        },
        0xDC00..0xE000 => fault(ErrorCode::Surrogate, at, "half of a surrogate pair, which UTF-8 cannot express"),
        _ => Ok(at + 6),
    }
}

/// Returns the value of the `\uXXXX` at `at`.
pub(super) fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

/// Scans the number at `start`. Returns the offset of its end and its kind.
pub(super) fn number(text: &[u8], start: usize) -> Result<(usize, Kind), JsonFault> {
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    at = match text.get(at) {
        Some(b'0') => at + 1,
        Some(b'1'..=b'9') => digits(text, at),
        Some(b'I') if text[at..].starts_with(b"Infinity") => {
            return fault(ErrorCode::Nonfinite, start, "Infinity is not a JSON number");
        }
        _ => return fault(ErrorCode::Json, at, "expected a digit"),
    };
    let mut kind = Kind::Integer;
    if text.get(at) == Some(&b'.') {
        kind = Kind::Float;
        at = some_digits(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        kind = Kind::Float;
        let has_sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = some_digits(text, at + 1 + usize::from(has_sign))?;
    }
    Ok((at, kind))
}

fn digits(text: &[u8], start: usize) -> usize {
    start + text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn some_digits(text: &[u8], start: usize) -> Result<usize, JsonFault> {
    match text.get(start) {
        Some(b'0'..=b'9') => Ok(digits(text, start)),
        _ => fault(ErrorCode::Json, start, "expected a digit"),
    }
}

/// Returns the offset of the first byte from `at` on that is not a blank.
pub(super) fn after_blanks(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => at += 1,
            _ => return at,
        }
    }
}

pub(super) fn fault<T>(code: ErrorCode, offset: usize, what: &'static str) -> Result<T, JsonFault> {
    Err(JsonFault { code, offset, what })
}
