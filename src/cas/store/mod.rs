//! The v2 store on disk (spec/requiem.md A2, A3): its index, its objects, and the writing of one more.

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

pub use blob::{BlobDigests, BlobFault, read_blob};
pub use objects::{Objects, StoredObject};
pub use reader::CasStore;
pub use sidecar::{Sidecar, read_sidecar};
