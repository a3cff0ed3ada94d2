//! A disk that dies after some changes, for tests: like a process that is killed, it changes nothing any more.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, Link, LockGuard, LockReach, NewModes, SourceFile, StopCheck,
};

/// How many changes are left until the end.
#[derive(Clone)]
pub struct Life(Arc<AtomicI64>);

impl Life {
    pub fn of(changes: i64) -> Self {
        Self(Arc::new(AtomicI64::new(changes)))
    }

    /// Returns the changes that are left; less than none if some were refused.
    pub fn left(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn change(&self, path: &Path) -> Result<(), DiskError> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            1.. => Ok(()),
            _ => Err(DiskError::new("change", path, io::Error::other("the disk is dead"))),
        }
    }
}

/// A disk that refuses every change at the end of its life.
pub fn dying(inner: Arc<dyn Disk>, life: &Life) -> Arc<dyn Disk> {
    Arc::new(DyingDisk { inner, life: life.clone() })
}

struct DyingDisk {
    inner: Arc<dyn Disk>,
    life: Life,
}

struct DyingFile {
    inner: Arc<dyn DiskFile>,
    life: Life,
}

impl DyingDisk {
    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(DyingFile { inner, life: self.life.clone() })
    }
}

impl Disk for DyingDisk {
    fn is_system(&self) -> bool {
        self.inner.is_system()
    }

    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        self.inner.limited(modes).map(|disk| dying(disk, &self.life))
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        Ok(self.inner.anchored(directory, link)?.map(|disk| dying(disk, &self.life)))
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.life.change(path)?;
        Ok(self.file(self.inner.create_file(path)?))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        self.life.change(path)?;
        let (file, not_kept) = self.inner.create_file_like(path, like)?;
        Ok((self.file(file), not_kept))
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.file(self.inner.open_file(path)?))
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        self.life.change(target)?;
        self.inner.copy_new_file(source, target, means, stop)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.inner.try_lock(path, owner)
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.write_new_file(path, bytes)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.life.change(from)?;
        self.inner.rename(from, to)
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.life.change(from)?;
        self.inner.rename_exclusive(from, to)
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.life.change(a)?;
        self.inner.exchange(a, b)
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.life.change(target)?;
        self.inner.hard_link(source, target)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.remove_file(path)
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.remove_directory_tree(path, stop)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.remove_directory(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.life.change(path)?;
        self.inner.set_mode(path, mode)
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.inner.open_for_read(path)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.inner.can_reflink(source, directory)
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.inner.list(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.inner.kind(path)
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.inner.mode(path)
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        self.inner.file_system(path)
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        self.inner.root(path)
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        self.inner.can_rename_between(a, b)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.inner.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.inner.free_inodes(path)
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        self.inner.lock_reach(directory)
    }
}

impl DiskFile for DyingFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.life.change(Path::new("an open file"))?;
        self.inner.write_all_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.inner.read_exact_at(offset, buffer)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.life.change(Path::new("an open file"))?;
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.inner.preallocate(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.life.change(Path::new("an open file"))?;
        self.inner.sync()
    }
}
