//! Engram memory spaces: the log of episodes, the dual-memory store, and the migration from one to the other.

mod apart;
pub mod clean;
mod current_store;
pub mod data_directory;
pub(crate) mod engine;
pub mod export;
pub mod generate;
pub mod get;
mod leftovers;
pub mod limits;
pub mod log;
mod log_pass;
pub mod migrate;
pub(crate) mod only_copy;
pub mod options;
pub mod outcome;
pub mod paths;
pub mod policy;
pub mod publish;
pub mod rollback;
pub mod state;
pub mod stats;
pub mod status;
pub mod store;
pub mod verify;

pub use store::reader::DualSpace;
