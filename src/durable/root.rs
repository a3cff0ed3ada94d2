//! What lies below one directory, reached by relative paths on which no link is followed: a tree of files that are read
//! and replaced in place, and never anything outside of it.

use std::ffi::OsStr;
use std::path::Path;

use super::{DiskError, SourceNameKind};

/// A regular file as the system describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Length in bytes.
    pub len_bytes: u64,
    /// Time of the last change of its bytes, whole seconds since 1970.
    pub modified_secs: i64,
    /// The rest of that time, below a second.
    pub modified_nanos: u32,
    /// Inode number.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl FileState {
    /// True if `now` is the same file with the same bytes, as far as that can be told without reading it. Names and
    /// permissions may differ.
    pub fn is_unchanged(&self, now: &Self) -> bool {
        let bytes = |state: &Self| (state.inode, state.len_bytes, state.modified_secs, state.modified_nanos);
        bytes(self) == bytes(now)
    }
}

/// Who may do what with a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// Permission bits (`0o7777`).
    pub mode: u32,
    /// Owner, given where this user may.
    pub uid: u32,
    /// Group, given where this user may.
    pub gid: u32,
}

impl From<&FileState> for Ownership {
    fn from(state: &FileState) -> Self {
        Self { mode: state.mode, uid: state.uid, gid: state.gid }
    }
}

/// The tree below a directory, for reading only.
///
/// Every path is relative, of plain names; one that is absolute or goes up is `InvalidInput`. A link anywhere on it,
/// the last name included, is `InvalidInput`, wherever it leads.
pub trait ReadRoot: Send + Sync {
    /// The directory, for messages.
    fn path(&self) -> &Path;
    /// Reads a whole regular file into `buffer`, whose former content is gone, and says what it was when it was opened.
    /// One longer than `limit_bytes` is an `InvalidData` error and is not read; what is no regular file is
    /// `InvalidInput`.
    fn read_file(&self, file: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError>;
    /// What a regular file is now; `None` if nothing stands there, or something else.
    fn file_state(&self, file: &Path) -> Result<Option<FileState>, DiskError>;
    /// Shows `visit` every name in a directory, in the order of the system, however many there are. The empty path is
    /// the root itself.
    fn names(&self, directory: &Path, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> Result<(), DiskError>;
    /// True if this user may make files in the directory.
    fn is_writable(&self, directory: &Path) -> Result<bool, DiskError>;
    /// Bytes that an unprivileged user may still write to the file system of the root.
    fn free_bytes(&self) -> Result<u64, DiskError>;
}

/// The tree below a directory of a [`Disk`](super::Disk), kept by [`Disk::root`](super::Disk::root).
pub trait DiskRoot: ReadRoot {
    /// Opens a directory of the tree, to work on its files.
    fn open_directory(&self, directory: &Path) -> Result<Box<dyn RootDirectory>, DiskError>;
}

/// One directory of a [`DiskRoot`]. All names are those of files in it; links are not followed.
pub trait RootDirectory: Send + Sync {
    /// As [`ReadRoot::read_file`].
    fn read_file(&self, name: &OsStr, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError>;
    /// As [`ReadRoot::file_state`].
    fn file_state(&self, name: &OsStr) -> Result<Option<FileState>, DiskError>;
    /// Creates a file that must not exist, with these bytes and permissions; `synced`: its bytes are durable on return,
    /// its name is not. A failure may leave it there, partly written.
    fn write_new_file(&self, name: &OsStr, bytes: &[u8], ownership: &Ownership, synced: bool) -> Result<(), DiskError>;
    /// Gives a file a second name, which must not exist (`AlreadyExists`).
    fn hard_link(&self, name: &OsStr, second: &OsStr) -> Result<(), DiskError>;
    /// Renames a file, replacing one that has the name.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError>;
    /// Renames a file unless the target name exists (`AlreadyExists` then).
    fn rename_exclusive(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError>;
    /// Gives each of two files the name of the other, in one step. A file system that cannot says `InvalidInput` or
    /// `Unsupported`.
    fn exchange(&self, a: &OsStr, b: &OsStr) -> Result<(), DiskError>;
    /// Removes a name.
    fn remove_file(&self, name: &OsStr) -> Result<(), DiskError>;
    /// Makes the names durable.
    fn sync(&self) -> Result<(), DiskError>;
}
