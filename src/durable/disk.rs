//! Every effect that haul has on a disk, as one trait.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::{CopyMeans, CopyMethod, DiskError, DiskRoot, SourceFile};

/// The bits of a file's mode that are permissions.
pub(super) const MODE_BITS: u32 = 0o7777;

/// What a directory entry is, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, a socket or a pipe.
    Other,
}

/// One entry of [`Disk::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskEntry {
    /// Name without its directory.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
}

/// The disk that a migration writes to: [`RealDisk`](super::RealDisk) in use,
/// [`SimulatedDisk`](super::SimulatedDisk) in crash tests.
///
/// Nothing is durable until it is synced: a file's bytes by [`DiskFile::sync`], a name by [`Disk::sync_directory`]
/// of the directory that holds it, all of it at once by [`DiskFileSystem::sync`]. Every error names the operation and
/// the path.
pub trait Disk: Send + Sync {
    /// True if what is written here is found under the same path by whatever reads files, sources included; false for a
    /// disk that is simulated.
    fn is_system(&self) -> bool {
        true
    }
    /// Creates a file that must not exist, open for reading and writing.
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Creates a file that must not exist, with these bytes, in as few calls as the system has for it. Nothing of it is
    /// durable. A failure may leave it there, partly written.
    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError>;
    /// Creates a file that must not exist, with all bytes of `source`: as many as its
    /// [`identity`](SourceFile::identity) says, and a source that ends before is an `UnexpectedEof` error that names
    /// it. Nothing of it is durable. A failure may leave it there, partly written.
    fn copy_new_file(&self, source: &SourceFile, target: &Path, means: CopyMeans) -> Result<CopyMethod, DiskError>;
    /// Whether a copy of `source` inside `directory` can share its storage: tried with a file that never has a name.
    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError>;
    /// Opens an existing file for reading and writing.
    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Opens an existing file for reading only.
    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Creates one directory; its parent must exist, the name must not.
    fn create_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Makes the names inside a directory durable.
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Renames a file or directory within one file system, replacing an existing file.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Renames unless the target name exists (`AlreadyExists` then).
    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Exchanges two existing names in one step.
    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError>;
    /// Gives a file a second name, which must not exist (`AlreadyExists`). A symbolic link at `source` is not followed.
    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError>;
    /// Removes a file's name; with the last one goes the file.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// The entries of a directory, sorted by name.
    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError>;
    /// What stands at a path, without following links; `None` if nothing does.
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError>;
    /// The permission bits (`0o7777`) of a regular file; a link is `InvalidInput`, a directory `IsADirectory`.
    fn mode(&self, path: &Path) -> Result<u32, DiskError>;
    /// Sets the permission bits (`0o7777`) of a regular file; a link is `InvalidInput`, a directory `IsADirectory`.
    ///
    /// Durable by a sync of the file system. A sync of the file takes bits along only if the file's length changed
    /// after them: whoever writes a file anew sets them first.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError>;
    /// The file system that holds the directory `path`, to be synced as a whole: asked for before anything is written
    /// that this sync is to speak for.
    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError>;
    /// The tree below the directory `path`, whose files are read and replaced without a link being followed.
    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError>;
    /// Bytes that an unprivileged user may still write to the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError>;
    /// Files and directories that an unprivileged user may still make on the file system that holds `path`; `None` if it
    /// sets no limit.
    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError>;
    /// Takes the exclusive lock on the file at `path`, creating it if needed, and writes `owner` into it.
    /// It is held until the guard drops or the process ends. `Err(owner text)` in the inner result: another holds it.
    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError>;
}

/// A file system of a [`Disk`], kept by [`Disk::file_system`].
pub trait DiskFileSystem: Send + Sync {
    /// Makes every byte and every name on it durable that was written before the call.
    ///
    /// A failure is final: what was not durable before must be taken as lost, and every later call fails. So is the
    /// loss of bytes of any file on it since it was asked for; of a kernel that keeps that to itself
    /// [`sync_reports_errors`](super::sync_reports_errors) is false.
    fn sync(&self) -> Result<(), DiskError>;
}

/// Keeps a lock taken by [`Disk::try_lock`]; dropping it releases the lock.
pub struct LockGuard(#[expect(dead_code, reason = "held, never read")] pub(super) Box<dyn std::any::Any + Send + Sync>);

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockGuard")
    }
}

/// An open file of a [`Disk`]. All offsets are absolute; there is no cursor.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`, extending the file if needed.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Fills `buffer` from `offset`; a file that ends before is an `UnexpectedEof` error.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;
    /// The file's length in bytes.
    fn len(&self) -> Result<u64, DiskError>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> Result<(), DiskError>;
    /// Asks for space without changing the length. A hint: file systems without it are no error, a full disk is.
    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError>;
    /// Asks for the range to be written back soon, without waiting. A hint, never an error.
    fn start_writeback(&self, offset: u64, len: u64);
    /// Makes all bytes and the length durable. A failure is final: the file's unsynced bytes must be taken as lost.
    fn sync(&self) -> Result<(), DiskError>;
    /// True if the file holds no byte.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
}
