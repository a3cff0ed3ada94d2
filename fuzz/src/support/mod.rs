//! What the targets make their inputs with.

pub mod edits;
pub mod key_map;
pub mod log;
