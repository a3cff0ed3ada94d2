//! The flat tree of a document, and how it is read.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::fault::place_of;
use super::string;
use crate::manifest::code::Place;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// Without `.`, `e` or `E`.
    Integer,
    /// With one of them.
    Float,
    /// A text.
    String,
    /// A list.
    Array,
    /// Members by name.
    Object,
}

/// A node of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// What a string may hold; a flag that is absent is a promise.
pub(super) mod flag {
    /// Escapes.
    pub const ESCAPED: u8 = 1;
    /// Characters outside U+0020–U+007E.
    pub const NOT_PLAIN: u8 = 2;
}

/// For scalars the range of the lexeme in the text, strings without their quotes; for containers the range of their
/// members or items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub start: u32,
    pub end: u32,
    pub kind: Kind,
    pub flags: u8,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub key: NodeId,
    pub value: NodeId,
}

/// The memory of a document, for the next one to use.
#[derive(Debug, Default)]
pub struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Member>,
    pub(super) items: Vec<NodeId>,
    pub(super) pending: Vec<NodeId>,
    pub(super) frames: Vec<super::reader::Frame>,
    pub(super) added: String,
}

/// A parsed text, and what edits added to it.
#[derive(Debug)]
pub struct Document<'a> {
    pub(super) input: &'a str,
    pub(super) arena: Arena,
    pub(super) root: NodeId,
}

impl<'a> Document<'a> {
    /// The value that was read.
    pub fn root(&self) -> Value<'_> {
        self.value(self.root)
    }

    /// Line and column of an offset in the input.
    pub fn place(&self, offset: usize) -> Place {
        place_of(self.input.as_bytes(), offset)
    }

    /// The value of a node of this document.
    pub fn value(&self, node: NodeId) -> Value<'_> {
        Value { input: self.input, arena: &self.arena, id: node }
    }

    /// The memory, for the next document.
    pub fn into_arena(self) -> Arena {
        self.arena
    }
}

/// A value in a document.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    pub(super) input: &'d str,
    pub(super) arena: &'d Arena,
    pub(super) id: NodeId,
}

impl<'d> Value<'d> {
    pub(super) fn node(self) -> Node {
        self.arena.nodes[self.id.0 as usize]
    }

    /// The same value under another node's number.
    pub(super) fn at(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    /// Its number in its document.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// A scalar as it is written, a string without its quotes; empty for containers.
    pub fn lexeme(self) -> &'d str {
        let node = self.node();
        if matches!(node.kind, Kind::Array | Kind::Object) {
            return "";
        }
        let (start, end) = (node.start as usize, node.end as usize);
        match start.checked_sub(self.input.len()) {
            None => &self.input[start..end],
            Some(start) => &self.arena.added[start..end - self.input.len()],
        }
    }

    /// Where a scalar is in the input; `None` for containers and for what edits added.
    pub fn offset(self) -> Option<usize> {
        let node = self.node();
        let is_scalar = !matches!(node.kind, Kind::Array | Kind::Object);
        (is_scalar && (node.end as usize) <= self.input.len()).then_some(node.start as usize)
    }

    /// The text of a string; `None` for anything else.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        let node = self.node();
        (node.kind == Kind::String).then(|| string::decoded(self.lexeme(), node.flags))
    }

    /// Whether it is the string `text`.
    pub fn is_str(self, text: &str) -> bool {
        self.kind() == Kind::String && self.compare_str(text) == Ordering::Equal
    }

    pub(super) fn compare_str(self, text: &str) -> Ordering {
        if self.node().flags & flag::ESCAPED == 0 {
            self.lexeme().cmp(text)
        } else {
            string::decoded(self.lexeme(), flag::ESCAPED).as_ref().cmp(text)
        }
    }

    /// The member `key` of an object; `None` for anything else.
    pub fn get(self, key: &str) -> Option<Self> {
        let members = self.member_slice();
        let found = members.binary_search_by(|member| self.at(member.key).compare_str(key)).ok()?;
        Some(self.at(members[found].value))
    }

    /// Where the name of the member `key` is in the input.
    pub fn key_offset(self, key: &str) -> Option<usize> {
        let members = self.member_slice();
        let found = members.binary_search_by(|member| self.at(member.key).compare_str(key)).ok()?;
        self.at(members[found].key).offset()
    }

    pub(super) fn member_slice(self) -> &'d [Member] {
        let node = self.node();
        if node.kind == Kind::Object { &self.arena.members[node.start as usize..node.end as usize] } else { &[] }
    }

    pub(super) fn item_slice(self) -> &'d [NodeId] {
        let node = self.node();
        if node.kind == Kind::Array { &self.arena.items[node.start as usize..node.end as usize] } else { &[] }
    }

    /// The members of an object, sorted by name: names and values. None for anything else.
    pub fn members(self) -> impl DoubleEndedIterator<Item = (Self, Self)> + ExactSizeIterator + Clone {
        self.member_slice().iter().map(move |member| (self.at(member.key), self.at(member.value)))
    }

    /// The items of an array. None for anything else.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        self.item_slice().iter().map(move |&item| self.at(item))
    }
}
