//! JSON as text: where each value of a document stands, so that it can be read as the reference reads it, and edited
//! while every other byte stays (spec/requiem.md A11).
//!
//! The grammar is RFC 8259 with two differences that come from the reference: control characters may stand in strings
//! as they are, for it writes most of them so, and bytes need not be UTF-8, for it passes on what a command printed.
//! An object that names a member twice is refused, as it does.

pub mod edit;
mod scan;

use std::borrow::Cow;

/// A text that is no JSON document, with the offset at which that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct JsonError {
    /// Where, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// How `\u00e9` in a string is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As RFC 8259 has it: `é`. Half a surrogate pair gives U+FFFD.
    Standard,
    /// As the reference has it: the five characters `u00e9`.
    Reference,
}

/// A value in a text that was checked as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

/// One member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its name: a string.
    pub name: Json<'a>,
    /// Its value.
    pub value: Json<'a>,
}

impl<'a> Json<'a> {
    /// The value of the document `text`.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let (start, end) = scan::document(text)?;
        Ok(Self { text, start, end })
    }

    /// Where its first byte stands in the document.
    pub fn offset(self) -> usize {
        self.start
    }

    /// Its bytes as they stand in the document.
    pub fn raw(self) -> &'a [u8] {
        &self.text[self.start..self.end]
    }

    /// True for an object.
    pub fn is_object(self) -> bool {
        self.raw()[0] == b'{'
    }

    /// True for an array.
    pub fn is_array(self) -> bool {
        self.raw()[0] == b'['
    }

    /// The members of an object in their order; none for anything else.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> {
        let mut parts = self.parts(b'{');
        std::iter::from_fn(move || Some(Member { name: parts.next()?, value: parts.next()? }))
    }

    /// The items of an array in their order; none for anything else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        self.parts(b'[')
    }

    /// The member of an object whose name reads so, by [`Reading::Reference`].
    pub fn get(self, name: &str) -> Option<Self> {
        let is_it = |member: &Member<'_>| member.name.string(Reading::Reference).as_deref() == Some(name.as_bytes());
        self.members().find(is_it).map(|member| member.value)
    }

    /// The bytes of a string.
    pub fn string(self, reading: Reading) -> Option<Cow<'a, [u8]>> {
        (self.raw()[0] == b'"').then(|| read_string(self.raw(), reading))
    }

    /// The truth value.
    pub fn bool(self) -> Option<bool> {
        match self.raw() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The whole number, without a fraction or an exponent, if it fits.
    pub fn integer(self) -> Option<i64> {
        let digits = str::from_utf8(self.raw()).ok()?;
        digits.parse().ok().filter(|_| digits != "-0")
    }

    /// What stands in a container, names and values alike.
    fn parts(self, opening: u8) -> impl Iterator<Item = Self> {
        let Self { text, start, end } = self;
        let mut at = if text[start] == opening { start + 1 } else { end };
        std::iter::from_fn(move || {
            while at < end && matches!(text[at], b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']') {
                at += 1;
            }
            if at >= end {
                return None;
            }
            let part = Self { text, start: at, end: scan::value_end(text, at) };
            at = part.end;
            Some(part)
        })
    }
}

/// The bytes that a string literal, with its quotes, stands for.
fn read_string(literal: &[u8], reading: Reading) -> Cow<'_, [u8]> {
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

/// Reads the four digits after `\u`, and a second half of a surrogate pair behind them; returns what follows.
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

#[cfg(test)]
mod tests;
