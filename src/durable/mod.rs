//! Every effect on a disk: the [`Disk`] trait with a real and a simulated implementation, atomic replacement, and
//! read-only sources. This room imports none of the others.

mod append_log;
mod attributes;
mod beneath;
#[cfg(test)]
mod contract;
mod copy;
mod digest;
mod directories;
mod disk;
mod error;
mod fault_class;
mod file_systems;
mod guarded_map;
mod limited_disk;
mod locks;
mod new_modes;
mod process;
mod real_disk;
mod real_root;
mod regular_file;
mod replace;
mod root;
#[cfg(any(test, feature = "internals"))]
mod simulated_disk;
mod source;
mod stop;
mod sync_time;
pub mod system;
mod temporary;
mod volatile_file;
mod window;

pub use append_log::{append_line, keep_last_lines, lines_of};
pub use attributes::{AttributesNotKept, copy_attributes};
pub use copy::{CopyMeans, CopyMethod};
pub use digest::{FileDigest, file_digest, file_digest_if_present, for_each_chunk};
pub use directories::{create_directory_durable, directory_bytes, parent_of, remove_large_tree, remove_tree};
pub use disk::{ClaimTimes, Disk, DiskEntry, DiskFile, EntryKind, Link, LockGuard, LockReach};
pub use error::{DiskError, TooLong};
pub use fault_class::{BadSpots, FaultClass, IN_A_ROW_MAX, MediumFaults, read_again, read_again_if};
pub use file_systems::{GroupSync, Mount, mount_of, synced_by_file_if_needed, without_sync};
pub use limited_disk::{anchored, with_modes};
pub use locks::{Claim, ClaimText, claimed, lock_holder};
pub use new_modes::{NewModes, NewOwner};
pub use process::Process;
pub use real_disk::RealDisk;
pub use real_root::source_root;
pub use regular_file::{open_named_file, open_state_file};
pub use replace::{
    Attributes, copy_file, read_file, replace_file, replace_file_under_lock, replace_file_with, replace_shared_file,
    temporary_name, write_new_synced_file, write_synced_file,
};
pub use root::{DiskFileSystem, DiskRoot, FileState, FreeSpace, Model, Obstacle, ReadRoot, RootDirectory, TakePiece};
#[cfg(any(test, feature = "internals"))]
pub use simulated_disk::{CrashFault, InjectedFault, SimulatedDisk};
#[cfg(any(test, feature = "internals"))]
pub use source::{FailingSource, SourceFault, SourceOperation};
pub use source::{
    ReaderKind, SourceChange, SourceEntry, SourceEntryKind, SourceFile, SourceIdentity, SourceName, SourceNameKind,
    WindowError, is_source_directory, link_obstacle, read_source_whole, source_entries, source_identity, source_names,
};
pub use stop::{BYTES_MAX, ITEMS_MAX, NEVER, StopCheck, count_from_now_on, looked};
pub use sync_time::sync_time;
pub use temporary::{is_leftover, temporary_name_under_lock, unique_temporary_name};
pub use volatile_file::VolatileFile;
pub use window::Window;
