//! The values of a document, by where they stand in its text.

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
