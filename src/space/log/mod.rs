//! The Engram log: files, records, episodes and what they hold.

pub mod bincode_reader;
mod damage;
pub mod decay;
pub mod episode;
pub mod extent;
pub mod framing;
pub(in crate::space) mod lots;
pub mod memory;
pub mod node_id;
pub mod payload_lists;
pub mod presence;
pub mod provenance;
pub mod range_sums;
pub mod reader;
pub mod source;
pub mod timestamp;
pub mod wal;
