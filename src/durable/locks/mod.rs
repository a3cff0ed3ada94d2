//! Locks, and the claims that back them where they do not reach every host.

mod claim;
mod claimed_disk;
mod holder;
mod lock_file;
mod lock_table;

pub use claim::{Claim, ClaimText};
pub use claimed_disk::claimed;
pub use holder::lock_holder;
pub(super) use lock_file::lock_file;
