//! A parsed document and the values in it.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::fault::position_of;
use super::node::{Arena, Kind, Member, Node, NodeId, flag};
use super::string;
use crate::manifest::document::error_codes::TextPosition;

/// The largest number of members that are searched one by one. For few members that is faster than a binary search,
/// because most names differ in length already.
const FEW_MEMBERS: usize = 32;

/// A parsed text together with the values that edits added to it.
#[derive(Debug)]
pub struct Document<'a> {
    pub(super) input: &'a str,
    pub(super) arena: Arena,
    pub(super) root: NodeId,
}

impl<'a> Document<'a> {
    /// Returns the root of the text that was parsed.
    pub fn root(&self) -> Value<'_> {
        self.value(self.root)
    }

    /// Returns the line and column of an offset in the input.
    pub fn position(&self, offset: usize) -> TextPosition {
        position_of(self.input.as_bytes(), offset)
    }

    /// Returns the value of a node of this document.
    pub fn value(&self, node: NodeId) -> Value<'_> {
        Value { input: self.input, arena: &self.arena, id: node }
    }

    /// Returns the memory, for the next document.
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

    /// Returns another value of the same document.
    pub(super) fn at(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    /// Returns the id of its node.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// Returns the kind of the value.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Returns the text of a scalar as it is written, a string without its quotes. It is empty for arrays and objects.
    pub fn lexeme(self) -> &'d str {
        let node = self.node();
        if matches!(node.kind, Kind::Array | Kind::Object) {
            return "";
        }
        let (start, end) = (node.start as usize, node.end as usize);
        // Offsets behind the input belong to texts that edits added.
        match start.checked_sub(self.input.len()) {
            None => &self.input[start..end],
            Some(start) => &self.arena.added[start..end - self.input.len()],
        }
    }

    /// Returns the offset of a scalar in the input, or `None` for arrays, objects and values that edits added.
    pub fn offset(self) -> Option<usize> {
        let node = self.node();
        let is_scalar = !matches!(node.kind, Kind::Array | Kind::Object);
        (is_scalar && (node.end as usize) <= self.input.len()).then_some(node.start as usize)
    }

    /// Returns the text of a string, or `None` for any other value.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        let node = self.node();
        (node.kind == Kind::String).then(|| string::decoded(self.lexeme(), node.flags))
    }

    /// Returns true if the value is the string `text`.
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

    /// Returns the member `key` of an object.
    pub fn get(self, key: &str) -> Option<Self> {
        Some(self.at(self.member(key)?.value))
    }

    /// Returns the offset of the name of the member `key` in the input.
    pub fn key_offset(self, key: &str) -> Option<usize> {
        self.at(self.member(key)?.key).offset()
    }

    fn member(self, key: &str) -> Option<&'d Member> {
        let members = self.member_slice();
        if members.len() <= FEW_MEMBERS {
            return members.iter().find(|member| self.at(member.key).is_key(key));
        }
        let found = members.binary_search_by(|member| self.at(member.key).compare_str(key)).ok()?;
        Some(&members[found])
    }

    fn is_key(self, text: &str) -> bool {
        let node = self.node();
        if node.flags & flag::ESCAPED == 0 {
            (node.end - node.start) as usize == text.len() && self.lexeme() == text
        } else {
            self.compare_str(text) == Ordering::Equal
        }
    }

    pub(super) fn member_slice(self) -> &'d [Member] {
        let node = self.node();
        if node.kind == Kind::Object { &self.arena.members[node.start as usize..node.end as usize] } else { &[] }
    }

    pub(super) fn item_slice(self) -> &'d [NodeId] {
        let node = self.node();
        if node.kind == Kind::Array { &self.arena.items[node.start as usize..node.end as usize] } else { &[] }
    }

    /// Iterates over the names and values of an object, sorted by name. Other values have no members.
    pub fn members(self) -> impl DoubleEndedIterator<Item = (Self, Self)> + ExactSizeIterator + Clone {
        self.member_slice().iter().map(move |member| (self.at(member.key), self.at(member.value)))
    }

    /// Iterates over the items of an array. Other values have no items.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator + Clone {
        self.item_slice().iter().map(move |&item| self.at(item))
    }
}
