//! A disk that changes nothing once its lock is another's.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::claim::Claim;
use crate::durable::new_modes::NewModes;
use crate::durable::root::TakePiece;
use crate::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, FileState, FreeSpace, Link, LockGuard, LockReach, Obstacle, ReadRoot, RootDirectory, SourceFile,
    SourceNameKind, StopCheck,
};

/// Returns the same disk, through which nothing is changed any more once the lock is another's.
pub fn claimed(disk: &Arc<dyn Disk>, claim: &Arc<Claim>) -> Arc<dyn Disk> {
    Arc::new(ClaimedDisk { disk: disk.clone(), claim: claim.clone() })
}

struct ClaimedDisk {
    disk: Arc<dyn Disk>,
    claim: Arc<Claim>,
}

impl ClaimedDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(ClaimedFile { file, claim: self.claim.clone() })
    }
}

impl Disk for ClaimedDisk {
    fn is_system(&self) -> bool {
        self.disk.is_system()
    }

    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        Some(claimed(&self.disk.limited(modes)?, &self.claim))
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        Ok(self.disk.anchored(directory, link)?.map(|disk| claimed(&disk, &self.claim)))
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.claim.check()?;
        Ok(self.file(self.disk.create_file(path)?))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        self.claim.check()?;
        let (file, not_kept) = self.disk.create_file_like(path, like)?;
        Ok((self.file(file), not_kept))
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.write_new_file(path, bytes)
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        self.claim.check()?;
        self.disk.copy_new_file(source, target, means, stop)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.claim.check()?;
        self.disk.can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.file(self.disk.open_file(path)?))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.disk.open_for_read(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.rename(from, to)
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.rename_exclusive(from, to)
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.exchange(a, b)
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.hard_link(source, target)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.remove_file(path)
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.remove_directory_tree(path, stop)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.remove_directory(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.disk.list(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.disk.kind(path)
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.disk.mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.claim.check()?;
        self.disk.set_mode(path, mode)
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        self.disk.file_system(path)
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        Ok(Arc::new(ClaimedRoot { root: self.disk.root(path)?, claim: self.claim.clone() }))
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        self.disk.can_rename_between(a, b)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.disk.free_inodes(path)
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        self.disk.lock_reach(directory)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.disk.try_lock(path, owner)
    }
}

/// A file that stays as it is once the lock is another's.
struct ClaimedFile {
    file: Arc<dyn DiskFile>,
    claim: Arc<Claim>,
}

impl DiskFile for ClaimedFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.claim.check()?;
        self.file.write_all_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(offset, buffer)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.claim.check()?;
        self.file.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.file.preallocate(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }
}

/// A tree of which no directory is opened for changes once the lock is another's. Each is opened for one file.
struct ClaimedRoot {
    root: Arc<dyn DiskRoot>,
    claim: Arc<Claim>,
}

impl ReadRoot for ClaimedRoot {
    fn path(&self) -> &Path {
        self.root.path()
    }

    fn read_file(&self, file: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError> {
        self.root.read_file(file, limit_bytes, buffer)
    }

    fn read_pieces(&self, file: &Path, take: &mut TakePiece<'_>) -> Result<(), DiskError> {
        self.root.read_pieces(file, take)
    }

    fn file_state(&self, file: &Path) -> Result<Option<FileState>, DiskError> {
        self.root.file_state(file)
    }

    fn names(&self, directory: &Path, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> Result<(), DiskError> {
        self.root.names(directory, visit)
    }

    fn obstacle(&self, file: &Path) -> Result<Option<Obstacle>, DiskError> {
        self.root.obstacle(file)
    }

    fn free_space(&self, directory: &Path) -> Result<FreeSpace, DiskError> {
        self.root.free_space(directory)
    }
}

impl DiskRoot for ClaimedRoot {
    fn open_directory(&self, directory: &Path) -> Result<Box<dyn RootDirectory>, DiskError> {
        self.claim.check()?;
        self.root.open_directory(directory)
    }
}
