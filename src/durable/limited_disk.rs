//! The disk of this computer, with the system calls of Linux and a limit on the permissions of what is created.

#![allow(clippy::disallowed_methods, reason = "this file is where the writing happens")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::attributes::MODE_BITS;
use super::directories::remove_real_tree;
use super::file_systems::RealFileSystem;
use super::lock_file::lock_file;
use super::new_modes::NewModes;
use super::real_root::RealRoot;
use super::regular_file::{entry_kind, existing, not_regular, open_regular};
use super::{
    AttributesNotKept, ClaimTimes, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem,
    DiskRoot, EntryKind, LockGuard, LockReach, SourceFile, StopCheck, copy, copy_attributes, file_systems, mount_of,
    stop,
};

/// Writeback is not started early for shorter new files: the call costs more than it gains.
const WRITEBACK_BYTES_MIN: usize = 256 << 10;
/// The permission bits of a file that nobody else may open yet.
const PRIVATE: u32 = 0o600;

/// A claim is read back after a time in which it reaches every host, and relied on for a much shorter one.
const CLAIM_TIMES: ClaimTimes = ClaimTimes { settle: Duration::from_secs(1), relied_on: Duration::from_millis(250) };

/// The disk of this computer with a limit. The files of a [`DiskRoot`] have explicit permissions, which are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitedDisk(pub(super) NewModes);

/// Returns the disk with this limit on what it creates. A disk without permissions of its own stays as it is.
pub fn with_modes(disk: &Arc<dyn Disk>, modes: NewModes) -> Arc<dyn Disk> {
    disk.limited(modes).unwrap_or_else(|| disk.clone())
}

impl Disk for LimitedDisk {
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        create_file(path, self.0)
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        let original =
            open_regular(like, &existing()).map_err(|e| DiskError::new("read the attributes of", like, e))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(PRIVATE);
        let file = options.open(path).map_err(|e| DiskError::new("create file", path, e))?;
        match copy_attributes(original.as_fd(), file.as_fd()) {
            Ok(not_kept) => Ok((RealFile::shared(file, path), not_kept)),
            Err(error) => {
                // This process has just created it. The first error is the one to report.
                let _ = fs::remove_file(path);
                Err(DiskError::new("set the attributes of", path, error))
            }
        }
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        write_new_file(path, bytes, self.0)
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        copy::copy_new_file(source, target, (means, self.0), stop)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        copy::can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        open("open file", path, existing().write(true))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        open("open file for reading", path, &existing())
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        create_directory(path, self.0)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(path)
            .and_then(|directory| directory.sync_all())
            .map_err(|e| DiskError::new("sync directory", path, e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        stop::opened();
        fs::rename(from, to).map_err(|e| DiskError::new("rename", from, e))
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        stop::opened();
        rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
            .map_err(|e| DiskError::new("rename without replacing", from, e.into()))
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
            .map_err(|e| DiskError::new("exchange", a, e.into()))
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        stop::opened();
        rustix::fs::linkat(CWD, source, CWD, target, AtFlags::empty())
            .map_err(|e| DiskError::new("create hard link", target, e.into()))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        stop::opened();
        fs::remove_file(path).map_err(|e| DiskError::new("remove file", path, e))
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        remove_real_tree(path, stop)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_dir(path).map_err(|e| DiskError::new("remove directory", path, e))
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        list_entries(path).map_err(|e| DiskError::new("list directory", path, e))
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(entry_kind(metadata.file_type()))),
            // A path below a regular file does not exist either.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(DiskError::new("look up", path, e)),
        }
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        file_mode(path).map_err(|e| DiskError::new("look up the mode of", path, e))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        // The system call would follow a link, so the kind is checked first.
        file_mode(path)
            .and_then(|_| fs::set_permissions(path, fs::Permissions::from_mode(mode & MODE_BITS)))
            .map_err(|e| DiskError::new("set the mode of", path, e))
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        Ok(Arc::new(RealFileSystem::open(path)?))
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        Ok(Arc::new(RealRoot::open(path)?))
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        Ok(mount_of(a)? == mount_of(b)?)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let status = rustix::fs::statvfs(path).map_err(|e| DiskError::new("measure free space at", path, e.into()))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let status = rustix::fs::statvfs(path).map_err(|e| DiskError::new("count free inodes at", path, e.into()))?;
        // File systems that create inodes on demand report 0 of 0.
        Ok((status.f_files > 0).then_some(status.f_favail))
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        let reaches = file_systems::locks_reach_every_host(directory);
        let reaches = reaches.map_err(|e| DiskError::new("look up the file system of", directory, e))?;
        Ok(if reaches { LockReach::EveryHost } else { LockReach::ThisHost(CLAIM_TIMES) })
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        lock_file(path, owner, self.0).map_err(|e| DiskError::new("lock", path, e))
    }

    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        Some(Arc::new(Self(self.0.and(modes))))
    }
}

fn open(operation: &'static str, path: &Path, options: &OpenOptions) -> Result<Arc<dyn DiskFile>, DiskError> {
    stop::opened();
    let file = open_regular(path, options).map_err(|e| DiskError::new(operation, path, e))?;
    Ok(RealFile::shared(file, path))
}

fn create_file(path: &Path, modes: NewModes) -> Result<Arc<dyn DiskFile>, DiskError> {
    let options = &mut OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(modes.new_file());
    let file = open_regular(path, options).map_err(|e| DiskError::new("create file", path, e))?;
    modes.apply(file.as_fd()).map_err(|e| DiskError::new("set the owner of", path, e.into()))?;
    Ok(RealFile::shared(file, path))
}

fn create_directory(path: &Path, modes: NewModes) -> Result<(), DiskError> {
    let created = fs::DirBuilder::new().mode(modes.new_directory()).create(path);
    created.map_err(|e| DiskError::new("create directory", path, e))?;
    if !modes.is_more_than_a_limit() {
        return Ok(());
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(|directory| modes.apply_to_directory(directory.as_fd()))
        .map_err(|e| DiskError::new("set the owner of", path, e.into()))
}

/// Creates the file with three calls, open, write and close, because there may be millions of such files. Writeback of
/// a large file is started at once, so that a later sync finds it written.
fn write_new_file(path: &Path, bytes: &[u8], modes: NewModes) -> Result<(), DiskError> {
    stop::opened();
    stop::written(bytes.len());
    let options = OpenOptions::new().write(true).create_new(true).mode(modes.new_file()).open(path);
    let written = options.and_then(|file| {
        modes.apply(file.as_fd())?;
        write_at_once(file, bytes)
    });
    written.map_err(|e| DiskError::new("write new file", path, e))
}

fn write_at_once(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    if bytes.len() >= WRITEBACK_BYTES_MIN {
        start_writeback(&file, 0, bytes.len() as u64);
    }
    Ok(())
}

fn file_mode(path: &Path) -> io::Result<u32> {
    let metadata = fs::symlink_metadata(path)?;
    match entry_kind(metadata.file_type()) {
        EntryKind::File => Ok(metadata.permissions().mode() & MODE_BITS),
        EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
        EntryKind::Other => Err(not_regular()),
    }
}

fn list_entries(path: &Path) -> io::Result<Vec<DiskEntry>> {
    let mut entries = fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            Ok(DiskEntry { name: entry.file_name(), kind: entry_kind(entry.file_type()?) })
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

struct RealFile {
    file: File,
    path: PathBuf,
    /// Remembers a failed sync. The system reports lost bytes once and treats the file as clean afterwards.
    sync_failed: AtomicBool,
}

impl RealFile {
    fn shared(file: File, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(Self { file, path: path.to_path_buf(), sync_failed: AtomicBool::new(false) })
    }

    fn error(&self, operation: &'static str, source: io::Error) -> DiskError {
        DiskError::new(operation, &self.path, source)
    }

    fn refuse_after_failed_sync(&self, operation: &'static str) -> Result<(), DiskError> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(
                self.error(operation, io::Error::other("an earlier sync of this file failed, its bytes may be lost"))
            );
        }
        Ok(())
    }
}

impl DiskFile for RealFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("write")?;
        stop::written(bytes.len());
        self.file.write_all_at(bytes, offset).map_err(|e| self.error("write", e))
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        stop::read(buffer.len());
        self.file.read_exact_at(buffer, offset).map_err(|e| self.error("read", e))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|e| self.error("measure", e))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("set the length of")?;
        self.file.set_len(len).map_err(|e| self.error("set the length of", e))
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        // On a RAM disk, allocation only clears pages that are written next.
        if len == 0 || file_systems::is_ram_disk(&self.file) {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(e) => Err(self.error("preallocate", e.into())),
        }
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        start_writeback(&self.file, offset, len);
    }

    // fdatasync skips times, but never the length or the extents that are needed to read the bytes.
    fn sync(&self) -> Result<(), DiskError> {
        self.refuse_after_failed_sync("sync")?;
        self.file.sync_data().map_err(|e| {
            self.sync_failed.store(true, Ordering::Release);
            self.error("sync", e)
        })
    }
}

fn start_writeback(file: &File, offset: u64, len: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
    // The result is ignored: this is a hint, and the sync reports errors.
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call takes no pointer.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::durable::contract::disk_contract;
    use crate::durable::{NEVER, RealDisk};

    #[test]
    #[ignore = "needs a RAM disk at /dev/shm"]
    fn nothing_is_allocated_ahead_on_a_ram_disk() {
        use std::os::unix::fs::MetadataExt;
        let shared_memory = Path::new("/dev/shm");
        let is_ram_disk = File::open(shared_memory).is_ok_and(|directory| file_systems::is_ram_disk(&directory));
        assert!(is_ram_disk, "/dev/shm is no RAM disk");
        let directory = tempfile::tempdir_in(shared_memory).unwrap();
        let path = directory.path().join("ahead");
        RealDisk.create_file(&path).unwrap().preallocate(0, 1 << 20).unwrap();
        let status = fs::metadata(&path).unwrap();
        assert_eq!((status.len(), status.blocks()), (0, 0));
    }

    #[test]
    fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        disk_contract(&RealDisk, directory.path());
    }

    #[test]
    fn a_failed_sync_is_final_for_the_open_file() {
        let file = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        // Devices without a backing store refuse fdatasync with EINVAL: a real failure of a sync.
        let file = RealFile { file, path: PathBuf::from("/dev/null"), sync_failed: AtomicBool::new(false) };
        file.write_all_at(0, b"before").unwrap();
        file.sync().unwrap_err();
        assert_eq!(file.sync().unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(file.write_all_at(0, b"after").unwrap_err().operation, "write");
        assert_eq!(file.set_len(0).unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[test]
    fn preallocation_keeps_the_length() {
        let directory = tempfile::tempdir().unwrap();
        let file = RealDisk.create_file(&directory.path().join("file")).unwrap();
        file.preallocate(0, 1 << 20).unwrap();
        file.preallocate(0, 0).unwrap();
        assert!(file.is_empty().unwrap());
    }

    #[test]
    fn links_are_neither_files_nor_directories() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(RealDisk.kind(&link).unwrap(), Some(EntryKind::Other));
        assert_eq!(RealDisk.mode(&link).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(RealDisk.set_mode(&link, 0o600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // The link itself gets a second name, so its missing target does not matter.
        RealDisk.hard_link(&link, &directory.path().join("name")).unwrap();
        assert_eq!(RealDisk.kind(&directory.path().join("name")).unwrap(), Some(EntryKind::Other));
        assert_eq!(RealDisk.list(directory.path()).unwrap()[0].kind, EntryKind::Other);
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, link, pipe) =
            (directory.path().join("kept"), directory.path().join("link"), directory.path().join("pipe"));
        fs::write(&kept, b"kept").unwrap();
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        rustix::fs::mkfifoat(CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        for path in [&link, &pipe, Path::new("/dev/null")] {
            let errors = [
                RealDisk.open_file(path).err(),
                RealDisk.open_for_read(path).err(),
                RealDisk.try_lock(path, "owner").err(),
            ];
            for error in errors {
                assert_eq!(error.expect("refused").kind(), io::ErrorKind::InvalidInput, "{}", path.display());
            }
        }
        assert_eq!(fs::read(&kept).unwrap(), b"kept");
        assert_eq!(RealDisk.try_lock(directory.path(), "owner").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_link_in_the_place_of_a_tree_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, tree) = (directory.path().join("kept"), directory.path().join("tree"));
        fs::create_dir_all(kept.join("sub")).unwrap();
        fs::write(kept.join("sub/file"), b"kept").unwrap();
        fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(kept.join("sub"), tree.join("swapped")).unwrap();
        RealDisk.remove_directory_tree(&tree, NEVER).unwrap();
        // What another process may do between a look at the name and the removal.
        std::os::unix::fs::symlink(&kept, &tree).unwrap();
        let _ = RealDisk.remove_directory_tree(&tree, NEVER);
        assert_eq!(fs::read(kept.join("sub/file")).unwrap(), b"kept");
    }

    #[test]
    fn free_space_is_reported() {
        assert!(RealDisk.free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(RealDisk.free_bytes(Path::new("/nowhere/at/all")).is_err());
        assert_ne!(RealDisk.free_inodes(&std::env::temp_dir()).unwrap(), Some(0));
        assert!(RealDisk.free_inodes(Path::new("/nowhere/at/all")).is_err());
    }
}
