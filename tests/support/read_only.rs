//! A disk that nothing can be written to.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use haul::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, LockGuard, RealDisk, SourceFile, StopCheck,
};

/// The real disk, mounted read-only.
pub struct ReadOnly;

fn refuse<T>(path: &Path) -> Result<T, DiskError> {
    Err(DiskError::new("write", path, ErrorKind::ReadOnlyFilesystem.into()))
}

impl Disk for ReadOnly {
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        refuse(path)
    }
    fn create_file_like(&self, path: &Path, _like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        refuse(path)
    }
    fn write_new_file(&self, path: &Path, _bytes: &[u8]) -> Result<(), DiskError> {
        refuse(path)
    }
    fn copy_new_file(
        &self,
        _source: &SourceFile,
        target: &Path,
        _means: CopyMeans,
        _stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        refuse(target)
    }
    fn can_reflink(&self, _source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        refuse(directory)
    }
    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        refuse(path)
    }
    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        RealDisk.open_for_read(path)
    }
    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        refuse(path)
    }
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        RealDisk.sync_directory(path)
    }
    fn rename(&self, from: &Path, _to: &Path) -> Result<(), DiskError> {
        refuse(from)
    }
    fn rename_exclusive(&self, from: &Path, _to: &Path) -> Result<(), DiskError> {
        refuse(from)
    }
    fn exchange(&self, a: &Path, _b: &Path) -> Result<(), DiskError> {
        refuse(a)
    }
    fn hard_link(&self, _source: &Path, target: &Path) -> Result<(), DiskError> {
        refuse(target)
    }
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        refuse(path)
    }
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        refuse(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        RealDisk.list(path)
    }
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        RealDisk.kind(path)
    }
    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        RealDisk.mode(path)
    }
    fn set_mode(&self, path: &Path, _mode: u32) -> Result<(), DiskError> {
        refuse(path)
    }
    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        RealDisk.file_system(path)
    }
    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        refuse(path)
    }
    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        RealDisk.free_bytes(path)
    }
    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        RealDisk.free_inodes(path)
    }
    fn try_lock(&self, path: &Path, _owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        refuse(path)
    }
}
