//! Content-addressed stores of every Requiem generation, the v2 store with BLAKE3 `cas:` keys, and the migration from
//! one to the other (spec/requiem.md, part A).

pub mod canonical;
pub mod digest;
pub mod domain;
pub mod dual_run;
pub mod hash_vectors;
pub mod health;
pub mod input;
pub mod json;
pub mod key;
pub mod record;
pub mod request;
pub mod request_upgrade;
pub mod result_check;

pub use key::{Algorithm, Key};
