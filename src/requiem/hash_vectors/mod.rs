//! Digests that must come out, through every path that makes digests here (spec/requiem.md A1, A9).

mod built_in;
mod file;
mod run;
mod vector;

pub use built_in::built_in;
pub use file::{PATTERN_LEN_BYTES_MAX, read_vectors};
pub use run::{DigestsByPath, HashReport, Mismatch, run};
pub use vector::{Function, Input, Vector};
