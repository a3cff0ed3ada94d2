//! File systems as wholes: their kinds, where they are mounted, and what a sync of one does. Their files, once open.

mod each_file;
mod group_sync;
mod kinds;
mod lock_reach;
mod mounts;
mod real;
mod real_file;
mod without_sync;

pub use each_file::synced_by_file_if_needed;
pub use group_sync::GroupSync;
pub(super) use kinds::{has_plain_identity, is_local, is_ram_disk, never_shares};
pub(super) use lock_reach::locks_reach_every_host;
pub(super) use mounts::kind_of;
pub use mounts::{Mount, mount_of};
pub(super) use real::RealFileSystem;
pub(super) use real_file::{RealFile, write_at_once};
pub use without_sync::without_sync;
