//! Exact JSON: every number keeps its lexeme, every member its place in code point order, every fault its offset
//! (docs/source-sigilzero.md, "Canonical text and checksums" and "Bytes on disk").
//!
//! A [`Document`] is flat: nodes in an arena, the members of each object sorted, texts as ranges of the input. Edits never
//! change a node: they make new ones and leave the old root standing, so that before and after can be compared. Nothing
//! recurses on the depth of the input, and nothing is allocated for a single value.

mod document;
mod edit;
mod equal;
mod fault;
mod lexer;
mod node;
mod number;
mod reader;
mod string;
mod write;

#[cfg(test)]
mod tests;

pub use document::{Document, Value};
pub use equal::{Numbers, first_difference, is_equal};
pub use fault::JsonFault;
pub use node::{Arena, Kind, NodeId};
pub use number::push_float;
pub use reader::{LEN_MAX_BYTES, ReadOptions};
pub use string::push_string;
pub use write::{Formatting, push_canonical, push_compact, push_formatted};
