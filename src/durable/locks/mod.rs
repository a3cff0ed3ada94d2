//! Locks, and the claims that back them where they do not reach every host.

mod claim;
mod claimed_disk;
mod lock_file;

pub use claim::{Claim, ClaimText};
pub use claimed_disk::claimed;
pub(super) use lock_file::lock_file;
pub use lock_file::lock_holder;
