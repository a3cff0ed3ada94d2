//! Edits of a document. They add nodes and never change one, so every earlier root stays valid.

use super::document::{Document, Value};
use super::fault::JsonFault;
use super::node::{Kind, Member, Node, NodeId};
use super::reader::{LEN_MAX_BYTES, ReadOptions, Span, read_value};
use super::string;
use crate::manifest::document::error_codes::ErrorCode;

impl Document<'_> {
    /// Parses `json` as a new value of this document.
    pub fn parse_fragment(&mut self, json: &str) -> Result<NodeId, JsonFault> {
        let start = self.arena.added.len();
        let base = self.input.len() + start;
        // Offsets have 32 bits. The input takes at most half of their range; this leaves room for what edits add.
        if base + json.len() > LEN_MAX_BYTES + LEN_MAX_BYTES / 2 {
            return Err(JsonFault {
                code: ErrorCode::Json,
                offset: 0,
                what: "the values added to the document are too long",
            });
        }
        self.arena.added.push_str(json);
        read_value(&mut self.arena, Span { text: json, base }, 0, &ReadOptions::default())
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) -> NodeId {
        let id = NodeId(self.arena.nodes.len() as u32);
        self.arena.nodes.push(Node { start: start as u32, end: end as u32, kind, flags: 0 });
        id
    }

    /// Adds the string `text` as a new value.
    fn name(&mut self, text: &str) -> Result<NodeId, JsonFault> {
        let mut json = Vec::new();
        string::push_string(&mut json, text);
        self.parse_fragment(&String::from_utf8(json).expect("a string in quotes is UTF-8"))
    }

    /// Returns a new object: `object` with its member `key` set to `value`.
    fn with_member(&mut self, object: NodeId, key: &str, value: NodeId) -> Result<NodeId, JsonFault> {
        let (at, is_there) = self.member_position(object, key);
        let name = if is_there { None } else { Some(self.name(key)?) };
        let old = self.arena.nodes[object.0 as usize];
        let start = self.arena.members.len();
        let (before, after) = (old.start as usize, old.end as usize);
        self.arena.members.extend_from_within(before..before + at);
        let key = name.unwrap_or_else(|| self.arena.members[before + at].key);
        self.arena.members.push(Member { key, value });
        self.arena.members.extend_from_within(before + at + usize::from(is_there)..after);
        Ok(self.push(Kind::Object, start, self.arena.members.len()))
    }

    fn without_member(&mut self, object: NodeId, key: &str) -> NodeId {
        let (at, is_there) = self.member_position(object, key);
        if !is_there {
            return object;
        }
        let old = self.arena.nodes[object.0 as usize];
        let start = self.arena.members.len();
        let (before, after) = (old.start as usize, old.end as usize);
        self.arena.members.extend_from_within(before..before + at);
        self.arena.members.extend_from_within(before + at + 1..after);
        self.push(Kind::Object, start, self.arena.members.len())
    }

    /// Returns the index at which the member `key` is or would be inserted, and whether it exists.
    fn member_position(&self, object: NodeId, key: &str) -> (usize, bool) {
        let object = self.value(object);
        let found = object.member_slice().binary_search_by(|member| object.at(member.key).compare_str(key));
        found.map_or_else(|at| (at, false), |at| (at, true))
    }

    /// Returns a new root: `root` with `value` at `path`, a list of names that is not empty. Parents that are missing
    /// are added. Returns `None` if a parent is not an object.
    pub fn with(&mut self, root: NodeId, path: &[String], value: NodeId) -> Result<Option<NodeId>, JsonFault> {
        let mut objects = Vec::with_capacity(path.len());
        let mut object = Some(root);
        for key in path {
            let id = match object {
                Some(id) => id,
                None => self.parse_fragment("{}")?,
            };
            if self.value(id).kind() != Kind::Object {
                return Ok(None);
            }
            objects.push(id);
            object = self.value(id).get(key).map(Value::id);
        }
        let mut value = value;
        for (object, key) in objects.into_iter().zip(path).rev() {
            value = self.with_member(object, key, value)?;
        }
        Ok(Some(value))
    }

    /// Returns a new root: `root` without the value at `path`. Returns `root` itself if there is no such value.
    pub fn without(&mut self, root: NodeId, path: &[String]) -> Result<NodeId, JsonFault> {
        let [parents @ .., last] = path else { return Ok(root) };
        let Some(object) = self.value(root).at_path(parents).map(Value::id) else { return Ok(root) };
        let object = self.without_member(object, last);
        if parents.is_empty() {
            return Ok(object);
        }
        self.with(root, parents, object).map(|changed| changed.unwrap_or(root))
    }

    /// Returns a new array: `array` with one more item at the end.
    pub fn with_item(&mut self, array: NodeId, item: NodeId) -> NodeId {
        let old = self.arena.nodes[array.0 as usize];
        let start = self.arena.items.len();
        self.arena.items.extend_from_within(old.start as usize..old.end as usize);
        self.arena.items.push(item);
        self.push(Kind::Array, start, self.arena.items.len())
    }

    /// Returns a new array: `array` without its last item.
    pub fn without_last_item(&mut self, array: NodeId) -> NodeId {
        let old = self.arena.nodes[array.0 as usize];
        let end = (old.end as usize).saturating_sub(1).max(old.start as usize);
        self.push(Kind::Array, old.start as usize, end)
    }
}

impl<'d> Value<'d> {
    /// Returns the value at `path`, a list of names. An empty path leads to the value itself.
    pub fn at_path(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }
}
