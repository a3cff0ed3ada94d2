//! Every effect on a disk: the [`Disk`] trait with a real and a simulated implementation, atomic replacement,
//! and read-only sources. This room knows nothing of the rooms above it.

mod disk;
mod error;

pub use disk::{Disk, DiskEntry, DiskFile, EntryKind, LockGuard};
pub use error::DiskError;
