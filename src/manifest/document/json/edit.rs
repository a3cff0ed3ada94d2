//! Edits: new nodes over old ones.

use super::document::{Document, Value};
use super::fault::JsonFault;
use super::node::{Kind, Member, Node, NodeId};
use super::reader::{LEN_MAX_BYTES, ReadOptions, Span, read_value};
use super::string;
use crate::manifest::document::error_codes::ErrorCode;

impl Document<'_> {
    /// A new value of this document that `json` describes.
    pub fn parse_fragment(&mut self, json: &str) -> Result<NodeId, JsonFault> {
        let start = self.arena.added.len();
        let base = self.input.len() + start;
        if base + json.len() > LEN_MAX_BYTES + LEN_MAX_BYTES / 2 {
            return Err(JsonFault {
                code: ErrorCode::Json,
                offset: 0,
                what: "no room for what is added to the document",
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

    /// The string `text` as a new value.
    fn name(&mut self, text: &str) -> Result<NodeId, JsonFault> {
        let mut json = Vec::new();
        string::push_string(&mut json, text);
        self.parse_fragment(&String::from_utf8(json).expect("a string in quotes is UTF-8"))
    }

    /// `object` with the member `key` being `value`: a new object.
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

    /// Where the member `key` is or would be, and whether it is there.
    fn member_position(&self, object: NodeId, key: &str) -> (usize, bool) {
        let object = self.value(object);
        let found = object.member_slice().binary_search_by(|member| object.at(member.key).compare_str(key));
        found.map_or_else(|at| (at, false), |at| (at, true))
    }

    /// `root` with `value` at `path`, a list of member names that is not empty. Objects on the way that are absent are
    /// made; `None` if something on the way is no object.
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

    /// `root` without what is at `path`; `root` itself if nothing is there.
    pub fn without(&mut self, root: NodeId, path: &[String]) -> Result<NodeId, JsonFault> {
        let [parents @ .., last] = path else { return Ok(root) };
        let Some(object) = self.value(root).at_path(parents).map(Value::id) else { return Ok(root) };
        let object = self.without_member(object, last);
        if parents.is_empty() {
            return Ok(object);
        }
        self.with(root, parents, object).map(|changed| changed.unwrap_or(root))
    }

    /// `array` and one more item at its end: a new array.
    pub fn with_item(&mut self, array: NodeId, item: NodeId) -> NodeId {
        let old = self.arena.nodes[array.0 as usize];
        let start = self.arena.items.len();
        self.arena.items.extend_from_within(old.start as usize..old.end as usize);
        self.arena.items.push(item);
        self.push(Kind::Array, start, self.arena.items.len())
    }

    /// `array` without its last item: a new array.
    pub fn without_last_item(&mut self, array: NodeId) -> NodeId {
        let old = self.arena.nodes[array.0 as usize];
        let end = (old.end as usize).saturating_sub(1).max(old.start as usize);
        self.push(Kind::Array, old.start as usize, end)
    }
}

impl<'d> Value<'d> {
    /// What is at `path`, a list of member names; itself for an empty one.
    pub fn at_path(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }
}
