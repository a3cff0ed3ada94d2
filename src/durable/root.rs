//! A tree below one directory: its files are read and replaced by relative paths without following links, so nothing
//! outside of it is ever changed.

use std::ffi::OsStr;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::{AttributesNotKept, DiskError, GroupSync, SourceNameKind};

/// The state of a regular file, as the system reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// The length in bytes.
    pub len_bytes: u64,
    /// The time of the last change of the bytes, in whole seconds since 1970.
    pub modified_secs: i64,
    /// The nanoseconds of that time.
    pub modified_nanos: u32,
    /// The number of the file system, as long as it is mounted.
    pub file_system: u64,
    /// The inode number.
    pub inode: u64,
    /// The number of names.
    pub links: u64,
    /// The permission bits (`0o7777`).
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl FileState {
    /// Returns true if `now` is the same file with the same bytes, as far as the state shows. Names and permissions may
    /// differ.
    pub fn is_unchanged(&self, now: &Self) -> bool {
        let bytes = |state: &Self| (state.inode, state.len_bytes, state.modified_secs, state.modified_nanos);
        bytes(self) == bytes(now)
    }
}

/// The file from which a new file takes its owner, group, permission bits, access control list and extended attributes.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    /// Its name, in the same directory.
    pub name: &'a OsStr,
    /// Permission bits (`0o7777`) instead of those that it has now.
    pub mode: Option<u32>,
    /// Whether the new file, which has the same bytes, gets the time of their last change as well.
    pub keeps_time: bool,
}

impl<'a> Model<'a> {
    /// Takes everything from the file.
    pub fn of(name: &'a OsStr) -> Self {
        Self { name, mode: None, keeps_time: false }
    }
}

/// The space that a user has left on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// The bytes that an unprivileged user may still write.
    pub bytes: u64,
    /// The number of files that may still be created; `None` if there is no limit.
    pub inodes: Option<u64>,
    /// True if a further name of a file takes an inode too, as on a RAM disk.
    pub names_take_inodes: bool,
}

/// What keeps this user from replacing a file by another one under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The directory of the file may not be written to.
    NotWritable,
    /// The file is on a read-only file system or mount.
    ReadOnly,
    /// The directory of the file is immutable, or names can only be added to it.
    FixedDirectory,
    /// The file is immutable, or can only be appended to.
    FixedFile,
    /// The directory is sticky, and file and directory belong to other users.
    Sticky,
    /// Another file is mounted on the name.
    MountPoint,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWritable => "its directory cannot be written to",
            Self::ReadOnly => "it is on a read-only file system",
            Self::FixedDirectory => "its directory is immutable or append-only",
            Self::FixedFile => "it is immutable or append-only",
            Self::Sticky => "it belongs to another user, and its directory is sticky",
            Self::MountPoint => "something is mounted on it",
        })
    }
}

/// A file system, returned by [`Disk::file_system`](super::Disk::file_system) and `RootDirectory::file_system`.
pub trait DiskFileSystem: Send + Sync {
    /// Makes everything durable that was written to the file system before the call, bytes and names.
    ///
    /// A failure is final: everything that was not durable before may be lost, and every later call fails. A loss of
    /// bytes of any file since the file system was requested is a failure too. Both hold only where
    /// [`group_sync`](Self::group_sync) says so.
    fn sync(&self) -> Result<(), DiskError>;
    /// Returns what a sync does here.
    fn group_sync(&self) -> GroupSync {
        GroupSync::Reaches
    }
}

/// Takes a piece of a file. Returns `Break` if the rest need not be read.
pub type TakePiece<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// A tree below a directory, for reading only.
///
/// Every path is relative and consists of plain names; an absolute path or one that goes up is an `InvalidInput` error.
/// So is a link anywhere on the path, also as its last name.
pub trait ReadRoot: Send + Sync {
    /// Returns the path of the directory, for messages.
    fn path(&self) -> &Path;
    /// Reads a whole regular file into `buffer`, replacing its content, and returns the state of the file when it was
    /// opened. A file longer than `limit_bytes` is an `InvalidData` error and is not read; anything but a regular file
    /// is `InvalidInput`.
    fn read_file(&self, file: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError>;
    /// Passes the bytes of a regular file to `take`, piece by piece, in order, until it breaks off. Anything but a
    /// regular file is `InvalidInput`.
    fn read_pieces(&self, file: &Path, take: &mut TakePiece<'_>) -> Result<(), DiskError>;
    /// Returns the current state of a regular file; `None` if there is none, or something else.
    fn file_state(&self, file: &Path) -> Result<Option<FileState>, DiskError>;
    /// Passes every name in a directory to `visit`, in the order of the system, without collecting them. The empty path
    /// is the root itself.
    fn names(&self, directory: &Path, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> Result<(), DiskError>;
    /// Returns what would keep this user from replacing the file, or from renaming the directory, as far as that shows
    /// before it is tried.
    fn obstacle(&self, file: &Path) -> Result<Option<Obstacle>, DiskError>;
    /// Returns the space that is left on the file system that contains the directory. The empty path is the root itself.
    fn free_space(&self, directory: &Path) -> Result<FreeSpace, DiskError>;
}

/// A tree below a directory of a [`Disk`](super::Disk), returned by [`Disk::root`](super::Disk::root).
pub trait DiskRoot: ReadRoot {
    /// Opens a directory of the tree, to change its files.
    fn open_directory(&self, directory: &Path) -> Result<Box<dyn RootDirectory>, DiskError>;
}

/// A directory of a [`DiskRoot`]. All names are those of files in it; links are not followed.
pub trait RootDirectory: Send + Sync {
    /// Reads a file like [`ReadRoot::read_file`].
    fn read_file(&self, name: &OsStr, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError>;
    /// Returns the state of a file like [`ReadRoot::file_state`].
    fn file_state(&self, name: &OsStr) -> Result<Option<FileState>, DiskError>;
    /// Creates a file that must not exist, with these bytes and what the model has besides its bytes. Returns what of
    /// that could not be kept. If `synced`, the bytes are durable on return, but not the name. A failure may leave the
    /// file there, partly written.
    fn write_new_file(
        &self,
        name: &OsStr,
        bytes: &[u8],
        model: Model<'_>,
        synced: bool,
    ) -> Result<AttributesNotKept, DiskError>;
    /// Gives a file a second name, which must not exist (`AlreadyExists`).
    fn hard_link(&self, name: &OsStr, second: &OsStr) -> Result<(), DiskError>;
    /// Renames a file. Replaces a file that has the new name.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError>;
    /// Renames a file unless the target name exists, which is an `AlreadyExists` error.
    fn rename_exclusive(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError>;
    /// Exchanges the names of two files in one step. A file system that cannot do that returns `InvalidInput` or
    /// `Unsupported`.
    fn exchange(&self, a: &OsStr, b: &OsStr) -> Result<(), DiskError>;
    /// Removes a name.
    fn remove_file(&self, name: &OsStr) -> Result<(), DiskError>;
    /// Makes the names in the directory durable.
    fn sync(&self) -> Result<(), DiskError>;
    /// Makes the bytes of a file durable.
    fn sync_file(&self, name: &OsStr) -> Result<(), DiskError>;
    /// Returns the number of the file system that contains the directory, as [`FileState::file_system`] has it.
    fn file_system_number(&self) -> Result<u64, DiskError>;
    /// Returns the file system that contains the directory, to be synced as a whole. It must be requested before
    /// anything is written that its sync is to cover.
    fn file_system(&self) -> Result<Arc<dyn DiskFileSystem>, DiskError>;
}
