//! The dual-memory store: blocks of nodes in segments, indexes, a sealed manifest. Byte tables in `docs/formats.md`.

pub mod block;
pub mod block_view;
pub mod index;
pub mod layout;
pub mod manifest;
pub mod merkle;
pub mod names;
pub mod node;
pub mod node_document;
pub mod parts;
pub mod reader;
pub mod record_lookup;
pub mod replay;
pub mod replay_key;
pub mod seal;
pub mod table;
pub mod whole;
