//! The trait for every effect that haul has on a disk.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::new_modes::NewModes;
use super::{AttributesNotKept, CopyMeans, CopyMethod, DiskError, DiskFileSystem, DiskRoot, SourceFile, StopCheck};

/// Which processes a lock keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockReach {
    /// Those of every host.
    EveryHost,
    /// Those of this host: a claim is needed.
    ThisHost(ClaimTimes),
}

/// The times of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimTimes {
    /// The time between writing a claim and reading it back.
    pub settle: Duration,
    /// The time for which a claim that was read is relied on. It must be much shorter than `settle`.
    pub relied_on: Duration,
}

/// What is done with a link in the place of a directory that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The directory that it leads to is opened: the user has put it there.
    Followed,
    /// It is an error.
    Refused,
}

/// The kind of a directory entry, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, a socket or a pipe.
    Other,
}

/// An entry of [`Disk::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskEntry {
    /// The name without its directory.
    pub name: OsString,
    /// The kind.
    pub kind: EntryKind,
}

/// The disk that a migration writes to: [`RealDisk`](super::RealDisk) in use,
/// a simulated one in crash tests.
///
/// Nothing is durable until it is synced: a file's bytes by [`DiskFile::sync`], a name by [`Disk::sync_directory`]
/// of the directory that holds it, all of it at once by [`DiskFileSystem::sync`]. Every error names the operation and
/// the path.
pub trait Disk: Send + Sync {
    /// Returns true if files written here can be read under the same paths by other code, sources included; false for a
    /// simulated disk.
    fn is_system(&self) -> bool {
        true
    }
    /// Returns the same disk with a limit on the permissions of what it creates; `None` if it has no permissions.
    fn limited(&self, _modes: NewModes) -> Option<Arc<dyn Disk>> {
        None
    }
    /// Returns the same disk with this directory opened, in addition to those that are: whatever is below it is reached from
    /// there and through no link, so nothing outside is changed if a part of the path is swapped for one. `None` if it has no links.
    fn anchored(&self, _directory: &Path, _link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        Ok(None)
    }
    /// Creates a file that must not exist, open for reading and writing.
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Creates a file that must not exist, open for reading and writing, with the owner, group, permission bits, access
    /// control list and extended attributes of the regular file `like`, as far as this process may set them. Until it
    /// has them, nobody else can open it. After a failure it does not exist.
    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError>;
    /// Creates a file that must not exist, with these bytes, in as few system calls as possible. Nothing of it is
    /// durable. A failure may leave it there, partly written.
    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError>;
    /// Creates a file that must not exist, with all bytes of `source`: as many as its
    /// identity says. A source that ends before is an `UnexpectedEof` error that names it.
    /// Nothing of the new file is durable. A failure or a stop may leave it there, partly written.
    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError>;
    /// Returns whether a copy of `source` in `directory` can share its storage. Tries it with a file that never gets a
    /// name.
    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError>;
    /// Opens an existing regular file for reading and writing. A link is not followed and a pipe is not waited for: both
    /// are an `InvalidInput` error.
    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Opens an existing regular file for reading only, like [`open_file`](Self::open_file).
    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError>;
    /// Creates one directory; its parent must exist, the name must not.
    fn create_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Makes the names inside a directory durable.
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Renames a file or directory within one file system, replacing an existing file.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Renames unless the target name exists, which is an `AlreadyExists` error.
    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// Exchanges two existing names in one step.
    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError>;
    /// Gives a file a second name, which must not exist (`AlreadyExists`). A symbolic link at `source` is not followed.
    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError>;
    /// Removes a name of a file. The file is removed with its last name.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;
    /// Removes a directory with everything in it. A link is removed and never followed, not even one that takes the
    /// place of a directory meanwhile. After a stop, some of it is still there.
    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        remove_step_by_step(self, path, stop)
    }
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError>;
    /// Returns the entries of a directory, sorted by name.
    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError>;
    /// Returns the kind of the entry at a path, without following links; `None` if there is none.
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError>;
    /// Returns the permission bits (`0o7777`) of a regular file. A link is an `InvalidInput` error, a directory
    /// `IsADirectory`.
    fn mode(&self, path: &Path) -> Result<u32, DiskError>;
    /// Sets the permission bits (`0o7777`) of a regular file. A link is an `InvalidInput` error, a directory
    /// `IsADirectory`.
    ///
    /// The bits are durable after a sync of the file system. A sync of the file includes them only if the length of the
    /// file changed after them, so a new file gets its bits before its bytes.
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError>;
    /// Returns the file system that contains the directory `path`, to be synced as a whole. It must be requested before
    /// anything is written that its sync is to cover.
    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError>;
    /// Returns the tree below the directory `path`. Its files are read and replaced without following links.
    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError>;
    /// Returns whether a rename can lead from one of these directories to the other.
    fn can_rename_between(&self, _a: &Path, _b: &Path) -> Result<bool, DiskError> {
        Ok(true)
    }
    /// Returns the bytes that an unprivileged user may still write to the file system that contains `path`.
    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError>;
    /// Returns the number of files and directories that an unprivileged user may still create on the file system that
    /// contains `path`; `None` if there is no limit.
    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError>;
    /// Returns which processes a lock on a file in the directory keeps out.
    fn lock_reach(&self, _directory: &Path) -> Result<LockReach, DiskError> {
        Ok(LockReach::EveryHost)
    }
    /// Takes the exclusive lock on the file at `path`, which is created if needed, and writes `owner` into it. The lock
    /// is held until the guard drops or the process ends. The inner error is the owner text of the holder. Anything but a
    /// regular file is an `InvalidInput` error.
    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError>;
}

/// Implements [`Disk::remove_directory_tree`] for a disk on which nothing changes meanwhile.
fn remove_step_by_step<D: Disk + ?Sized>(disk: &D, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
    for entry in disk.list(path)? {
        if stop() {
            return Err(DiskError::stopped("remove", path));
        }
        let path = path.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => remove_step_by_step(disk, &path, stop)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_directory(path)
}

/// A lock taken by [`Disk::try_lock`]. Dropping it releases the lock.
pub struct LockGuard(
    #[expect(dead_code, reason = "held, never read")] pub(in crate::durable) Box<dyn std::any::Any + Send + Sync>,
);

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LockGuard")
    }
}

/// An open file of a [`Disk`]. All offsets are absolute; there is no cursor.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`. Extends the file if needed.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Fills `buffer` from `offset`. A file that ends before is an `UnexpectedEof` error.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;
    /// Returns the length of the file in bytes.
    fn len(&self) -> Result<u64, DiskError>;
    /// Truncates the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> Result<(), DiskError>;
    /// Allocates space without changing the length. This is a hint: a file system that cannot do it is not an error,
    /// but a full disk is.
    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError>;
    /// Asks for the range to be written back soon, without waiting. This is a hint and never an error.
    fn start_writeback(&self, offset: u64, len: u64);
    /// Makes all bytes and the length durable. A failure is final: the unsynced bytes of the file may be lost.
    fn sync(&self) -> Result<(), DiskError>;
    /// Returns true if the file has no bytes.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
}
