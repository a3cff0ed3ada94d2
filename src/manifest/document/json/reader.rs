//! The parser. It keeps open arrays and objects in a list instead of recursing, so deep nesting cannot overflow the
//! stack.

use super::document::Document;
use super::fault::JsonFault;
use super::lexer::{after_blanks, fault};
use super::node::{Arena, Frame, Kind, Member, Node, NodeId};
use super::{lexer, number, string};
use crate::manifest::document::error_codes::ErrorCode;

/// The longest document. Offsets have 32 bits, and the texts that edits add need some of them.
pub const LEN_MAX_BYTES: usize = 1 << 31;

/// The largest number of digits of an integer that the readers of the original accept (docs/source-sigilzero.md, "Two
/// modes").
const COMPAT_DIGITS_MAX: usize = 4300;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Options for parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// The deepest nesting of arrays and objects.
    pub depth_max: usize,
    /// Skips a byte order mark instead of refusing it.
    pub bom_strip: bool,
    /// Keeps the last of several members with one name instead of refusing them.
    pub last_member_wins: bool,
    /// Refuses numbers that the original cannot write or read.
    pub compat_numbers: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { depth_max: 1000, bom_strip: false, last_member_wins: false, compat_numbers: false }
    }
}

impl<'a> Document<'a> {
    /// Parses `bytes`.
    pub fn parse(bytes: &'a [u8], options: &ReadOptions) -> Result<Self, JsonFault> {
        Self::parse_in(Arena::default(), bytes, options)
    }

    /// Parses `bytes` into the memory of an earlier document. The memory is dropped if the bytes are refused.
    pub fn parse_in(mut arena: Arena, bytes: &'a [u8], options: &ReadOptions) -> Result<Self, JsonFault> {
        let (input, start) = checked_text(bytes, options)?;
        arena.clear();
        let root = read_value(&mut arena, Span { text: input, base: 0 }, start, options)?;
        Ok(Self { input, arena, root })
    }
}

/// Checks that the bytes are a text, and returns it with the offset of its first value (check 1 of
/// docs/source-sigilzero.md, "Order of checks").
fn checked_text<'a>(bytes: &'a [u8], options: &ReadOptions) -> Result<(&'a str, usize), JsonFault> {
    let has_mark = bytes.starts_with(BYTE_ORDER_MARK);
    let start = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
    if after_blanks(bytes, start) == bytes.len() {
        return fault(ErrorCode::Empty, bytes.len(), "no value: the file is empty or blank");
    }
    if has_mark && !options.bom_strip {
        return fault(ErrorCode::Bom, 0, "a byte order mark; --bom strip removes it");
    }
    if bytes.len() > LEN_MAX_BYTES {
        return fault(ErrorCode::Json, LEN_MAX_BYTES, "longer than 2 GiB");
    }
    // The fast check does not say where the fault is, so the slower one runs only after it has failed.
    let text = simdutf8::basic::from_utf8(bytes).or_else(|_| match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => fault(ErrorCode::Encoding, error.valid_up_to(), "not UTF-8"),
    })?;
    Ok((text, start))
}

/// A text and the offset at which nodes begin to count it: 0 for the input, and behind it for texts that edits add.
#[derive(Clone, Copy)]
pub(super) struct Span<'t> {
    pub text: &'t str,
    pub base: usize,
}

/// Parses the value of `span` from `start` on, which must be the only one.
pub(super) fn read_value(
    arena: &mut Arena,
    span: Span<'_>,
    start: usize,
    options: &ReadOptions,
) -> Result<NodeId, JsonFault> {
    arena.pending.clear();
    arena.frames.clear();
    let mut reader = Reader { arena, text: span.text.as_bytes(), span, at: start, options };
    let root = reader.document()?;
    reader.skip_blanks();
    if reader.at < reader.text.len() { reader.fail("more text after the value") } else { Ok(root) }
}

struct Reader<'r, 't> {
    arena: &'r mut Arena,
    text: &'t [u8],
    span: Span<'t>,
    at: usize,
    options: &'r ReadOptions,
}

impl Reader<'_, '_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, JsonFault> {
        fault(ErrorCode::Json, self.at, what)
    }

    fn skip_blanks(&mut self) {
        self.at = after_blanks(self.text, self.at);
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, flags: u8) -> NodeId {
        let id = NodeId(self.arena.nodes.len() as u32);
        self.arena.nodes.push(Node { start: start as u32, end: end as u32, kind, flags });
        id
    }

    fn push_text(&mut self, kind: Kind, start: usize, end: usize, flags: u8) -> NodeId {
        self.push(kind, start + self.span.base, end + self.span.base, flags)
    }

    fn document(&mut self) -> Result<NodeId, JsonFault> {
        loop {
            let Some(mut value) = self.open_or_scalar()? else { continue };
            // The value is complete. It belongs to the innermost open container, which may end right after it, and so
            // on.
            loop {
                let Some(frame) = self.arena.frames.last().copied() else { return Ok(value) };
                self.arena.pending.push(value);
                self.skip_blanks();
                match (self.text.get(self.at), frame.is_object) {
                    (Some(b','), is_object) => {
                        self.at += 1;
                        if is_object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => value = self.close(frame)?,
                    (None, _) => return self.fail("the text ends in an array or object"),
                    (Some(_), true) => return self.fail("expected `,` or `}`"),
                    (Some(_), false) => return self.fail("expected `,` or `]`"),
                }
            }
        }
    }

    /// Reads a scalar or an empty container. Returns `None` if a container was opened.
    fn open_or_scalar(&mut self) -> Result<Option<NodeId>, JsonFault> {
        self.skip_blanks();
        let start = self.at;
        match self.text.get(start) {
            Some(b'"') => self.string().map(Some),
            Some(b'-' | b'0'..=b'9') => self.number().map(Some),
            Some(b'{' | b'[') => self.open(),
            Some(b't') => self.word("true", Kind::True).map(Some),
            Some(b'f') => self.word("false", Kind::False).map(Some),
            Some(b'n') => self.word("null", Kind::Null).map(Some),
            Some(b'N') if self.text[start..].starts_with(b"NaN") => {
                fault(ErrorCode::Nonfinite, start, "NaN is not a JSON number")
            }
            Some(b'I') if self.text[start..].starts_with(b"Infinity") => {
                fault(ErrorCode::Nonfinite, start, "Infinity is no JSON number")
            }
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn open(&mut self) -> Result<Option<NodeId>, JsonFault> {
        if self.arena.frames.len() >= self.options.depth_max {
            return fault(ErrorCode::Depth, self.at, "arrays and objects are nested too deep; see --max-depth");
        }
        let is_object = self.text[self.at] == b'{';
        let frame = Frame { is_object, base: self.arena.pending.len() };
        self.at += 1;
        self.skip_blanks();
        self.arena.frames.push(frame);
        match self.text.get(self.at) {
            Some(b'}') if is_object => self.close(frame).map(Some),
            Some(b']') if !is_object => self.close(frame).map(Some),
            _ if is_object => self.key().map(|()| None),
            _ => Ok(None),
        }
    }

    fn key(&mut self) -> Result<(), JsonFault> {
        self.skip_blanks();
        if self.text.get(self.at) != Some(&b'"') {
            return self.fail("expected the name of a member");
        }
        let key = self.string()?;
        self.arena.pending.push(key);
        self.skip_blanks();
        if self.text.get(self.at) != Some(&b':') {
            return self.fail("expected `:`");
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<NodeId, JsonFault> {
        let start = self.at + 1;
        let (end, flags) = lexer::string(self.text, start)?;
        self.at = end + 1;
        Ok(self.push_text(Kind::String, start, end, flags))
    }

    fn number(&mut self) -> Result<NodeId, JsonFault> {
        let start = self.at;
        let (end, kind) = lexer::number(self.text, start)?;
        self.at = end;
        if self.options.compat_numbers {
            let lexeme = &self.span.text[start..end];
            if kind == Kind::Integer && lexeme.trim_start_matches('-').len() > COMPAT_DIGITS_MAX {
                return fault(ErrorCode::Number, start, "an integer of more than 4,300 digits");
            }
            if kind == Kind::Float && number::overflows(lexeme) {
                return fault(ErrorCode::Nonfinite, start, "a number beyond binary64: it would be written as Infinity");
            }
        }
        Ok(self.push_text(kind, start, end, 0))
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<NodeId, JsonFault> {
        let (start, end) = (self.at, self.at + word.len());
        if self.text.get(start..end) != Some(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at = end;
        Ok(self.push_text(kind, start, end, 0))
    }

    /// Closes the innermost container at its bracket.
    fn close(&mut self, frame: Frame) -> Result<NodeId, JsonFault> {
        self.at += 1;
        self.arena.frames.pop();
        let parts = frame.base..;
        if !frame.is_object {
            let start = self.arena.items.len();
            self.arena.items.extend(self.arena.pending.drain(parts));
            return Ok(self.push(Kind::Array, start, self.arena.items.len(), 0));
        }
        let start = self.arena.members.len();
        let pairs = self.arena.pending[parts.clone()].chunks_exact(2);
        self.arena.members.extend(pairs.map(|pair| Member { key: pair[0], value: pair[1] }));
        self.arena.pending.truncate(frame.base);
        self.sort_members(start)?;
        Ok(self.push(Kind::Object, start, self.arena.members.len(), 0))
    }

    /// Sorts the members from `start` on by name. Names must be unique.
    fn sort_members(&mut self, start: usize) -> Result<(), JsonFault> {
        let Self { arena: Arena { nodes, members, .. }, span, .. } = self;
        let name = |member: &Member| {
            let node = nodes[member.key.0 as usize];
            let (start, end) = (node.start as usize - span.base, node.end as usize - span.base);
            string::Name { lexeme: &span.text[start..end], flags: node.flags }
        };
        let own = &mut members[start..];
        if own.is_sorted_by(|a, b| name(a) < name(b)) {
            return Ok(());
        }
        // Equal names stay in the order of the input, in which the last one counts.
        own.sort_unstable_by(|a, b| name(a).cmp(&name(b)).then(a.key.cmp(&b.key)));
        let repeated = own.windows(2).filter(|pair| name(&pair[0]) == name(&pair[1])).map(|pair| pair[1].key).min();
        let Some(key) = repeated else { return Ok(()) };
        if !self.options.last_member_wins {
            let offset = nodes[key.0 as usize].start as usize - span.base - 1;
            return fault(ErrorCode::DuplicateKey, offset, "an object names this member twice");
        }
        let mut kept = start;
        for at in start..members.len() {
            let is_last = members.get(at + 1).is_none_or(|next| name(next) != name(&members[at]));
            if is_last {
                members[kept] = members[at];
                kept += 1;
            }
        }
        members.truncate(kept);
        Ok(())
    }
}
