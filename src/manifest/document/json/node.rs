//! The nodes of a document and the memory that they share.

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

/// An array or object that is not closed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub is_object: bool,
    /// Where its parts begin among those that wait.
    pub base: usize,
}

/// The memory of a document, for the next one to use.
#[derive(Debug, Default)]
pub struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Member>,
    pub(super) items: Vec<NodeId>,
    pub(super) pending: Vec<NodeId>,
    pub(super) frames: Vec<Frame>,
    pub(super) added: String,
}

impl Arena {
    /// Empties it for the next document and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.members.clear();
        self.items.clear();
        self.added.clear();
    }
}
