//! Tools for users of a Requiem store: requests, results, dual runs and hash vectors. They use keys, digests and frames
//! of the object stores, and nothing of their migration.

pub mod canonical_json;
pub mod dual_run;
pub mod hash_domain;
pub mod hash_vectors;
pub mod health;
pub mod json;
pub mod request;
pub mod request_upgrade;
pub mod result_check;
pub mod small_file;
