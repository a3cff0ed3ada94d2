//! The three forms in which a value is written: the canonical text of checksums, the compact text of `inputs_hash`, and
//! the text on disk.

use super::document::Value;
use super::equal::Numbers;
use super::node::{Kind, Node};
use super::{number, string};

/// The form of a document on disk (docs/source-sigilzero.md, "Bytes on disk").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formatting {
    /// Whether numbers keep their text or are written as the original writes them.
    pub numbers: Numbers,
    /// Whether the text ends with a newline.
    pub final_newline: bool,
}

/// Appends the canonical text that checksums are computed from (docs/source-sigilzero.md, "Canonical text and
/// checksums").
pub fn push_canonical(out: &mut Vec<u8>, value: Value<'_>) {
    push(out, value, &Canonical);
}

/// Appends the compact JSON that `inputs_hash` is computed from: sorted, without blanks, in UTF-8
/// (docs/source-sigilzero.md, "The document").
pub fn push_compact(out: &mut Vec<u8>, value: Value<'_>) {
    push(out, value, &Compact);
}

/// Appends the text for the disk: sorted, indented by two spaces, in UTF-8 (docs/source-sigilzero.md, "Bytes on disk").
pub fn push_formatted(out: &mut Vec<u8>, value: Value<'_>, formatting: Formatting) {
    push(out, value, &Indented { numbers: formatting.numbers });
    if formatting.final_newline {
        out.push(b'\n');
    }
}

/// The differences between the forms.
trait Style {
    const COLON: &'static [u8];

    /// Writes what comes before the first part of a container.
    fn begin(&self, out: &mut Vec<u8>, depth: usize);
    /// Writes what comes between two parts.
    fn between(&self, out: &mut Vec<u8>, depth: usize);
    /// Writes what comes after the last part. `depth` is the depth of the container.
    fn end(&self, out: &mut Vec<u8>, depth: usize);
    fn string(&self, out: &mut Vec<u8>, lexeme: &str, flags: u8);
    fn number(&self, out: &mut Vec<u8>, kind: Kind, lexeme: &str);
}

struct Canonical;

impl Style for Canonical {
    const COLON: &'static [u8] = b": ";

    fn begin(&self, _: &mut Vec<u8>, _: usize) {}

    fn between(&self, out: &mut Vec<u8>, _: usize) {
        out.extend_from_slice(b", ");
    }

    fn end(&self, _: &mut Vec<u8>, _: usize) {}

    fn string(&self, out: &mut Vec<u8>, lexeme: &str, flags: u8) {
        string::push_ascii(out, lexeme, flags);
    }

    fn number(&self, out: &mut Vec<u8>, kind: Kind, lexeme: &str) {
        number::push_canonical(out, kind, lexeme);
    }
}

struct Compact;

impl Style for Compact {
    const COLON: &'static [u8] = b":";

    fn begin(&self, _: &mut Vec<u8>, _: usize) {}

    fn between(&self, out: &mut Vec<u8>, _: usize) {
        out.push(b',');
    }

    fn end(&self, _: &mut Vec<u8>, _: usize) {}

    fn string(&self, out: &mut Vec<u8>, lexeme: &str, flags: u8) {
        string::push_raw(out, lexeme, flags);
    }

    fn number(&self, out: &mut Vec<u8>, kind: Kind, lexeme: &str) {
        number::push_canonical(out, kind, lexeme);
    }
}

struct Indented {
    numbers: Numbers,
}

const SPACES: &[u8] = &[b' '; 64];

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    let mut left = depth * 2;
    while left > 0 {
        let some = left.min(SPACES.len());
        out.extend_from_slice(&SPACES[..some]);
        left -= some;
    }
}

impl Style for Indented {
    const COLON: &'static [u8] = b": ";

    fn begin(&self, out: &mut Vec<u8>, depth: usize) {
        new_line(out, depth);
    }

    fn between(&self, out: &mut Vec<u8>, depth: usize) {
        out.push(b',');
        new_line(out, depth);
    }

    fn end(&self, out: &mut Vec<u8>, depth: usize) {
        new_line(out, depth);
    }

    fn string(&self, out: &mut Vec<u8>, lexeme: &str, flags: u8) {
        string::push_raw(out, lexeme, flags);
    }

    fn number(&self, out: &mut Vec<u8>, kind: Kind, lexeme: &str) {
        match self.numbers {
            Numbers::Lexemes => out.extend_from_slice(lexeme.as_bytes()),
            Numbers::Values => number::push_canonical(out, kind, lexeme),
        }
    }
}

/// A container whose parts are being written. A list of them replaces recursion, which deep documents would exhaust.
struct Open<'d> {
    value: Value<'d>,
    node: Node,
    next: u32,
}

fn push<S: Style>(out: &mut Vec<u8>, root: Value<'_>, style: &S) {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut value = root;
    loop {
        let node = value.node();
        let is_container = matches!(node.kind, Kind::Array | Kind::Object);
        if is_container && node.start < node.end {
            out.push(if node.kind == Kind::Object { b'{' } else { b'[' });
            open.push(Open { value, node, next: node.start });
            style.begin(out, open.len());
        } else {
            push_leaf(out, value, node, style);
            close_ended(out, &mut open, style);
        }
        let depth = open.len();
        let Some(innermost) = open.last_mut() else { return };
        if innermost.next > innermost.node.start {
            style.between(out, depth);
        }
        value = next_part(out, innermost, style);
    }
}

/// Closes the containers that have no part left.
fn close_ended<S: Style>(out: &mut Vec<u8>, open: &mut Vec<Open<'_>>, style: &S) {
    while let Some(ended) = open.pop_if(|innermost| innermost.next == innermost.node.end) {
        style.end(out, open.len());
        out.push(if ended.node.kind == Kind::Object { b'}' } else { b']' });
    }
}

fn next_part<'d, S: Style>(out: &mut Vec<u8>, open: &mut Open<'d>, style: &S) -> Value<'d> {
    let at = open.next as usize;
    open.next += 1;
    if open.node.kind == Kind::Array {
        return open.value.at(open.value.arena.items[at]);
    }
    let member = open.value.arena.members[at];
    let key = open.value.at(member.key);
    style.string(out, key.lexeme(), key.node().flags);
    out.extend_from_slice(S::COLON);
    open.value.at(member.value)
}

fn push_leaf<S: Style>(out: &mut Vec<u8>, value: Value<'_>, node: Node, style: &S) {
    match node.kind {
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::False => out.extend_from_slice(b"false"),
        Kind::True => out.extend_from_slice(b"true"),
        Kind::Integer | Kind::Float => style.number(out, node.kind, value.lexeme()),
        Kind::String => style.string(out, value.lexeme(), node.flags),
        Kind::Array => out.extend_from_slice(b"[]"),
        Kind::Object => out.extend_from_slice(b"{}"),
    }
}
