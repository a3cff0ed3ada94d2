//! Exact JSON: numbers keep their text, members are sorted by code point, and faults have an offset
//! (docs/source-sigilzero.md, "Canonical text and checksums" and "Bytes on disk").
//!
//! A [`Document`] is flat: its nodes are in an arena, the members of each object are sorted, and texts are ranges of
//! the input. An edit does not change a node but adds new ones, so the document before and after a step can be
//! compared. Nothing recurses on the depth of the input, and no value has an allocation of its own.
//!
//! `serde_json` does not fit: its numbers lose their text, it silently keeps the last of several members with one name,
//! and it recurses.

mod document;
mod edit;
mod equal;
mod fault;
mod lexer;
mod memory;
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
pub use memory::memory_needed;
pub use node::{Arena, Kind, NodeId};
pub use number::push_float;
pub use reader::{LEN_MAX_BYTES, ReadOptions};
pub use string::push_string;
pub use write::{Formatting, push_canonical, push_compact, push_formatted};
