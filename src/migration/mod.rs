
pub mod checkpoint;
mod error;
mod files;
#[cfg(test)]
mod memory_disk;

pub use checkpoint::CheckpointFile;
pub use error::{Error, exit};
