//! The v2 store on disk (spec/requiem.md A2, A3): its index, its objects, and the writing of one more.

pub mod file_bytes;
pub mod index;
pub mod sorted_index;
