//! The disk of this computer, with whatever permissions the mask of the process leaves.

use std::path::Path;
use std::sync::Arc;

use super::limited_disk::LimitedDisk;
use super::new_modes::NewModes;
use super::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, Link, LockGuard, LockReach, SourceFile, StopCheck,
};

const UNLIMITED: LimitedDisk = LimitedDisk { modes: NewModes::ANY, anchors: Vec::new() };

/// The disk of this computer, with the system calls of Linux.
///
/// `rename_exclusive` and `exchange` are one `renameat2` each. On a file system without it they fail with
/// `InvalidInput` or `Unsupported`, because two separate renames would not be atomic.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        UNLIMITED.limited(modes)
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        UNLIMITED.anchored(directory, link)
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        UNLIMITED.create_file(path)
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        UNLIMITED.create_file_like(path, like)
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        UNLIMITED.write_new_file(path, bytes)
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        UNLIMITED.copy_new_file(source, target, means, stop)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        UNLIMITED.create_directory(path)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        UNLIMITED.try_lock(path, owner)
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        UNLIMITED.lock_reach(directory)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        UNLIMITED.can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        UNLIMITED.open_file(path)
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        UNLIMITED.open_for_read(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        UNLIMITED.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        UNLIMITED.rename(from, to)
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        UNLIMITED.rename_exclusive(from, to)
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        UNLIMITED.exchange(a, b)
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        UNLIMITED.hard_link(source, target)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        UNLIMITED.remove_file(path)
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        UNLIMITED.remove_directory_tree(path, stop)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        UNLIMITED.remove_directory(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        UNLIMITED.list(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        UNLIMITED.kind(path)
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        UNLIMITED.mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        UNLIMITED.set_mode(path, mode)
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        UNLIMITED.file_system(path)
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        UNLIMITED.root(path)
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        UNLIMITED.can_rename_between(a, b)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        UNLIMITED.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        UNLIMITED.free_inodes(path)
    }
}
