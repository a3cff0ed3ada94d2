//! The commands of `haul cas` around a Requiem store: its requests, its results and its digests.

pub mod dual_run;
pub mod hash_vectors;
pub mod health;
pub mod request_upgrade;
pub mod result_check;
