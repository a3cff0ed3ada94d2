//! A disk that reports that its copies share their blocks with the source, as XFS and Btrfs do.

use std::path::Path;
use std::sync::Arc;

use haul::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, LockGuard, LockReach, SourceFile, StopCheck,
};

/// The disk behind it.
pub struct Sharing<D>(pub D);

impl<D: Disk> Disk for Sharing<D> {
    fn can_reflink(&self, _source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.0.list(directory).map(|_| true)
    }
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.0.create_file(path)
    }
    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        self.0.create_file_like(path, like)
    }
    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_new_file(path, bytes)
    }
    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        self.0.copy_new_file(source, target, means, stop)
    }
    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.0.open_file(path)
    }
    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.0.open_for_read(path)
    }
    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.create_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.sync_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }
    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.0.rename_exclusive(from, to)
    }
    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.0.exchange(a, b)
    }
    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.0.hard_link(source, target)
    }
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.0.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.remove_directory(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.0.list(path)
    }
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.0.kind(path)
    }
    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.0.mode(path)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.0.set_mode(path, mode)
    }
    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        self.0.root(path)
    }
    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        self.0.file_system(path)
    }
    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.0.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.0.free_inodes(path)
    }
    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        self.0.lock_reach(directory)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.0.try_lock(path, owner)
    }
}
