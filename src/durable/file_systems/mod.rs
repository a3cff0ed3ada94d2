//! File systems as wholes: their kinds, where they are mounted, and what a sync of one does.

mod kinds;
mod mounts;
mod real;
mod without_sync;

pub(super) use kinds::{is_local, is_ram_disk, never_shares};
pub use mounts::{Mount, mount_of};
pub(super) use real::RealFileSystem;
pub use real::sync_reports_errors;
pub use without_sync::without_sync;
