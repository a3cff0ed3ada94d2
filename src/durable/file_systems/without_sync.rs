//! A disk that makes nothing durable, for users who have chosen to do without.

use std::path::Path;
use std::sync::Arc;

use crate::durable::new_modes::NewModes;
use crate::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, Link, LockGuard, LockReach, SourceFile, StopCheck,
};

/// Wraps a disk and leaves out every sync: its files survive the end of the process, but not the loss of power. The
/// syncs of [`RootDirectory`](crate::durable::RootDirectory) are kept, because its callers request each of them explicitly.
pub fn without_sync(disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
    Arc::new(WithoutSync(disk))
}

struct WithoutSync(Arc<dyn Disk>);

impl Disk for WithoutSync {
    fn is_system(&self) -> bool {
        self.0.is_system()
    }

    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        self.0.limited(modes).map(without_sync)
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        Ok(self.0.anchored(directory, link)?.map(without_sync))
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(Arc::new(UnsyncedFile(self.0.create_file(path)?)))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        let (file, not_kept) = self.0.create_file_like(path, like)?;
        Ok((Arc::new(UnsyncedFile(file)), not_kept))
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

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.0.can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(Arc::new(UnsyncedFile(self.0.open_file(path)?)))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.0.open_for_read(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.0.file_system(path).map(drop)
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

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        self.0.remove_directory_tree(path, stop)
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

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        self.0.file_system(path)?;
        Ok(Arc::new(UnsyncedFileSystem))
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        self.0.root(path)
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        self.0.can_rename_between(a, b)
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

struct UnsyncedFileSystem;

impl DiskFileSystem for UnsyncedFileSystem {
    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

struct UnsyncedFile(Arc<dyn DiskFile>);

impl DiskFile for UnsyncedFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write_all_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_exact_at(offset, buffer)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.0.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.0.preallocate(offset, len)
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::contract::disk_contract;
    use crate::durable::{CrashFault, SimulatedDisk, replace_file};

    #[test]
    fn it_is_the_same_disk() {
        let disk = without_sync(Arc::new(SimulatedDisk::with_directories(&[Path::new("/top")])));
        disk_contract(&*disk, Path::new("/top"));
    }

    #[test]
    fn nothing_is_synced() {
        let inner = Arc::new(SimulatedDisk::with_directories(&[Path::new("/top")]));
        let disk = without_sync(inner.clone());
        replace_file(&*disk, Path::new("/top/file"), b"x").unwrap();
        disk.file_system(Path::new("/top")).unwrap().sync().unwrap();
        let image = inner.crash_image(inner.operations(), CrashFault::UnsyncedDropped);
        assert_eq!(image.kind(Path::new("/top/file")).unwrap(), None);
    }
}
