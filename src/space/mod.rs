//! Engram memory spaces: the log of episodes, the dual-memory store, and the migration from one to the other.

pub mod bincode1;
pub mod decay;
pub mod episode;
pub mod generate;
pub mod lists;
pub mod memory;
pub mod node;
pub mod node_id;
pub mod provenance;
pub mod samples;
pub mod timestamp;
pub mod wal;
