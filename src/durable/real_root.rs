//! A tree of files on this computer, below an open directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, Stat, StatxAttributes, StatxFlags, Timespec,
    Timestamps, accessat, fchmod, fstat, fstatvfs, futimens, linkat, openat, renameat, renameat_with, statat, statx,
    unlinkat,
};
use rustix::io::Errno;

use super::attributes::{MODE_BITS, copy_known_attributes};
use super::beneath::open_beneath;
use super::error::TooLong;
use super::file_systems::RealFileSystem;
use super::root::{DiskRoot, FileState, FreeSpace, Model, Obstacle, ReadRoot, RootDirectory, TakePiece};
use super::source::faults::{SourceOperation, check};
use super::sync_time::timed;
use super::{AttributesNotKept, DiskError, DiskFileSystem, SourceNameKind, file_systems};

/// The size of the buffer for directory entries of one call.
const NAMES_BUFFER_BYTES: usize = 32 << 10;
/// A read asks for one byte more than the file has, so that the same call shows its end.
const END_BYTES: usize = 1;

/// The size of a piece of a file that is not read as a whole.
const PIECE_BYTES: usize = 256 << 10;

/// Opens the tree below the directory `path` for reading only. Links on this path are followed.
pub fn source_root(path: &Path) -> Result<Arc<dyn ReadRoot>, DiskError> {
    Ok(Arc::new(RealRoot::open(path)?))
}

pub(super) struct RealRoot {
    directory: OwnedFd,
    path: PathBuf,
}

impl RealRoot {
    pub(super) fn open(path: &Path) -> Result<Self, DiskError> {
        let directory = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self::of(directory.map_err(|e| DiskError::new("open directory", path, e.into()))?, path))
    }

    /// Takes a directory that is open for reading.
    pub(super) fn of(directory: OwnedFd, path: &Path) -> Self {
        Self { directory, path: path.to_path_buf() }
    }

    /// Fails in a test of a source that fails.
    fn check(&self, operation: SourceOperation, relative: &Path) -> io::Result<()> {
        check(operation, &self.path.join(relative))
    }

    fn error(&self, operation: &'static str, relative: &Path, source: io::Error) -> DiskError {
        DiskError::new(operation, &self.path.join(relative), without_loop(source))
    }

    fn open_beneath(&self, relative: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        open_beneath(self.directory.as_fd(), relative, flags, Mode::empty())
    }
}

impl ReadRoot for RealRoot {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_file(&self, file: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError> {
        self.check(SourceOperation::Open, file)
            .and_then(|()| self.open_beneath(file, READ))
            .and_then(|fd| self.check(SourceOperation::Read, file).map(|()| fd))
            .and_then(|fd| read_whole(fd, limit_bytes, buffer))
            .map_err(|e| self.error("read", file, e))
    }

    fn read_pieces(&self, file: &Path, take: &mut TakePiece<'_>) -> Result<(), DiskError> {
        self.check(SourceOperation::Open, file)
            .and_then(|()| self.open_beneath(file, READ))
            .and_then(|fd| self.check(SourceOperation::Read, file).map(|()| fd))
            .and_then(|fd| read_pieces(fd, take))
            .map_err(|e| self.error("read", file, e))
    }

    fn file_state(&self, file: &Path) -> Result<Option<FileState>, DiskError> {
        let opened = self.check(SourceOperation::Stat, file).and_then(|()| self.open_beneath(file, OFlags::PATH));
        let state = opened.and_then(|fd| Ok(fstat(&fd)?));
        present(state.map(|stat| file_state(&stat))).map_err(|e| self.error("look up", file, e))
    }

    fn names(&self, directory: &Path, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> Result<(), DiskError> {
        self.check(SourceOperation::List, directory)
            .and_then(|()| self.open_beneath(directory, OFlags::RDONLY | OFlags::DIRECTORY))
            .and_then(|fd| visit_names(fd.as_fd(), visit))
            .map_err(|e| self.error("list", directory, e))
    }

    fn obstacle(&self, file: &Path) -> Result<Option<Obstacle>, DiskError> {
        self.open_beneath(file.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY)
            .and_then(|directory| Ok(find_obstacle(directory.as_fd(), file.file_name().unwrap_or_default())?))
            .map_err(|e| self.error("ask for access to", file, e))
    }

    fn free_space(&self, directory: &Path) -> Result<FreeSpace, DiskError> {
        let (status, names_take_inodes) = self
            .open_beneath(directory, OFlags::PATH | OFlags::DIRECTORY)
            .and_then(|fd| Ok((fstatvfs(&fd)?, file_systems::is_ram_disk(&fd))))
            .map_err(|e| self.error("measure free space at", directory, e))?;
        // File systems that create inodes on demand report 0 of 0.
        let inodes = (status.f_files > 0).then_some(status.f_favail);
        Ok(FreeSpace { bytes: status.f_bavail.saturating_mul(status.f_frsize), inodes, names_take_inodes })
    }
}

impl DiskRoot for RealRoot {
    fn open_directory(&self, directory: &Path) -> Result<Box<dyn RootDirectory>, DiskError> {
        let opened = self.open_beneath(directory, OFlags::PATH | OFlags::DIRECTORY);
        let fd = opened.map_err(|e| self.error("open directory", directory, e))?;
        Ok(Box::new(RealDirectory { fd, path: self.path.join(directory) }))
    }
}

/// Looks at what a rename over the file would run into.
fn find_obstacle(directory: BorrowedFd<'_>, name: &OsStr) -> Result<Option<Obstacle>, Errno> {
    match accessat(directory, ".", MAKE_FILES, AtFlags::EACCESS) {
        Ok(()) => {}
        Err(Errno::ACCESS) => return Ok(Some(Obstacle::NotWritable)),
        Err(Errno::ROFS) => return Ok(Some(Obstacle::ReadOnly)),
        // Not even root may write to an immutable directory.
        Err(Errno::PERM) => return Ok(Some(Obstacle::FixedDirectory)),
        Err(e) => return Err(e),
    }
    let wanted = StatxFlags::MODE | StatxFlags::UID;
    let look = |name: &OsStr, flags| match statx(directory, name, flags, wanted) {
        // Old kernels do not have the call, and the filters of some containers refuse it.
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        looked => looked.map(Some),
    };
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let above = look(OsStr::new(""), AtFlags::EMPTY_PATH)?;
    let Some((above, file)) = above.zip(look(name, AtFlags::SYMLINK_NOFOLLOW)?) else { return Ok(None) };
    let user = rustix::process::geteuid();
    let is_foreign = |uid| !user.is_root() && uid != user.as_raw();
    let is_sticky = u32::from(above.stx_mode) & Mode::SVTX.as_raw_mode() != 0;
    Ok(if above.stx_attributes.intersects(fixed) {
        Some(Obstacle::FixedDirectory)
    } else if file.stx_attributes.intersects(fixed) {
        Some(Obstacle::FixedFile)
    } else if file.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        Some(Obstacle::MountPoint)
    } else if is_sticky && is_foreign(above.stx_uid) && is_foreign(file.stx_uid) {
        Some(Obstacle::Sticky)
    } else {
        None
    })
}

const MAKE_FILES: Access = Access::WRITE_OK.union(Access::EXEC_OK);
/// Without `NONBLOCK`, opening a pipe would wait for its writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

fn read_whole(fd: OwnedFd, limit_bytes: u64, buffer: &mut Vec<u8>) -> io::Result<FileState> {
    let state = regular(&fstat(&fd)?)?;
    TooLong::check(state.len_bytes, limit_bytes)?;
    buffer.clear();
    buffer.reserve(state.len_bytes as usize + END_BYTES);
    let mut file = File::from(fd).take(limit_bytes.saturating_add(1));
    while buffer.len() as u64 <= state.len_bytes {
        if rustix::io::read(file.get_ref(), rustix::buffer::spare_capacity(buffer))? == 0 {
            return Ok(state);
        }
        // A short read at the reported length is the end of the file. The caller compares the state again before it
        // relies on the bytes.
        if buffer.len() as u64 == state.len_bytes {
            return Ok(state);
        }
    }
    // The file grows while it is read. The caller compares `state` with the current one, so the rest is not needed.
    file.read_to_end(buffer)?;
    Ok(state)
}

fn read_pieces(fd: OwnedFd, take: &mut TakePiece<'_>) -> io::Result<()> {
    regular(&fstat(&fd)?)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let len = rustix::io::read(&fd, &mut piece[..])?;
        if len == 0 || take(&piece[..len]).is_break() {
            return Ok(());
        }
    }
}

fn regular(stat: &Stat) -> io::Result<FileState> {
    file_state(stat).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

fn file_state(stat: &Stat) -> Option<FileState> {
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| FileState {
        len_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified_secs: stat.st_mtime,
        modified_nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        file_system: stat.st_dev,
        inode: stat.st_ino,
        links: stat.st_nlink,
        mode: stat.st_mode & MODE_BITS,
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

/// Replaces the system's error for a link that is not followed by a clearer one.
pub(super) fn without_loop(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link is in the way"),
        _ => error,
    }
}

/// Treats a missing file, or a link in the path, as no file.
fn present(found: io::Result<Option<FileState>>) -> io::Result<Option<FileState>> {
    match found {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        found => found,
    }
}

/// Passes each name in the directory with its kind to `visit`.
pub(super) fn visit_names(directory: BorrowedFd<'_>, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); NAMES_BUFFER_BYTES];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not report the type in the entry.
            FileType::Unknown => match statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(e.into()),
            },
            known => known,
        };
        visit(name, name_kind(kind));
    }
    Ok(())
}

fn name_kind(file_type: FileType) -> SourceNameKind {
    match file_type {
        FileType::RegularFile => SourceNameKind::File,
        FileType::Directory => SourceNameKind::Directory,
        FileType::Symlink => SourceNameKind::Link,
        _ => SourceNameKind::Other,
    }
}

struct RealDirectory {
    fd: OwnedFd,
    path: PathBuf,
}

impl RealDirectory {
    fn error(&self, operation: &'static str, name: &OsStr, source: impl Into<io::Error>) -> DiskError {
        DiskError::new(operation, &self.path.join(name), without_loop(source.into()))
    }

    /// Opens the directory for reading, as a sync needs it; otherwise it is open as a path only.
    fn open_for_read(&self) -> Result<OwnedFd, Errno> {
        openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    fn write(&self, name: &OsStr, bytes: &[u8], model: Model<'_>, synced: bool) -> io::Result<AttributesNotKept> {
        let from = openat(&self.fd, model.name, READ | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?);
        let was = fstat(&from)?;
        let not_kept = copy_known_attributes(from.as_fd(), &was, file.as_fd())?;
        // Where something is not kept, the copy has narrowed the bits. Elsewhere they are those of the model.
        if let Some(mode) = model.mode.filter(|_| not_kept.is_empty())
            && was.st_mode & MODE_BITS != mode
        {
            fchmod(&file, Mode::from_raw_mode(mode))?;
        }
        file.write_all(bytes)?;
        if model.keeps_time {
            keep_time(&from, &file)?;
        }
        if synced {
            timed(|| file.sync_all())?;
        }
        Ok(not_kept)
    }
}

/// Gives a file the times of another one.
fn keep_time(from: &OwnedFd, to: &File) -> Result<(), Errno> {
    let stat = fstat(from)?;
    let last_access = Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ };
    let last_modification = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    futimens(to, &Timestamps { last_access, last_modification })
}

impl RootDirectory for RealDirectory {
    fn read_file(&self, name: &OsStr, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError> {
        check(SourceOperation::Read, &self.path.join(name))
            .and_then(|()| Ok(openat(&self.fd, name, READ | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?))
            .and_then(|fd| read_whole(fd, limit_bytes, buffer))
            .map_err(|e| self.error("read", name, e))
    }

    fn file_state(&self, name: &OsStr) -> Result<Option<FileState>, DiskError> {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from);
        present(stat.map(|stat| file_state(&stat))).map_err(|e| self.error("look up", name, e))
    }

    fn write_new_file(
        &self,
        name: &OsStr,
        bytes: &[u8],
        model: Model<'_>,
        synced: bool,
    ) -> Result<AttributesNotKept, DiskError> {
        self.write(name, bytes, model, synced).map_err(|e| self.error("write new file", name, e))
    }

    fn hard_link(&self, name: &OsStr, second: &OsStr) -> Result<(), DiskError> {
        linkat(&self.fd, name, &self.fd, second, AtFlags::empty())
            .map_err(|e| self.error("create hard link", second, e))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError> {
        renameat(&self.fd, from, &self.fd, to).map_err(|e| self.error("rename", from, e))
    }

    fn rename_exclusive(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError> {
        renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE)
            .map_err(|e| self.error("rename without replacing", from, e))
    }

    fn exchange(&self, a: &OsStr, b: &OsStr) -> Result<(), DiskError> {
        renameat_with(&self.fd, a, &self.fd, b, RenameFlags::EXCHANGE).map_err(|e| self.error("exchange", a, e))
    }

    fn remove_file(&self, name: &OsStr) -> Result<(), DiskError> {
        unlinkat(&self.fd, name, AtFlags::empty()).map_err(|e| self.error("remove file", name, e))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.open_for_read()
            .and_then(|directory| timed(|| rustix::fs::fsync(directory)))
            .map_err(|e| DiskError::new("sync directory", &self.path, e.into()))
    }

    fn sync_file(&self, name: &OsStr) -> Result<(), DiskError> {
        openat(&self.fd, name, READ | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .and_then(|directory| timed(|| rustix::fs::fsync(directory)))
            .map_err(|e| self.error("sync", name, e))
    }

    fn file_system_number(&self) -> Result<u64, DiskError> {
        let stat = fstat(&self.fd).map_err(|e| DiskError::new("look up", &self.path, e.into()))?;
        Ok(stat.st_dev)
    }

    fn file_system(&self) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        let directory = self.open_for_read();
        let directory = directory.map_err(|e| DiskError::new("open the file system of", &self.path, e.into()))?;
        Ok(Arc::new(RealFileSystem::of(directory.into(), &self.path)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a tree")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::durable::beneath::open_step_by_step;

    #[test]
    fn no_link_is_followed_wherever_it_stands() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), b"x").unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        fs::write(root.path().join("real/file"), b"x").unwrap();
        symlink(outside.path(), root.path().join("out")).unwrap();
        symlink("real", root.path().join("in")).unwrap();
        symlink("file", root.path().join("real/link")).unwrap();
        let tree = RealRoot::open(root.path()).unwrap();
        let stepped = |path: &Path, flags| open_step_by_step(tree.directory.as_fd(), path, flags, Mode::empty());
        for path in ["out/file", "in/file", "real/link"] {
            let path = Path::new(path);
            assert!(tree.read_file(path, 9, &mut Vec::new()).is_err(), "{}", path.display());
            for flags in [READ, OFlags::PATH] {
                let opened = stepped(path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC);
                assert!(flags == OFlags::PATH || opened.is_err(), "{}", path.display());
            }
        }
        assert!(tree.open_directory(Path::new("out")).is_err() && tree.open_directory(Path::new("in")).is_err());
        assert!(stepped(Path::new("real/file"), READ).is_ok());
        assert_eq!(tree.file_state(Path::new("real/link")).unwrap_or(None), None);
        let directory = tree.open_directory(Path::new("real")).unwrap();
        assert!(directory.read_file("link".as_ref(), 9, &mut Vec::new()).is_err());
        assert_eq!(directory.file_state("link".as_ref()).unwrap(), None);
    }

    #[test]
    fn names_come_with_their_kinds_and_permissions_survive_a_umask() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        symlink("d", root.path().join("l")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("p"), Mode::RUSR).unwrap();
        let tree = RealRoot::open(root.path()).unwrap();
        let directory = tree.open_directory(Path::new("")).unwrap();
        fs::write(root.path().join("model"), b"").unwrap();
        let model = Model { name: "model".as_ref(), mode: Some(0o666), keeps_time: false };
        directory.write_new_file("f".as_ref(), b"", model, false).unwrap();
        fs::remove_file(root.path().join("model")).unwrap();
        assert_eq!(fs::metadata(root.path().join("f")).unwrap().permissions().mode() & 0o7777, 0o666);
        let mut names = Vec::new();
        tree.names(Path::new(""), &mut |name, kind| names.push((name.to_str().unwrap().to_owned(), kind))).unwrap();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        let kinds: Vec<_> = names.iter().map(|(_, kind)| *kind).collect();
        use SourceNameKind::{Directory, File, Link, Other};
        assert_eq!(kinds, [Directory, File, Link, Other]);
    }
}
