//! The bytes that a string literal means.

use std::borrow::Cow;

/// How `\u00e9` in a string is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As RFC 8259 says: `é`. Half of a surrogate pair gives U+FFFD.
    Standard,
    /// As the reference reads it: the five characters `u00e9`.
    Reference,
}

/// Returns the bytes that a string literal, with its quotes, means.
pub(super) fn read_string(literal: &[u8], reading: Reading) -> Cow<'_, [u8]> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [b'u', after @ ..]) if reading == Reading::Standard => push_unicode(after, &mut bytes),
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(unescaped(*escaped));
                after
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    Cow::Owned(bytes)
}

/// Reads the four digits after `\u`, and the second half of a surrogate pair if it follows. Returns the rest of the
/// text.
fn push_unicode<'a>(text: &'a [u8], bytes: &mut Vec<u8>) -> &'a [u8] {
    let (first, mut rest) = code_unit(text);
    let mut units = vec![first];
    if let (0xD800..0xDC00, [b'\\', b'u', after @ ..]) = (first, rest) {
        let (second, after) = code_unit(after);
        if (0xDC00..0xE000).contains(&second) {
            units.push(second);
            rest = after;
        }
    }
    bytes.extend_from_slice(String::from_utf16_lossy(&units).as_bytes());
    rest
}

fn code_unit(text: &[u8]) -> (u16, &[u8]) {
    let (digits, rest) = text.split_at(4);
    let unit = digits.iter().fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0));
    (unit as u16, rest)
}

fn unescaped(escaped: u8) -> u8 {
    match escaped {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        itself => itself,
    }
}
