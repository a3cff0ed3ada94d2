//! The v2 store on disk (docs/source-requiem.md, "The v2 store" and "How the reference reads"): its index, its objects,
//! and how one object is added.

mod blob;
pub mod file_bytes;
pub mod index;
pub mod index_keys;
mod objects;
pub mod put;
mod reader;
mod sidecar;
pub mod sorted_index;
pub mod torn_line;

pub use blob::read_blob;
pub use objects::Objects;
pub use reader::CasStore;
