//! The values of a document, by their position in its text.

use std::borrow::Cow;

use super::scan::{self, JsonError};
use super::string::{Reading, read_string};

/// A value in a text that was checked as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
}

/// One member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The name, a string.
    pub name: Json<'a>,
    /// The value.
    pub value: Json<'a>,
}

impl<'a> Json<'a> {
    /// Reads the document `text`.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let (start, end) = scan::document(text)?;
        Ok(Self { text, start, end })
    }

    /// Returns the offset of the first byte in the document.
    pub fn offset(self) -> usize {
        self.start
    }

    /// Returns the bytes of the value as they are in the document.
    pub fn raw(self) -> &'a [u8] {
        &self.text[self.start..self.end]
    }

    /// Returns true for an object.
    pub fn is_object(self) -> bool {
        self.raw()[0] == b'{'
    }

    /// Returns true for an array.
    pub fn is_array(self) -> bool {
        self.raw()[0] == b'['
    }

    /// Returns the members of an object in their order; none for any other value.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> {
        let mut parts = self.parts(b'{');
        std::iter::from_fn(move || Some(Member { name: parts.next()?, value: parts.next()? }))
    }

    /// Returns the items of an array in their order; none for any other value.
    pub fn items(self) -> impl Iterator<Item = Self> {
        self.parts(b'[')
    }

    /// Returns the member of an object whose name is `name` by [`Reading::Reference`].
    pub fn get(self, name: &str) -> Option<Self> {
        let is_it = |member: &Member<'_>| member.name.string(Reading::Reference).as_deref() == Some(name.as_bytes());
        self.members().find(is_it).map(|member| member.value)
    }

    /// Returns the bytes of a string.
    pub fn string(self, reading: Reading) -> Option<Cow<'a, [u8]>> {
        (self.raw()[0] == b'"').then(|| read_string(self.raw(), reading))
    }

    /// Returns the truth value.
    pub fn bool(self) -> Option<bool> {
        match self.raw() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Returns a whole number without fraction and exponent, if it fits.
    pub fn integer(self) -> Option<i64> {
        let digits = str::from_utf8(self.raw()).ok()?;
        digits.parse().ok().filter(|_| digits != "-0")
    }

    /// Returns the values in a container, names and values alike.
    fn parts(self, opening: u8) -> impl Iterator<Item = Self> {
        let Self { text, start, end } = self;
        let mut at = if text[start] == opening { start + 1 } else { end };
        std::iter::from_fn(move || {
            // The text was checked, so separators can be skipped without looking at their order.
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
