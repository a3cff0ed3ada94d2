//! Every effect on a disk: the [`Disk`] trait with a real and a simulated implementation, atomic replacement, and
//! read-only sources. This room imports none of the others.

#[cfg(test)]
mod contract;
mod copy;
mod digest;
mod directories;
mod disk;
mod error;
mod file_systems;
mod guarded_map;
mod limited_disk;
mod new_modes;
mod no_sync;
mod reader_kind;
mod real_disk;
mod real_file_system;
mod real_root;
mod replace;
mod root;
#[cfg(any(test, feature = "internals"))]
mod simulated_disk;
mod source;
mod source_entries;
mod source_names;
mod source_whole;
mod window;

pub use copy::{CopyMeans, CopyMethod};
pub use digest::{FileDigest, file_digest, file_digest_if_present, for_each_chunk};
pub use directories::{create_directory_durable, directory_bytes, parent_of, remove_tree};
pub use disk::{Disk, DiskEntry, DiskFile, DiskFileSystem, EntryKind, LockGuard};
pub use error::DiskError;
pub use limited_disk::{open_state_file, with_modes};
pub use new_modes::NewModes;
pub use no_sync::without_sync;
pub use reader_kind::ReaderKind;
pub use real_disk::RealDisk;
pub use real_file_system::sync_reports_errors;
pub use real_root::source_root;
pub use replace::{copy_file, read_file, replace_file, replace_file_with, temporary_name, write_synced_file};
pub use root::{DiskRoot, FileState, Ownership, ReadRoot, RootDirectory};
#[cfg(any(test, feature = "internals"))]
pub use simulated_disk::{CrashFault, InjectedFault, SimulatedDisk};
pub use source::{SourceChange, SourceFile, SourceIdentity, WindowError};
pub use source_entries::{SourceEntry, SourceEntryKind, source_entries};
pub use source_names::{SourceName, SourceNameKind, source_identity, source_names};
pub use source_whole::read_source_whole;
pub use window::Window;
