//! Engram memory spaces: the log of episodes, the dual-memory store, and the migration from one to the other.

pub mod bincode1;
pub mod candidate;
pub mod convert;
pub mod damage;
pub mod decay;
pub mod dry_run;
pub mod episode;
pub mod framing;
pub mod generate;
pub mod job;
pub mod lists;
pub mod memory;
pub mod migrate;
pub mod node;
pub mod node_id;
pub mod options;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod provenance;
pub mod reader;
pub mod record_lookup;
pub mod replay;
pub mod samples;
pub mod source;
pub mod state;
pub mod store;
pub mod timestamp;
pub mod verify;
pub mod wal;

pub use store::reader::DualSpace;
