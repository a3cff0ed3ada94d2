//! Known digests that every path of this program must produce (docs/source-requiem.md, "Hash vectors").

mod built_in;
mod file;
mod run;
mod vector;

pub use built_in::built_in;
pub use file::read_vectors;
pub use run::{HashReport, run};
pub use vector::Vector;
