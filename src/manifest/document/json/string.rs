//! Strings: decoding and comparing them, and the two forms in which they are written.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::lexer::code_unit;
use super::node::flag;

/// Returns the text that a lexeme stands for. Its escapes must have been checked.
pub(super) fn decoded(lexeme: &str, flags: u8) -> Cow<'_, str> {
    if flags & flag::ESCAPED == 0 { Cow::Borrowed(lexeme) } else { Cow::Owned(Characters::new(lexeme).collect()) }
}

/// Iterates over the characters that a lexeme stands for.
pub(super) struct Characters<'t> {
    rest: &'t str,
}

impl<'t> Characters<'t> {
    pub fn new(lexeme: &'t str) -> Self {
        Self { rest: lexeme }
    }

    fn skip(&mut self, len: usize) {
        self.rest = &self.rest[len..];
    }

    fn unicode_escape(&mut self) -> Option<char> {
        let unit = code_unit(self.rest.as_bytes(), 0)?;
        self.skip(6);
        if !(0xD800..0xDC00).contains(&unit) {
            return char::from_u32(unit);
        }
        let low = code_unit(self.rest.as_bytes(), 0)?;
        self.skip(6);
        char::from_u32(0x10000 + ((unit - 0xD800) << 10) + low.checked_sub(0xDC00)?)
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.rest.chars().next()?;
        if first != '\\' {
            self.skip(first.len_utf8());
            return Some(first);
        }
        let escaped = *self.rest.as_bytes().get(1)?;
        if escaped == b'u' {
            return self.unicode_escape();
        }
        self.skip(2);
        Some(match escaped {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            other => char::from(other),
        })
    }
}

/// The name of a member, ordered by code point.
#[derive(Clone, Copy)]
pub(super) struct Name<'t> {
    pub lexeme: &'t str,
    pub flags: u8,
}

impl Name<'_> {
    pub fn cmp(&self, other: &Self) -> Ordering {
        if (self.flags | other.flags) & flag::ESCAPED == 0 {
            // UTF-8 bytes have the order of code points.
            self.lexeme.cmp(other.lexeme)
        } else {
            Characters::new(self.lexeme).cmp(Characters::new(other.lexeme))
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Appends `text` as a string, with the escapes of documents on disk (docs/source-sigilzero.md, "Bytes on disk").
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut buffer = [0; 4];
    for character in text.chars() {
        if !push_short_escape(out, character) {
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
    out.push(b'"');
}

/// Appends a string as on disk: UTF-8, with escapes for `"`, `\` and control characters below U+0020 only.
pub(super) fn push_raw(out: &mut Vec<u8>, lexeme: &str, flags: u8) {
    if flags & flag::ESCAPED != 0 {
        return push_string(out, &decoded(lexeme, flags));
    }
    out.push(b'"');
    out.extend_from_slice(lexeme.as_bytes());
    out.push(b'"');
}

/// Appends a string as in the text of checksums: ASCII only.
pub(super) fn push_ascii(out: &mut Vec<u8>, lexeme: &str, flags: u8) {
    out.push(b'"');
    if flags & flag::NOT_PLAIN == 0 {
        out.extend_from_slice(lexeme.as_bytes());
    } else {
        Characters::new(lexeme).for_each(|character| push_ascii_character(out, character));
    }
    out.push(b'"');
}

fn push_ascii_character(out: &mut Vec<u8>, character: char) {
    match character {
        ' '..='~' if !matches!(character, '"' | '\\') => out.push(character as u8),
        _ if push_short_escape(out, character) => {}
        _ => character.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| push_unit(out, unit)),
    }
}

/// Appends the escape that both forms have for `character`. Returns false if they have none.
fn push_short_escape(out: &mut Vec<u8>, character: char) -> bool {
    let short: &[u8] = match character {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\0'..='\u{1f}' => {
            push_unit(out, character as u16);
            return true;
        }
        _ => return false,
    };
    out.extend_from_slice(short);
    true
}

fn push_unit(out: &mut Vec<u8>, unit: u16) {
    let digit = |shift: u32| b"0123456789abcdef"[usize::from(unit >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}
