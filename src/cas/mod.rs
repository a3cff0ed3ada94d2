//! Content-addressed stores of every Requiem generation, the v2 store with BLAKE3 `cas:` keys, and the migration from
//! one to the other (spec/requiem.md, part A).

pub mod check;
pub mod convert;
pub mod digest;
pub mod frame;
pub mod health;
pub mod identify;
pub mod intake;
pub mod job;
pub mod key;
pub mod map;
pub mod merge;
pub mod merge_check;
pub mod migrate;
pub mod moved;
pub mod options;
pub mod outcome;
pub mod paths;
pub mod place;
pub mod plan;
pub mod proof;
pub mod publish;
pub mod reader;
pub mod recode;
pub mod record;
pub mod repair;
pub mod seal;
pub mod sort_space;
pub mod source;
pub mod state;
pub mod store;
pub mod unfinished;
pub mod verify;
pub mod writer;

pub use key::{Algorithm, Key};
