//! The nodes of a document and the memory that they share.

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number without `.`, `e` and `E`.
    Integer,
    /// A number with one of them.
    Float,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The number of a node in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

/// What a string may contain. A flag that is not set rules it out, so most strings are compared and copied as bytes.
pub(super) mod flag {
    /// Escape sequences.
    pub const ESCAPED: u8 = 1;
    /// Characters outside U+0020–U+007E.
    pub const NOT_PLAIN: u8 = 2;
}

/// A value: the range of its text for a scalar (a string without its quotes), the range of its members or items in the
/// arena for an object or array.
// Offsets of 32 bits keep a node at 12 bytes; a document is limited to 2 GiB for this.
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

/// An array or object whose end has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub is_object: bool,
    /// Index of its first part in `Arena::pending`.
    pub base: usize,
}

/// The memory of a document, which the next document can use again.
#[derive(Debug, Default)]
pub struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) members: Vec<Member>,
    pub(super) items: Vec<NodeId>,
    /// Parts of arrays and objects whose end has not been read yet.
    pub(super) pending: Vec<NodeId>,
    pub(super) frames: Vec<Frame>,
    /// Texts that edits added; their offsets follow those of the input.
    pub(super) added: String,
}

impl Arena {
    /// Returns the size of the memory, used or not.
    pub fn reserved_bytes(&self) -> u64 {
        let Self { nodes, members, items, pending, frames, added } = self;
        let lists = [
            nodes.capacity() * size_of::<Node>(),
            members.capacity() * size_of::<Member>(),
            (items.capacity() + pending.capacity()) * size_of::<NodeId>(),
            frames.capacity() * size_of::<Frame>(),
            added.capacity(),
        ];
        lists.iter().sum::<usize>() as u64
    }

    /// Removes the content and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.members.clear();
        self.items.clear();
        self.added.clear();
    }
}
